/** Which entries go with a letter, and what stands against their going: the same for listing and for erasing. */
import type Database from 'better-sqlite3';
import type { DeletionOutcomeEntry, Entry } from '../../evidence/entry.ts';
import { recordGroupOf } from '../../evidence/record-groups.ts';
import type { ActiveHold, Obstacle } from '../retention.ts';
import { OF_NO_LETTER } from './schema.ts';

/** What both sides of the store have: statements, and entries by index. */
export interface UnitSource {
  sql(text: string): Database.Statement;
  /** Null where there is none, or it was erased. @throws CorruptObject */
  entry(tenant: string, index: number): Entry | null;
}

export interface LetterUnit {
  /** Entries that go with the letter and belong to no other, ascending; the letter itself is the first of its own. */
  readonly entries: readonly number[];
  /** Deletions at the provider that it has part in, and other letters too. */
  readonly deletions: readonly number[];
  readonly fileReferences: readonly string[];
}

/**
 * An entry of no letter, alone; a login is its intent together with its outcome. Null where none stands here, or
 * it goes with another.
 */
function recordUnit({ sql, entry }: UnitSource, tenant: string, index: number): LetterUnit | null {
  const kind = sql('SELECT kind FROM entry WHERE tenant = ? AND idx = ?').pluck().get(tenant, index) as
    | string
    | undefined;
  if (kind === undefined || recordGroupOf(kind) === null) return null;
  const alone = { entries: [index], deletions: [], fileReferences: [] };
  if (kind === 'login-outcome') {
    const outcome = tryEntry(() => entry(tenant, index));
    const intent = outcome?.kind === 'login-outcome' ? tryEntry(() => entry(tenant, outcome.intent)) : null;
    return intent === null ? alone : null;
  }
  if (kind !== 'login-intent') return alone;
  const next = sql(
    `SELECT idx FROM entry INDEXED BY entry_record
     WHERE tenant = ? AND kind = 'login-outcome' AND idx > ? AND ${OF_NO_LETTER} ORDER BY idx LIMIT 1`,
  ).pluck();
  // One of the next, as a rule the very next.
  for (let after = index; ; ) {
    const found = next.get(tenant, after) as number | undefined;
    if (found === undefined) return alone;
    const outcome = tryEntry(() => entry(tenant, found));
    if (outcome?.kind === 'login-outcome' && outcome.intent === index)
      return { ...alone, entries: [index, found] };
    after = found;
  }
}

/** Does an entry of no letter say what is still so? */
function isInForce({ sql, entry }: UnitSource, tenant: string, index: number): boolean {
  const kind = sql('SELECT kind FROM entry WHERE tenant = ? AND idx = ?').pluck().get(tenant, index);
  if (recordGroupOf(String(kind)) === null) return false;
  if (sql('SELECT 1 FROM open_intent WHERE tenant = ? AND idx = ?').get(tenant, index) !== undefined)
    return true;
  const one = tryEntry(() => entry(tenant, index));
  if (one?.kind === 'incident' && one.state === 'opened')
    return (
      sql('SELECT 1 FROM incident WHERE tenant = ? AND incident = ? AND since = ?').get(
        tenant,
        one.incident,
        one.time,
      ) !== undefined
    );
  if (one?.kind === 'operation' && one.action === 'lock')
    return (
      sql('SELECT 1 FROM tenant_lock WHERE tenant = ? AND since = ?').get(tenant, one.time) !== undefined
    );
  return false;
}

/**
 * Everything that follows from a letter: each entry that names it, each that is about one of those (a verdict, a
 * forwarding, a scan). Null where no letter begins under this index. An entry that does not open any more is taken
 * along: what cannot be read must go all the same.
 */
export function unitOf({ sql, entry }: UnitSource, tenant: string, letter: number): LetterUnit | null {
  const message = sql('SELECT letter FROM message WHERE tenant = ? AND idx = ?').get(tenant, letter) as
    | { letter: number | null }
    | undefined;
  if (message === undefined) return recordUnit({ sql, entry }, tenant, letter);
  if (message.letter !== null && message.letter !== letter) return null;
  const found = new Set([letter]);
  const deletions = new Set<number>();
  const fileReferences: string[] = [];
  for (const index of found) {
    const one = tryEntry(() => entry(tenant, index));
    if (one?.kind === 'deletion-outcome') {
      found.delete(index);
      deletions.add(index);
      continue;
    }
    // A confirmation that fitted nothing when it came, and fits another letter by now, goes with that one.
    if (one?.kind === 'verdict' && one.letter !== null && one.letter !== letter && one.about === letter)
      return null;
    if (one?.kind === 'verdict') found.add(one.about);
    if (one?.kind === 'submission' && one.fileReference !== undefined) fileReferences.push(one.fileReference);
    for (const next of followers(sql, tenant, index)) found.add(next);
    const scan = one === null ? null : lateScan({ sql, entry }, tenant, one);
    if (scan !== null) found.add(scan);
  }
  const ascending = (indexes: Iterable<number>) => [...indexes].sort((a, b) => a - b);
  return { entries: ascending(found), deletions: ascending(deletions), fileReferences };
}

