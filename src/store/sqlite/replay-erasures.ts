/** Brings database and journal of erasures together: an older database erases again, a newer one tells the journal. */
import type { Erasure } from '../retention.ts';
import type { ErasureLine } from './erasure-journal.ts';
import type { StorePaths } from './paths.ts';
import type { ReadContext } from './read-context.ts';
import { readJournal, readJournalTail } from './read-erasure-journal.ts';
import { holdRows } from './tenant-logs.ts';
import type { Writer } from './transactor.ts';

/** Letters that one commit takes. */
const BATCH = 100;

export interface Replayed {
  /** Letters that were erased again. */
  readonly erased: number;
  /** Letters that are to go and cannot yet, such as those in doubt; tried again at the next start. */
  readonly refused: readonly number[];
}

/**
 * Erases again what the journal names and the database still has. Costs the same however long the journal is, as long
 * as the database knows its newest lines. Nothing while the log is held: it can say nothing.
 */
export async function replayErasures(
  writer: Writer,
  context: ReadContext,
  paths: Pick<StorePaths, 'checkpoints'>,
  tenant: string,
): Promise<Replayed> {
  if (holdRows(context.sql, tenant).length > 0) return { erased: 0, refused: [] };
  await tellJournal(writer, context, paths, tenant);
  const isDone = ({ letter }: ErasureLine) =>
    context.sql('SELECT 1 FROM erased WHERE tenant = ? AND entry = ?').get(tenant, letter) !== undefined;
  if (readJournalTail(paths.checkpoints, tenant).every(isDone)) return { erased: 0, refused: [] };
  const lines = readJournal(paths.checkpoints, tenant).filter(
    (line) => !isDone(line) && isThere(context, line),
  );
  let erased = 0;
  const refused: number[] = [];
  for (const erasure of erasuresOf(lines)) {
    const result = await writer.call('erase', tenant, erasure);
    erased += result.erased.length;
    refused.push(...result.refused.map(({ letter }) => letter));
  }
  // Written once more, so that the next start meets it among the newest lines.
  const open = lines.filter(({ letter }) => refused.includes(letter));
  if (open.length > 0) await writer.call('noteErasures', tenant, open);
  return { erased, refused };
}

function isThere({ sql }: ReadContext, { tenant, letter, commitment }: ErasureLine): boolean {
  const found = sql('SELECT commitment FROM entry WHERE tenant = ? AND idx = ?')
    .pluck()
    .get(tenant, letter) as Buffer | undefined;
  return found?.equals(commitment) ?? false;
}

function* erasuresOf(lines: readonly ErasureLine[]): Generator<Erasure> {
  const alike = new Map<string, ErasureLine[]>();
  for (const line of lines) {
    const key = JSON.stringify([line.class, line.legalBasis, line.copies]);
    alike.set(key, [...(alike.get(key) ?? []), line]);
  }
  for (const group of alike.values()) {
    const { class: name, legalBasis, copies } = group[0]!;
    for (let at = 0; at < group.length; at += BATCH)
      yield {
        letters: group.slice(at, at + BATCH).map(({ letter }) => letter),
        class: name,
        legalBasis,
        copies,
        actors: [{ type: 'gateway', name: 'gateway' }],
        again: true,
      };
  }
}

/** Lines that a crash between commit and journal, or a folder out of reach, kept from being written. */
async function tellJournal(
  writer: Writer,
  context: ReadContext,
  { checkpoints }: Pick<StorePaths, 'checkpoints'>,
  tenant: string,
): Promise<void> {
  const { sql } = context;
  const missing: ErasureLine[] = [];
  let known = new Set(readJournalTail(checkpoints, tenant).map(({ letter }) => letter));
  let whole = false;
  const before = 'SELECT MAX(idx) FROM erased WHERE tenant = ? AND idx < ?';
  let index = Number.MAX_SAFE_INTEGER;
  for (;;) {
    const next = sql(before).pluck().get(tenant, index) as number | null;
    if (next === null) break;
    index = next;
    const entry = context.entry(tenant, index);
    if (entry?.kind !== 'erased') break;
    if (!whole && entry.letters.some((letter) => !known.has(letter))) {
      known = new Set(readJournal(checkpoints, tenant).map(({ letter }) => letter));
      whole = true;
    }
    const lost = entry.letters.filter((letter) => !known.has(letter));
    if (lost.length === 0) break;
    for (const letter of lost)
      missing.push({
        tenant,
        letter,
        commitment: sql('SELECT commitment FROM entry WHERE tenant = ? AND idx = ?')
          .pluck()
          .get(tenant, letter) as Buffer,
        class: entry.class,
        legalBasis: entry.legalBasis,
        copies: entry.copies,
      });
  }
  if (missing.length > 0) await writer.call('noteErasures', tenant, missing.reverse());
}
