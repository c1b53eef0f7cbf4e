/** Seals and renewals of an export: what is said of each, its token, and the way of its part of the tree to that. */
import { check } from '../../pki/check.ts';
import type { CheckResult } from '../../pki/types.ts';
import type { Entry, RenewedEntry, SealedEntry } from '../entry.ts';
import { growPart, type NodeRun, nodesOfRuns, partOfTree } from '../ers/partial-tree.ts';
import { readStored } from '../verify-archive-tokens.ts';
import { parseRuns, positionsOf } from './archive-parts.ts';
import type { ExportFolder } from './export-folder.ts';
import { type ArchivePart, archivePaths } from './tenant-layout.ts';

/** A token has some KiB, with revocation lists inside some hundred. */
const LONGEST_TOKEN = 32 * 1024 * 1024;
/** Of a seal over ten million entries. */
const LONGEST_NODES = 1024 * 1024 * 1024;

/** What of a seal or renewal lies in files of its own, read and computed again. */
export interface ReadPart {
  readonly part: ArchivePart;
  readonly token: Buffer;
  readonly response: Buffer;
  /** Every node that follows from those in the file. */
  readonly nodes: readonly NodeRun[];
  /** Hex SHA-256 and length of the token as it came; null where the response has none. */
  readonly original: { readonly sha256: string; readonly size: number } | null;
}

/**
 * @param partOf an earlier part by its number
 * @throws Error saying what is missing, or does not fit
 */
export async function readPart(
  folder: ExportFolder,
  part: ArchivePart,
  partOf: (number: number) => ArchivePart | undefined,
): Promise<ReadPart> {
  const at = archivePaths(part.number);
  const required = async (name: string, limit: number) => {
    const bytes = await folder.bytes(name, limit);
    if (bytes === null) throw new Error(`${name} is missing`);
    return bytes;
  };
  const token = await required(at.token, LONGEST_TOKEN);
  const response = await required(at.response, LONGEST_TOKEN);
  const bytes = await required(at.nodes, LONGEST_NODES);
  for (const { number } of part.covers)
    if (number >= part.number || partOf(number) === undefined)
      throw new Error(`it renews ${number}, which is not before it`);
  const stored = readStored(
    { ...part, id: part.number, partial: true },
    { token, response },
    (_, problem) => {
      throw new Error(problem);
    },
  );
  let nodes: readonly NodeRun[];
  try {
    const runs = [...parseRuns(bytes, part)];
    const grown = growPart(part, runs);
    if (stored.read?.imprint.digest.equals(grown.root) !== true)
      throw new Error('its nodes do not lead to the digest that the token stamps');
    nodes = grown.nodes;
    await checkMinimal(part, runs, nodes, partOf);
  } catch (error) {
    throw new Error(`${at.nodes}: ${(error as Error).message}`, { cause: error });
  }
  return { part, token, response, nodes, original: stored.original };
}

/** The nodes are those that the tenant's groups need: no way is missing, and nothing of others comes along. */
async function checkMinimal(
  part: ArchivePart,
  given: readonly NodeRun[],
  nodes: readonly NodeRun[],
  partOf: (number: number) => ArchivePart | undefined,
): Promise<void> {
  let needed = 0;
  for await (const run of partOfTree(part, positionsOf(part, partOf), nodesOfRuns(part, nodes)))
    needed += run.hashes.length;
  if (given.reduce((sum, { hashes }) => sum + hashes.length, 0) !== needed)
    throw new Error('it holds other nodes than those that the entries need');
}

/**
 * What the log says of its seals and renewals, against those that are here.
 * @param numberHere what an archive timestamp that an entry names is called in the export; null: not here
 */
export function announcementChecks(
  announced: readonly (Entry & (SealedEntry | RenewedEntry))[],
  parts: ReadonlyMap<number, ReadPart>,
  numberHere: (index: number, number: number) => number | null,
): CheckResult[] {
  const checks: CheckResult[] = [];
  const said = new Set<number>();
  const fail = (reason: string) => checks.push(check('archive', 'failed', reason));
  for (const entry of announced) {
    const number = numberHere(entry.index, entry.archiveTimestamp);
    const found = number === null ? undefined : parts.get(number);
    if (number === null || found === undefined) {
      fail(`archive timestamp ${entry.archiveTimestamp}, which entry ${entry.index} names, is missing`);
      continue;
    }
    said.add(number);
    const problem = differenceOf(entry, found, (covered) => numberHere(entry.index, covered));
    if (problem !== null) fail(`archive timestamp ${number}: ${problem} (entry ${entry.index})`);
  }
  for (const number of parts.keys())
    if (!said.has(number)) fail(`archive timestamp ${number}: no entry of the log names it`);
  return checks;
}

function differenceOf(
  entry: SealedEntry | RenewedEntry,
  { part, original }: ReadPart,
  here: (number: number) => number | null,
): string | null {
  const list = (items: readonly { readonly index: number; readonly reason: string }[]) =>
    items
      .map(({ index, reason }) => `${index} (${reason})`)
      .sort()
      .join(', ');
  const kind =
    entry.kind === 'sealed'
      ? 'seal'
      : entry.method === 'timestamp'
        ? 'timestamp-renewal'
        : 'hash-tree-renewal';
  const wrong: [string, unknown, unknown][] = [
    ['kind', part.kind, kind],
    ['digest', part.digest, entry.digest],
    ['genTime', part.genTime, entry.genTime],
    ['authority', part.authority, entry.authority],
    ['token as it came', original?.sha256, entry.token.sha256],
    ['what it leaves out', list(part.excluded), list(entry.excluded ?? [])],
  ];
  if (entry.kind === 'sealed')
    wrong.push(['range', `${part.range?.from} to ${part.range?.to}`, `${entry.from} to ${entry.to}`]);
  else {
    const ids = (numbers: readonly number[]) => [...numbers].sort((a, b) => a - b).join(', ');
    const covered = entry.covers.map(here).filter((number) => number !== null);
    wrong.push(['what it covers', ids(part.covers.map(({ number }) => number)), ids(covered)]);
  }
  const difference = wrong.find(([, own, said]) => own !== said);
  return difference === undefined
    ? null
    : `${difference[0]} is ${difference[1]}, the entry says ${difference[2]}`;
}
