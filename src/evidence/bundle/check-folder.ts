/** Files of an export: each accounted for, each as the list says that the log signed. */
import { check } from '../../pki/check.ts';
import type { CheckResult } from '../../pki/types.ts';
import { newTiles, tilePath } from '../tile-path.ts';
import type { ReadPart } from './check-archive.ts';
import type { ExportFolder } from './export-folder.ts';
import { printSums, signersOfSums } from './sums.ts';
import {
  archivePaths,
  letterOfPath,
  logFolder,
  loosePaths,
  TENANT_FORMAT,
  type TenantSummary,
  tenantFiles,
} from './tenant-layout.ts';

const LONGEST_SUMS = 1024 * 1024 * 1024;
const LONGEST_NOTE = 131_072;
const MOST_NAMED = 20;

/**
 * @param places where each entry lies
 * @param keys by which the list counts
 */
export async function fileChecks(
  folder: ExportFolder,
  summary: TenantSummary,
  places: ReadonlyMap<number, string | null>,
  parts: ReadonlyMap<number, ReadPart>,
  keys: readonly string[],
): Promise<CheckResult[]> {
  const failed = (reasons: readonly string[]) =>
    reasons.slice(0, MOST_NAMED).map((reason) => check('files', 'failed', reason));
  const problems = failed(folder.problems);
  // Earlier exports have no list: what was added to one is not told.
  if (summary.format !== TENANT_FORMAT) return problems;
  const added = strays(folder, summary, places, parts);
  const sums = (await attempt(() => folder.bytes(tenantFiles.sums, LONGEST_SUMS)))?.toString('utf8') ?? '';
  const said = new Map(
    sums.split('\n').flatMap((line) => (line === '' ? [] : [[line.slice(66), line.slice(0, 64)]])),
  );
  const own: { name: string; sha256: string }[] = [];
  const differing: string[] = [];
  for (const name of folder.names) {
    if (name === tenantFiles.sums || name === tenantFiles.sumsNote) continue;
    const sha256 = await attempt(() => folder.sha256(name));
    own.push({ name, sha256: sha256 ?? '' });
    if (said.get(name) !== sha256)
      differing.push(
        said.has(name)
          ? `${name} is not what ${tenantFiles.sums} lists`
          : `${name} was added: no list names it`,
      );
    said.delete(name);
  }
  for (const name of said.keys()) differing.push(`${JSON.stringify(name.slice(0, 200))} was taken out`);
  if (differing.length === 0 && printSums(own) !== sums)
    differing.push(`${tenantFiles.sums} is not in its form`);
  problems.push(
    ...failed([...added.map((name) => `${name} belongs to nothing in the export`), ...differing]),
  );
  if (problems.length === 0)
    problems.push(check('files', 'passed', `${folder.names.length} files, each accounted for`));
  problems.push(await signatureOf(folder, summary, sums, keys));
  return problems;
}

/** Names of files that follow from nothing. */
function strays(
  folder: ExportFolder,
  summary: TenantSummary,
  places: ReadonlyMap<number, string | null>,
  parts: ReadonlyMap<number, ReadPart>,
): string[] {
  const expected = new Set<string>(Object.values(tenantFiles));
  for (const { number, size } of summary.logs) {
    expected.add(`${logFolder(number)}/checkpoint`);
    for (const name of newTiles(0, size)) expected.add(`${logFolder(number)}/${tilePath(name)}`);
  }
  for (const number of parts.keys())
    for (const name of Object.values(archivePaths(number))) expected.add(name);
  for (const [index, bundle] of places)
    for (const name of bundle === null ? Object.values(loosePaths(index)) : [bundle]) expected.add(name);
  return folder.names.filter((name) => !expected.has(name) && letterOfPath(name) === null);
}

async function signatureOf(
  folder: ExportFolder,
  { tenant }: TenantSummary,
  sums: string,
  keys: readonly string[],
): Promise<CheckResult> {
  const say = (result: CheckResult['result'], reason: string) => check('list-signature', result, reason);
  const note = await attempt(() => folder.bytes(tenantFiles.sumsNote, LONGEST_NOTE));
  if (note === null) return say('undecided', 'nobody signed the list of files');
  try {
    return signersOfSums(note.toString('utf8'), { tenant, letter: null, sums }, keys).length > 0
      ? say('passed', 'the log signed the list of files')
      : say('undecided', 'the list of files is signed by none of the log keys that were given');
  } catch (error) {
    return say('failed', `the signature of the list of files: ${(error as Error).message}`);
  }
}

/** A file that cannot be read is none. */
async function attempt<T>(read: () => Promise<T | null>): Promise<T | null> {
  return await read().catch(() => null);
}
