/** Erasing letters: contents and everything derived from them go, index and commitment of each entry stay. */
import type { Entry } from '../../../evidence/entry.ts';
import { type EvidenceTable, evidenceTables, projectionOf } from '../../../evidence/projection.ts';
import type { Erasure, ErasureResult } from '../../retention.ts';
import { keyedDigest } from '../../sealing.ts';
import type { ErasureLine } from '../erasure-journal.ts';
import { type LetterUnit, namesOnly, obstaclesOf, unitOf } from '../letter-unit.ts';
import { copiesOfLetter } from '../renderings.ts';
import type { WriteContext } from '../write-context.ts';
import { releaseObject } from './object.ts';
import { removeCopies } from './removal.ts';

export function erase(
  context: WriteContext,
  tenant: string,
  { letters, class: name, legalBasis, actors, copies, again }: Erasure,
): ErasureResult {
  const units = new Map<number, LetterUnit>();
  const refused: { letter: number; obstacle: ErasureResult['refused'][number]['obstacle'] }[] = [];
  for (const letter of new Set(letters)) {
    const unit = unitOf(context, tenant, letter);
    const [obstacle] = unit === null ? (['no-letter'] as const) : obstaclesOf(context, tenant, unit);
    if (obstacle !== undefined) refused.push({ letter, obstacle });
    else units.set(letter, unit!);
  }
  if (units.size === 0) return { index: null, erased: [], entries: 0, refused };
  const going = new Set([...units.values()].flatMap(({ entries }) => entries));
  addDeletions(context, tenant, units, going);
  const erased = [...units.keys()].sort((a, b) => a - b);
  const entries = [...going].sort((a, b) => a - b);
  const { index } = context.append(tenant, {
    kind: 'erased',
    letters: erased,
    entries,
    class: name,
    legalBasis,
    actors,
    copies,
    ...(again === undefined ? {} : { again }),
  });
  for (const letter of erased)
    context.erasures.push({
      tenant,
      letter,
      commitment: commitment(context, tenant, letter),
      class: name,
      legalBasis,
      copies,
    });
  const objects = new Set<string>();
  for (const one of entries) for (const object of eraseEntry(context, tenant, one)) objects.add(object);
  for (const object of objects) {
    if (copies === 'remove')
      for (const copy of copiesOfLetter(context.sql, tenant, object)) removeCopies(context, tenant, copy);
    releaseObject(context, tenant, object);
  }
  return { index, erased, entries: entries.length, refused };
}

/** Only for the journal: lines that it lacks. */
export function noteErasures(context: WriteContext, _tenant: string, lines: readonly ErasureLine[]): void {
  context.erasures.push(...lines);
}

/** A deletion at the provider names copies of several letters: it goes with the last of them, and its intent too. */
function addDeletions(
  context: WriteContext,
  tenant: string,
  units: ReadonlyMap<number, LetterUnit>,
  going: Set<number>,
): void {
  const isGone = (index: number) =>
    going.has(index) ||
    context.sql('SELECT 1 FROM erased WHERE tenant = ? AND entry = ?').get(tenant, index) !== undefined;
  for (const index of new Set([...units.values()].flatMap(({ deletions }) => deletions))) {
    const outcome = context.entry(tenant, index);
    if (outcome?.kind !== 'deletion-outcome' || !namesOnly(outcome.copies, isGone)) continue;
    going.add(index);
    const intent = context.entry(tenant, outcome.intent);
    if (intent?.kind === 'deletion-intent' && namesOnly(intent.copies, isGone)) going.add(intent.index);
  }
}

function commitment({ sql }: WriteContext, tenant: string, index: number): Buffer {
  return sql('SELECT commitment FROM entry WHERE tenant = ? AND idx = ?')
    .pluck()
    .get(tenant, index) as Buffer;
}

/** Takes one entry away; its leave stands in the table `erased`. Returns the objects that it named. */
function eraseEntry(context: WriteContext, tenant: string, index: number): string[] {
  const { sql } = context;
  const digests = takeRows(context, tenant, index);
  sql(`UPDATE entry SET kind = '', time = '', key = x'', sealed = x'' WHERE tenant = ? AND idx = ?`).run(
    tenant,
    index,
  );
  for (const [table, column] of followed)
    sql(`DELETE FROM ${table} WHERE tenant = ? AND ${column} = ?`).run(tenant, index);
  return digests;
}

/** What was kept along with a letter or an entry. `fetched` stays: the provider may have the message still. */
const followed = [
  ['awaited', 'letter'],
  ['notice_once', 'letter'],
  ['reverify', 'idx'],
  ['retention_review', 'letter'],
  ['erasure_proposal', 'idx'],
] as const;

/** Derived rows: found by what they hold, since few tables have an index by entry. Returns keyed digests. */
function takeRows(context: WriteContext, tenant: string, index: number): string[] {
  const rows = rowsOf(context, tenant, index);
  let complete = rows !== null;
  const digests: string[] = [];
  for (const { table, cells } of rows ?? []) {
    const [, ...columns] = evidenceTables[table];
    const { changes } = context
      .sql(
        `DELETE FROM ${table} WHERE tenant = ? AND idx = ? ${columns.map((c) => `AND ${c} IS ?`).join(' ')}`,
      )
      .run(tenant, ...cells);
    complete &&= changes > 0;
    if (table === 'digest') digests.push(cells[1] as string);
  }
  if (complete) return digests;
  // Entry or rows are not what was written: then each table is looked through whole, and nothing of it stays.
  digests.push(
    ...(context
      .sql('SELECT digest FROM digest WHERE tenant = ? AND idx = ?')
      .pluck()
      .all(tenant, index) as string[]),
  );
  for (const table of Object.keys(evidenceTables) as EvidenceTable[])
    if (table !== 'erased')
      context.sql(`DELETE FROM ${table} WHERE tenant = ? AND idx = ?`).run(tenant, index);
  return digests;
}

function rowsOf(context: WriteContext, tenant: string, index: number) {
  let entry: Entry | null;
  try {
    entry = context.entry(tenant, index);
  } catch {
    return null;
  }
  if (entry === null) return null;
  const { address } = context.log(tenant).keys;
  const rows = projectionOf(entry, (sha256) => keyedDigest(address, sha256));
  // Equal rows go with the first of them.
  return [...new Map(rows.map((row) => [JSON.stringify(row), row])).values()];
}
