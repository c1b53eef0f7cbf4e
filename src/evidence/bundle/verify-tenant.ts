/** The export of a whole tenant verified: every bundle, every entry in its place of the logs, and what is missing. */
import { hash } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { check } from '../../pki/check.ts';
import { timestampVerifier } from '../../pki/timestamp.ts';
import { type CheckResult, type VerdictReport, verdictOf } from '../../pki/types.ts';
import { commitmentOf } from '../canonical.ts';
import { openCheckpoint } from '../checkpoint.ts';
import { verifyEvidenceRecord } from '../ers/verify-record.ts';
import { appendLeaves, edgeRoot, emptyEdge, leafHash } from '../merkle.ts';
import { parseNote, parseVerifierKey, signersOf } from '../note.ts';
import { newTiles, tilePath } from '../tile-path.ts';
import { openArchive } from './archive.ts';
import { bundleFiles } from './bundle-files.ts';
import { entryIndexOf, entryNames } from './layout.ts';
import { logFolder, loosePaths, TENANT_FORMAT, type TenantSummary } from './tenant-layout.ts';
import { type BundleCircumstances, verifyBundle } from './verify-bundle.ts';

export interface TenantVerdict {
  readonly verdict: VerdictReport['verdict'];
  readonly checks: readonly CheckResult[];
  readonly tenant: string | null;
  readonly entries: number;
  readonly bundles: number;
}

const LONGEST_FILE = 32 * 1024 * 1024;
/** Length and commitment of an entry in a tile of entries. */
const ENTRY_BYTES = 34;

/** @throws Error where the folder has no readable `tenant.json` */
export async function verifyTenant(
  directory: string,
  circumstances: BundleCircumstances,
): Promise<TenantVerdict> {
  const summary = await readSummary(directory);
  const checks: CheckResult[] = [];
  const wanted = new Map<number, Buffer>();
  for (const log of summary.logs) checks.push(await logCheck(directory, log, circumstances.logKeys, wanted));
  const found = new Set<number>();
  const place = (index: number, salt: Buffer, bytes: Buffer, where: string) => {
    found.add(index);
    if (wanted.get(index)?.equals(commitmentOf(salt, bytes)) !== true)
      checks.push(check('log-place', 'failed', `${where} is not what the log has as entry ${index}`));
  };
  const names = (await readdir(join(directory, 'letters'))).sort();
  for (const name of names) {
    using archive = await openArchive(join(directory, 'letters', name));
    const report = await verifyBundle(archive, circumstances);
    checks.push(bundleCheck(name, report));
    if (report.report !== null && report.report.tenant !== summary.tenant)
      checks.push(check('bundle', 'failed', `${name} belongs to ${report.report.tenant}`));
    const files = bundleFiles(archive.files);
    for (const file of files.names) {
      const index = entryIndexOf(file);
      if (index === null) continue;
      const own = entryNames(index);
      const [bytes, salt] = [await files.bytes(own.entry, LONGEST_FILE), await files.bytes(own.salt, 32)];
      place(index, salt ?? Buffer.alloc(0), bytes ?? Buffer.alloc(0), `${name}: ${file}`);
    }
  }
  const verifyToken = timestampVerifier(circumstances);
  for (const index of wanted.keys()) {
    if (found.has(index)) continue;
    const at = loosePaths(index);
    const [bytes, salt] = [await readSmall(directory, at.entry), await readSmall(directory, at.salt)];
    if (bytes === null || salt === null) continue;
    place(index, salt, bytes, at.entry);
    const record = await readSmall(directory, at.record);
    if (record === null) {
      checks.push(
        check('evidence-record', 'undecided', `entry ${index} is under no seal`, 'entry-not-sealed'),
      );
      continue;
    }
    const report = await verifyEvidenceRecord({
      record,
      objects: [bytes, salt].map((content, i) => ({
        name: i === 0 ? at.entry : at.salt,
        digest: async (algorithm) => hash(algorithm, content, 'buffer'),
      })),
      time: circumstances.time,
      policy: circumstances.policy,
      verifyToken,
    });
    const problem = report.checks.find(({ result }) => result !== 'passed');
    if (problem !== undefined)
      checks.push(
        check('evidence-record', problem.result, `entry ${index}: ${problem.reason}`, problem.code),
      );
  }
  const missing = [...wanted.keys()].filter((index) => !found.has(index));
  checks.push(
    missing.length === 0
      ? check('complete', 'passed', `all ${wanted.size} entries of the logs are here`)
      : check(
          'complete',
          'undecided',
          `${missing.length} of ${wanted.size} entries are not here: erased, or left out: ${missing.slice(0, 50).join(', ')}`,
        ),
  );
  return {
    verdict: verdictOf(checks),
    checks,
    tenant: summary.tenant,
    entries: wanted.size,
    bundles: names.length,
  };
}