function followers(sql: UnitSource['sql'], tenant: string, index: number): number[] {
  return [
    ...(sql('SELECT DISTINCT idx FROM letter_entry WHERE tenant = ? AND letter = ?')
      .pluck()
      .all(tenant, index) as number[]),
    ...(sql('SELECT idx FROM verdict WHERE tenant = ? AND about = ?').pluck().all(tenant, index) as number[]),
  ];
}

/** A scan names its message alone where that belongs to no letter: it is looked for among those that came after. */
function lateScan({ sql, entry }: UnitSource, tenant: string, message: Entry): number | null {
  if (!('scan' in message) || message.scan?.result !== 'not-scanned') return null;
  if (!('letter' in message) || message.letter !== null) return null;
  for (const index of sql("SELECT idx FROM entry WHERE tenant = ? AND idx > ? AND kind = 'scan' ORDER BY idx")
    .pluck()
    .all(tenant, message.index) as number[]) {
    const scan = tryEntry(() => entry(tenant, index));
    if (scan?.kind === 'scan' && scan.about === message.index) return index;
  }
  return null;
}

function tryEntry(read: () => Entry | null): Entry | null {
  try {
    return read();
  } catch {
    return null;
  }
}

/** What must not be cut off, whoever asks for it. */
export function obstaclesOf(source: UnitSource, tenant: string, unit: LetterUnit): Obstacle[] {
  const { sql, entry } = source;
  const open: readonly (readonly [Obstacle, string])[] = [
    ['handover-open', 'SELECT 1 FROM outbox WHERE tenant = ? AND letter = ?'],
    ['forward-open', 'SELECT 1 FROM forward WHERE tenant = ? AND letter = ?'],
    ['scan-open', 'SELECT 1 FROM held WHERE tenant = ? AND idx = ?'],
    ['private-waiting', 'SELECT 1 FROM waiting_private WHERE tenant = ? AND idx = ?'],
  ];
  const found: Obstacle[] = holdsOf(source, tenant, unit).length > 0 ? ['held'] : [];
  for (const [obstacle, query] of open)
    if (unit.entries.some((index) => sql(query).get(tenant, index) !== undefined)) found.push(obstacle);
  const intents = sql('SELECT idx FROM open_intent WHERE tenant = ?').pluck().all(tenant) as number[];
  const underWay = intents.some((index) => {
    const intent = tryEntry(() => entry(tenant, index));
    return intent?.kind === 'deletion-intent' && intent.copies.some((c) => unit.entries.includes(c.entry));
  });
  if (underWay) found.push('deletion-open');
  if (isInForce(source, tenant, unit.entries[0]!)) found.push('in-force');
  return found;
}

/** Newest row per letter and per file reference; `held` 1. */
const activeHolds = `
  SELECT idx AS "index", letter, reference AS fileReference FROM retention_hold h WHERE tenant = $tenant AND held = 1
    AND NOT EXISTS (SELECT 1 FROM retention_hold n WHERE n.tenant = h.tenant AND n.idx > h.idx
      AND n.letter IS h.letter AND n.reference IS h.reference)`;

export function allHolds({ sql }: Pick<UnitSource, 'sql'>, tenant: string): ActiveHold[] {
  return sql(`${activeHolds} ORDER BY idx`).all({ tenant }) as ActiveHold[];
}

/** Holds in force over a letter, by itself or by its file reference. */
export function holdsOf(
  { sql }: Pick<UnitSource, 'sql'>,
  tenant: string,
  { entries, fileReferences }: LetterUnit,
): ActiveHold[] {
  return [
    ...entries.flatMap(
      (letter) => sql(`${activeHolds} AND letter = $letter`).all({ tenant, letter }) as ActiveHold[],
    ),
    ...fileReferences.flatMap(
      (reference) =>
        sql(`${activeHolds} AND reference = $reference`).all({ tenant, reference }) as ActiveHold[],
    ),
  ];
}

/** Does everything that a deletion names go, or is it gone already? */
export function namesOnly(
  copies: DeletionOutcomeEntry['copies'],
  isGone: (index: number) => boolean,
): boolean {
  return copies.every((copy) => isGone(copy.entry));
}
