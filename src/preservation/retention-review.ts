/** Looks through the letters of a tenant: which class each belongs to, until when it is kept, what stands against its going. */
import type { RetentionClass } from '../config/retention.ts';
import type { TenantConfig } from '../config/schema.ts';
import type { Entry } from '../evidence/entry.ts';
import type { Obstacle } from '../store/retention.ts';
import type { Reader } from '../store/store.ts';
import { classOf, keptUntil, lastHandled, retainedLetter } from './retention.ts';

export interface RetentionState {
  readonly letter: number;
  /** Null: it is kept for ever. */
  readonly class: RetentionClass | null;
  /** Epoch ms from which on it may be erased; null: never. */
  readonly until: number | null;
}

export interface DueLetter extends RetentionState {
  readonly class: RetentionClass;
  readonly until: number;
  /** `disputed`: a confirmation of it turned out invalid, and no other says the same. */
  readonly obstacles: readonly (Obstacle | 'disputed')[];
  /** Epoch ms of its announcement under this class; null: not yet. */
  readonly announcedAt: number | null;
}

type Retained = Pick<TenantConfig, 'id' | 'timeZone' | 'retention'>;

/** Letters in one go; between them others have their turn. */
const PAGE = 200;

/** Class and end of one letter; null where there is none. */
export async function retentionOf(
  reader: Reader,
  { id, timeZone, retention }: Retained,
  letter: number,
): Promise<RetentionState | null> {
  const first = await readable(reader, id, letter);
  if (first === null) return null;
  const found = classOf(retainedLetter(first), retention.classes);
  if (found === null || found.keep === 'forever') return { letter, class: found, until: null };
  const entries: Entry[] = [first];
  for (const index of await reader.entriesOf(id, letter)) {
    const entry = index === letter ? null : await readable(reader, id, index);
    if (entry !== null) entries.push(entry);
  }
  return { letter, class: found, until: keptUntil(found, lastHandled(entries), timeZone) };
}

/**
 * Letters whose period ends before `horizon` (epoch ms), or ends within their class's time of review before it. What is
 * too young by its first entry alone is not opened.
 */
export async function* dueLetters(
  reader: Reader,
  tenant: Retained,
  horizon: number,
): AsyncGenerator<DueLetter> {
  const earliest = youngest(tenant, horizon);
  if (earliest === null) return;
  for (let after = -1; ; ) {
    const page = await reader.retentionCandidates(tenant.id, after, new Date(earliest).toISOString(), PAGE);
    for (const { index } of page) {
      const state = await retentionOf(reader, tenant, index);
      if (state?.class == null || state.until === null) continue;
      if (state.until - state.class.reviewBefore > horizon) continue;
      const obstacles = await reader.obstacles(tenant.id, index);
      // A part of another letter goes with that one.
      if (obstacles.includes('no-letter')) continue;
      const facts = await reader.standing(tenant.id, index);
      const announced = await reader.announced(tenant.id, index);
      yield {
        letter: index,
        class: state.class,
        until: state.until,
        obstacles: facts.some(({ fact }) => fact === 'disputed') ? [...obstacles, 'disputed'] : obstacles,
        announcedAt: announced?.class === state.class.name ? announced.at : null,
      };
    }
    if (page.length < PAGE) return;
    after = page.at(-1)!.index;
  }
}

/** The latest time (epoch ms) at which a letter may have begun that is due by then; null where no class ends. */
function youngest({ retention }: Retained, horizon: number): number | null {
  const shortest = { days: 1, months: 28, years: 365 };
  const times = retention.classes.flatMap(({ keep, reviewBefore }) =>
    keep === 'forever' ? [] : [horizon + reviewBefore - keep.count * shortest[keep.unit] * 86_400_000],
  );
  return times.length === 0 ? null : Math.max(...times);
}

/** What cannot be read any more decides nothing: it is reported by verification, and stays. */
async function readable(reader: Reader, tenant: string, index: number): Promise<Entry | null> {
  try {
    return await reader.entry(tenant, index);
  } catch {
    return null;
  }
}