async function readSummary(directory: string): Promise<TenantSummary> {
  const bytes = await readSmall(directory, 'tenant.json');
  if (bytes === null) throw new Error('it holds no tenant.json that can be read');
  const summary = JSON.parse(bytes.toString('utf8')) as TenantSummary;
  if (summary.format !== TENANT_FORMAT || !Array.isArray(summary.logs))
    throw new Error(`tenant.json does not have the format ${TENANT_FORMAT}`);
  return summary;
}

/** Root over all commitments, against the signed checkpoint; fills `wanted`. */
async function logCheck(
  directory: string,
  log: TenantSummary['logs'][number],
  pinned: readonly string[],
  wanted: Map<number, Buffer>,
): Promise<CheckResult> {
  const say = (result: CheckResult['result'], reason: string) =>
    check('log', result, `${log.origin}: ${reason}`);
  try {
    const folder = logFolder(Number(log.number));
    const note = (await readSmall(directory, `${folder}/checkpoint`))?.toString('utf8') ?? '';
    const { size, root, origin } = openCheckpoint(note, ...log.keys);
    if (size !== log.size || origin !== log.origin)
      return say('failed', 'its checkpoint is of another size or log');
    let edge = emptyEdge();
    for (const name of newTiles(0, size)) {
      if (name.level !== 'entries') continue;
      const bytes = await readSmall(directory, `${folder}/${tilePath(name)}`);
      if (bytes?.length !== name.width * ENTRY_BYTES)
        return say('failed', `${tilePath(name)} is missing or damaged`);
      const commitments = Array.from({ length: name.width }, (_, i) =>
        bytes.subarray(i * ENTRY_BYTES + 2, (i + 1) * ENTRY_BYTES),
      );
      for (const [i, commitment] of commitments.entries())
        wanted.set(log.base + name.n * 256 + i, Buffer.from(commitment));
      edge = appendLeaves(edge, commitments.map(leafHash)).edge;
    }
    if (size > 0 && !edgeRoot(edge).equals(root))
      return say('failed', 'its tiles do not lead to the signed root');
    const known = signersOf(parseNote(note, 'checkpoint'), pinned.map(parseVerifierKey));
    return known.length > 0
      ? say('passed', `${size} entries lead to the signed root`)
      : say('undecided', `${size} entries lead to the root, signed by none of the log keys that were given`);
  } catch (error) {
    return say('failed', (error as Error).message);
  }
}

function bundleCheck(
  name: string,
  { verdict, checks }: Awaited<ReturnType<typeof verifyBundle>>,
): CheckResult {
  if (verdict === 'valid') return check('bundle', 'passed', `${name}: valid`);
  const result = verdict === 'invalid' ? 'failed' : 'undecided';
  const problem = checks.find((each) => each.result === result);
  return check('bundle', result, `${name}: ${verdict}: ${problem?.reason}`, problem?.code);
}

async function readSmall(directory: string, name: string): Promise<Buffer | null> {
  const path = join(directory, name);
  const info = await stat(path).catch(() => null);
  return info?.isFile() === true && info.size <= LONGEST_FILE ? await readFile(path) : null;
}
