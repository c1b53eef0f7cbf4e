/**
 * When an account may be logged in to. The first login at level high after a deposit serves what lies there
 * (TR-01201 FU 3.3.5), so a login too few is harmless and one too many is not: wherever the clock change makes
 * a time of day happen twice, the window is the narrower one, and a time that does not happen opens nothing.
 */
import { holidaysOf, type Land, type LocalHoliday } from './holidays.ts';

export const weekdays = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;
export type Weekday = (typeof weekdays)[number];

export interface CalendarSettings {
  /** IANA name. */
  readonly timeZone: string;
  readonly land?: Land | undefined;
  readonly localHolidays: readonly LocalHoliday[];
  /** `from` before `to`, both `HH:MM`; `to` may be `24:00`. */
  readonly windows: readonly {
    readonly days: readonly Weekday[];
    readonly from: string;
    readonly to: string;
  }[];
  /** `YYYY-MM-DD`. */
  readonly closed: readonly string[];
}

/** All instants are epoch milliseconds. */
export interface Calendar {
  isOpen(now: number): boolean;
  /** `now` where it is open; null where nothing opens within 400 days. */
  nextOpening(now: number): number | null;
  /** End of the window that is open now, adjoining ones included; null where it is closed. */
  closesAt(now: number): number | null;
  /** Milliseconds between the two instants during which it is closed. */
  closedBetween(from: number, to: number): number;
}

interface Span {
  readonly start: number;
  readonly end: number;
}

const dayMs = 86_400_000;
const minuteMs = 60_000;
const horizonDays = 400;

/** @throws RangeError for an unknown time zone */
export function createCalendar(settings: CalendarSettings): Calendar {
  const zone = createZone(settings.timeZone);
  const extra = new Set(settings.closed);
  const holidays = new Map<number, ReadonlyMap<string, string>>();
  const known = new Map<number, readonly Span[]>();

  function isHoliday(day: Date): boolean {
    if (settings.land === undefined) return false;
    const year = day.getUTCFullYear();
    let ofYear = holidays.get(year);
    if (ofYear === undefined) {
      ofYear = holidaysOf(settings.land, year, settings.localHolidays);
      holidays.set(year, ofYear);
    }
    return ofYear.has(day.toISOString().slice(0, 10));
  }

  /** Windows of one local day, given as its midnight in UTC; sorted, not merged. */
  function spansOf(midnight: number): readonly Span[] {
    const before = known.get(midnight);
    if (before !== undefined) return before;
    const day = new Date(midnight);
    const spans: Span[] = [];
    if (!extra.has(day.toISOString().slice(0, 10)) && !isHoliday(day)) {
      for (const { days, from, to } of settings.windows) {
        if (!days.includes(weekdays[day.getUTCDay()]!)) continue;
        const start = zone.instant(midnight + minutesOf(from) * minuteMs, 'later');
        const end = zone.instant(midnight + minutesOf(to) * minuteMs, 'earlier');
        if (start < end) spans.push({ start, end });
      }
      spans.sort((a, b) => a.start - b.start);
    }
    if (known.size > 4 * horizonDays) known.clear();
    known.set(midnight, spans);
    return spans;
  }

  const localDay = (now: number) => Math.floor(zone.wall(now) / dayMs) * dayMs;

  /** Windows from the day before `now` on, merged, in order, for at most `horizonDays`. */
  function* spansFrom(now: number): Generator<Span> {
    const first = localDay(now) - dayMs;
    let open: Span | undefined;
    for (let day = 0; day <= horizonDays; day += 1) {
      for (const span of spansOf(first + day * dayMs)) {
        if (open !== undefined && span.start <= open.end) {
          open = { start: open.start, end: Math.max(open.end, span.end) };
          continue;
        }
        if (open !== undefined) yield open;
        open = span;
      }
      // A day without a window that touches the end is the end of a span, not a reason to look on.
      if (open !== undefined && open.end < first + day * dayMs) {
        yield open;
        open = undefined;
      }
    }
    if (open !== undefined) yield open;
  }

  function at(now: number): Span | undefined {
    for (const span of spansFrom(now)) if (span.end > now) return span;
    return undefined;
  }

  return {
    isOpen(now) {
      // Asked before every hand-over: no window is longer than its day, so three days hold all that count.
      const today = localDay(now);
      return [today - dayMs, today, today + dayMs].some((day) =>
        spansOf(day).some(({ start, end }) => start <= now && now < end),
      );
    },
    nextOpening(now) {
      const span = at(now);
      return span === undefined ? null : Math.max(span.start, now);
    },
    closesAt(now) {
      const span = at(now);
      return span !== undefined && span.start <= now ? span.end : null;
    },
    closedBetween(from, to) {
      let open = 0;
      let seen = from;
      while (seen < to) {
        const span = at(seen);
        if (span === undefined || span.start >= to) break;
        open += Math.min(span.end, to) - Math.max(span.start, seen);
        seen = span.end;
      }
      return Math.max(to - from, 0) - open;
    },
  };
}

function minutesOf(time: string): number {
  return Number(time.slice(0, 2)) * 60 + Number(time.slice(3, 5));
}

/** Between instants and what the clock on the wall shows, the latter written as if it were UTC. */
export function createZone(timeZone: string) {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  function wall(instant: number): number {
    const part: Partial<Record<Intl.DateTimeFormatPartTypes, number>> = {};
    for (const { type, value } of format.formatToParts(instant)) part[type] = Number(value);
    const { year, month, day, hour, minute, second } = part;
    const ms = ((instant % 1000) + 1000) % 1000;
    return Date.UTC(year!, month! - 1, day!, hour, minute, second, ms);
  }
  const offset = (instant: number) => wall(instant) - instant;
  return {
    wall,
    /** A time that happens twice is the earlier or the later; one that does not happen is the change itself. */
    instant(local: number, which: 'earlier' | 'later'): number {
      const offsets = [offset(local - dayMs), offset(local + dayMs)];
      const fits = offsets.map((o) => local - o).filter((instant) => wall(instant) === local);
      if (fits.length > 0) return which === 'earlier' ? Math.min(...fits) : Math.max(...fits);
      let [before, after] = [local - Math.max(...offsets), local - Math.min(...offsets)];
      const old = offset(before);
      while (after - before > 1) {
        const middle = Math.floor((before + after) / 2);
        if (offset(middle) === old) before = middle;
        else after = middle;
      }
      return after;
    },
  };
}
