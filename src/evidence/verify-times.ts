/**
 * Times of entries against each other and against time-stamps of others. Whoever holds the log key can write any time
 * into an entry; no time-stamping authority goes along with it.
 */
import type { Report } from './audit.ts';
import type { Entry } from './entry.ts';

/** Two clocks that are both right differ by less (as when tokens are asked for). Milliseconds. */
const TOLERANCE = 5 * 60_000;

export interface TimeCheck {
  /** In index order. */
  row(index: number, time: string, entry: Entry | null): void;
}

/** @param ranges seals by entry: those before `to` existed at `genTime` (epoch ms) */
export function createTimeCheck(
  ranges: readonly { readonly id: number; readonly to: number; readonly genTime: number }[],
  report: Report,
  undecided: Report,
): TimeCheck {
  let at = 0;
  let latest: { index: number; time: number } | null = null;
  /** Made before anything that follows it in the log: the token's entry states it. */
  let floor: { id: number; time: number } | null = null;
  return {
    row(index, column, entry) {
      const said = entry?.time ?? column;
      const time = Date.parse(said);
      if (Number.isNaN(time)) return; // erased, or reported where the entry is read
      const place = `entry ${index}`;
      while (at < ranges.length && ranges[at]!.to <= index) at++;
      const range = ranges[at];
      if (range !== undefined && time > range.genTime + TOLERANCE)
        report(
          place,
          `its time ${said} lies after ${iso(range.genTime)}, when archive timestamp ${range.id} sealed it`,
        );
      if (floor !== null && time < floor.time - TOLERANCE)
        report(
          place,
          `it was dated back: its time ${said} lies before ${iso(floor.time)}, the time of archive timestamp ${floor.id}, which stands before it in the log`,
        );
      else if (latest !== null && time < latest.time - TOLERANCE)
        undecided(
          place,
          `its time ${said} lies before that of entry ${latest.index} (${iso(latest.time)}): it was dated back, or the clock was set back`,
        );
      if (latest === null || time > latest.time) latest = { index, time };
      if (entry?.kind === 'sealed' || entry?.kind === 'renewed') {
        const stamped = Date.parse(entry.genTime);
        if (floor === null || stamped > floor.time) floor = { id: entry.archiveTimestamp, time: stamped };
      }
    },
  };
}

function iso(time: number): string {
  return new Date(time).toISOString();
}
