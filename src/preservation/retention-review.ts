/** Looks through the letters of a tenant: which class each belongs to, until when it is kept, what stands against its going. */
import { type RetentionClass, shortestPeriod } from '../config/retention.ts';
import type { TenantConfig } from '../config/schema.ts';
import type { Entry } from '../evidence/entry.ts';
import { type RecordGroup, recordGroupOf, recordGroups } from '../evidence/record-groups.ts';
import type { Obstacle, RetentionCandidate } from '../store/retention.ts';
import type { Reader } from '../store/store.ts';
import { classOf, keptUntil, lastHandled, recordClassOf, retainedLetter } from './retention.ts';

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
  /** The group of an entry that belongs to no letter; null: it is a letter. */
  readonly group: RecordGroup | null;
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
  const group = recordGroupOf(first.kind);
  const found =
    group === null ? classOf(retainedLetter(first), retention.classes) : recordClassOf(group, retention);
  if (found === null || found.keep === 'forever') return { letter, class: found, until: null };
  const entries: Entry[] = [first];
  for (const index of await reader.entriesOf(id, letter)) {
    const entry = index === letter ? null : await readable(reader, id, index);
    if (entry !== null) entries.push(entry);
  }
  return { letter, class: found, until: keptUntil(found, lastHandled(entries), timeZone) };
}

/**
 * Letters, then entries of no letter, whose period ends before `horizon` (epoch ms), or ends within their class's time of
 * review before it. What is too young by its first entry alone is not opened.
 */
export async function* dueLetters(
  reader: Reader,
  tenant: Retained,
  horizon: number,
): AsyncGenerator<DueLetter> {
  for await (const index of candidates(tenant.retention.classes, horizon, (after, before) =>
    reader.retentionCandidates(tenant.id, after, before, PAGE),
  )) {
    const state = await retentionOf(reader, tenant, index);
    const due = state && (await dueOf(reader, tenant, horizon, state, null));
    if (due === null) continue;
    const facts = await reader.standing(tenant.id, index);
    yield facts.some(({ fact }) => fact === 'disputed')
      ? { ...due, obstacles: [...due.obstacles, 'disputed'] }
      : due;
  }
  for (const group of recordGroups) {
    const rule = recordClassOf(group, tenant.retention);
    for await (const index of candidates([rule], horizon, (after, before) =>
      reader.recordCandidates(tenant.id, group, after, before, PAGE),
    )) {
      const state = await retentionOf(reader, tenant, index);
      const due = state && (await dueOf(reader, tenant, horizon, state, group));
      if (due !== null) yield due;
    }
  }
}

/** Indexes of what may have ended by then under one of the classes, page by page. */
async function* candidates(
  classes: readonly RetentionClass[],
  horizon: number,
  read: (after: number, before: string) => Promise<readonly RetentionCandidate[]>,
): AsyncGenerator<number> {
  const earliest = youngest(classes, horizon);
  if (earliest === null) return;
  for (let after = -1; ; ) {
    const page = await read(after, new Date(earliest).toISOString());
    for (const { index } of page) yield index;
    if (page.length < PAGE) return;
    after = page.at(-1)!.index;
  }
}

async function dueOf(
  reader: Reader,
  { id }: Retained,
  horizon: number,
  { letter, class: rule, until }: RetentionState,
  group: RecordGroup | null,
): Promise<DueLetter | null> {
  if (rule === null || until === null || until - rule.reviewBefore > horizon) return null;
  const obstacles = await reader.obstacles(id, letter);
  // A part of another letter goes with that one.
  if (obstacles.includes('no-letter')) return null;
  const announced = await reader.announced(id, letter);
  const announcedAt = announced?.class === rule.name ? announced.at : null;
  return { letter, class: rule, until, obstacles, announcedAt, group };
}

/** The latest time (epoch ms) at which a letter may have begun that is due by then; null where no class ends. */
function youngest(classes: readonly RetentionClass[], horizon: number): number | null {
  const times = classes.flatMap(({ keep, reviewBefore }) =>
    keep === 'forever' ? [] : [horizon + reviewBefore - shortestPeriod(keep)],
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
