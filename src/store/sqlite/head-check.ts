/**
 * Does a log continue what was seen of it? Compared are the database with itself, and with the checkpoints that were
 * kept outside it: a restored, truncated or forked database gives itself away before anything is signed.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { openCheckpoint } from '../../evidence/checkpoint.ts';
import { keyAt } from '../../evidence/log-keys.ts';
import { rootAt } from '../../evidence/merkle.ts';
import type { Hold, LogInfo } from '../logs.ts';
import type { StorePaths } from './paths.ts';
import type { ReadContext } from './read-context.ts';

export type HeadProblem = Omit<Hold, 'since'>;

const LONGEST_NOTE = 131_072;

/** Problems of this kind are found anew at each start, and go when they are mended. */
export const LOCAL_SOURCES = /^(database|file )/;

/**
 * Everything that speaks against continuing a tenant's log. O(log n).
 * @param files checkpoints kept elsewhere; one that is missing says nothing.
 */
export function checkHead(context: ReadContext, tenant: string, files: readonly string[]): HeadProblem[] {
  // Read before the database: a running gateway writes a file after its commit.
  const kept = files.map((file) => ({ source: `file ${file}`, ...tryRead(file) }));
  const logs = context.logs(tenant);
  const log = logs.at(-1);
  const own = log === undefined ? null : attempt(() => checkDatabase(context, tenant, log));
  const problems: HeadProblem[] =
    own === null ? [] : [{ source: 'database', reason: own, knownSize: log!.size, knownNote: null }];
  for (const { source, note, unreadable } of kept) {
    if (unreadable !== null)
      problems.push({ source, reason: unreadable, knownSize: log?.size ?? 0, knownNote: null });
    if (note === null) continue;
    const problem = log === undefined ? lost(note) : compareWithNote(context, tenant, logs, note);
    if (problem !== null) problems.push({ source, ...problem, knownNote: note });
  }
  return problems;
}

function tryRead(file: string): { note: string | null; unreadable: string | null } {
  try {
    return { note: readKept(file), unreadable: null };
  } catch (error) {
    return { note: null, unreadable: (error as Error).message };
  }
}

/** A database without the tenant's log, and a checkpoint of it: it was emptied or made anew, the tenant is not new. */
function lost(note: string): { reason: string; knownSize: number } {
  const knownSize = sizeSaid(note);
  return { reason: `it signs ${knownSize} entries, the database has no log of this tenant`, knownSize };
}

/** Where checkpoints of a tenant are kept: one file in each folder, one for each log among the published tiles. */
export function keptFiles(
  { checkpoints, tiles }: Pick<StorePaths, 'checkpoints' | 'tiles'>,
  tenant: string,
): string[] {
  const published =
    tiles === null || !existsSync(tiles)
      ? []
      : readdirSync(tiles)
          .filter((name) => name === tenant || name.startsWith(`${tenant}.`))
          .map((name) => join(tiles, name, 'checkpoint'));
  return [...checkpoints.map((folder) => join(folder, tenant)), ...published];
}

/** A kept checkpoint, or null where there is none. @throws Error for a file that is too long to be one. */
export function readKept(file: string): string | null {
  if (!existsSync(file)) return null;
  if (statSync(file).size > LONGEST_NOTE) throw new Error('it is no checkpoint: too long');
  return readFileSync(file, 'utf8');
}

/**
 * What a signed checkpoint from elsewhere says against the log; null where the log continues it. One of a closed log
 * was answered for when that was closed.
 */
export function compareWithNote(
  context: ReadContext,
  tenant: string,
  logs: readonly LogInfo[],
  note: string,
): { reason: string; knownSize: number } | null {
  const origin = note.slice(0, Math.max(0, note.indexOf('\n')));
  const log = logs.find((candidate) => candidate.origin === origin);
  if (log === undefined)
    return {
      reason: `it is of the log ${origin.slice(0, 200)}, which this database does not know: restored from before that was opened?`,
      knownSize: sizeSaid(note),
    };
  if (log.closed) return null;
  let kept: ReturnType<typeof openCheckpoint>;
  try {
    kept = openCheckpoint(note, ...log.keys.map(({ key }) => key));
  } catch (error) {
    return {
      reason: `${(error as Error).message}: a key that this database does not know?`,
      knownSize: sizeSaid(note),
    };
  }
  const knownSize = kept.size;
  if (kept.size > log.size)
    return {
      reason: `it signs ${kept.size} entries, the database has ${log.size} entries: restored from an older state, or cut`,
      knownSize,
    };
  const differs = attempt(() =>
    rootAt(kept.size, context.tiles(tenant, log.number)).equals(kept.root) ? null : 'the roots differ',
  );
  return differs === null
    ? null
    : { reason: `the first ${kept.size} entries are not those that it signed (${differs})`, knownSize };
}

function checkDatabase(context: ReadContext, tenant: string, log: LogInfo): string | null {
  const signed = openCheckpoint(log.note, keyAt(log.keys, log.size));
  if (signed.origin !== log.origin || signed.size !== log.size)
    return `its checkpoint signs ${signed.size} entries of ${signed.origin}, its row says ${log.size} of ${log.origin}`;
  const last = context.sql('SELECT MAX(idx) FROM entry WHERE tenant = ?').pluck().get(tenant) as
    | number
    | null;
  const entries = (last ?? log.base - 1) + 1 - log.base;
  if (entries !== log.size)
    return `its checkpoint signs ${log.size} entries, it has ${entries}: the log was cut`;
  return rootAt(log.size, context.tiles(tenant, log.number)).equals(signed.root)
    ? null
    : 'its tiles do not give the root that its checkpoint signs';
}

/** The size that an unverified note states, as far as it states one. */
function sizeSaid(note: string): number {
  const size = /^[^\n]*\n(\d{1,15})\n/.exec(note)?.[1];
  return size === undefined ? 0 : Number(size);
}

function attempt(look: () => string | null): string | null {
  try {
    return look();
  } catch (error) {
    return (error as Error).message;
  }
}
