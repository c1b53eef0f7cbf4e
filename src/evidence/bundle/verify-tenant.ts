/** The export of a whole tenant verified: every bundle, every entry in its place of the logs, and what is missing. */
import { hash } from 'node:crypto';
import { check } from '../../pki/check.ts';
import { timestampVerifier } from '../../pki/timestamp.ts';
import { type CheckResult, type VerdictReport, verdictOf } from '../../pki/types.ts';
import { commitmentOf, parseEntry } from '../canonical.ts';
import type { Entry, EntryKind } from '../entry.ts';
import { MAX_RECORD_BYTES } from '../ers/evidence-record.ts';
import { verifyEvidenceRecord } from '../ers/verify-record.ts';
import { parseProof } from '../proof.ts';
import { numberHere } from '../renumbering.ts';
import { openArchive } from './archive.ts';
import { bundleFiles } from './bundle-files.ts';
import { announcementChecks, type ReadPart, readPart } from './check-archive.ts';
import { fileChecks } from './check-folder.ts';
import { checkpointsOf, type ExportedLog, readLog, type TrustedLogs, trustLogs } from './check-logs.ts';
import { type ExportFolder, openExportFolder } from './export-folder.ts';
import { entryIndexOf, entryNames } from './layout.ts';
import {
  letterOfPath,
  loosePaths,
  readTenantSummary,
  TENANT_FORMAT,
  type TenantSummary,
  tenantFiles,
} from './tenant-layout.ts';
import { type BundleCircumstances, verifyBundle } from './verify-bundle.ts';

export interface TenantVerdict {
  readonly verdict: VerdictReport['verdict'];
  readonly checks: readonly CheckResult[];
  readonly tenant: string | null;
  readonly entries: number;
  readonly bundles: number;
}

/** What was verified, for whoever takes it over. */
export interface VerifiedExport extends TenantVerdict {
  readonly folder: ExportFolder;
  readonly summary: TenantSummary;
  readonly logs: readonly ExportedLog[];
  /** Where an entry lies: the path of its bundle, or null for files of its own; of no other index. */
  readonly places: ReadonlyMap<number, string | null>;
  readonly parts: ReadonlyMap<number, ReadPart>;
}

const LONGEST_SUMMARY = 256 * 1024 * 1024;
const LONGEST_ENTRY = 16 * 1024 * 1024;
const LONGEST_SALT = 32;

/** Entries that sealing and exporting themselves make: behind the last seal there are always some. */
const resting = new Set<EntryKind>(['sealed', 'renewed', 'access']);

/** @throws Error where the folder has no readable `tenant.json` */
export async function verifyTenant(
  directory: string,
  circumstances: BundleCircumstances,
): Promise<VerifiedExport> {
  const folder = await openExportFolder(directory);
  const bytes = await folder.bytes(tenantFiles.summary, LONGEST_SUMMARY);
  if (bytes === null) throw new Error(`it holds no ${tenantFiles.summary} that can be read`);
  const summary = readTenantSummary(bytes);
  const { logs, checks } = await readLogs(folder, summary);
  const gathered = gather(summary.tenant, logs);
  await looseEntries(folder, logs, gathered);
  const trusted = trustLogs(
    logs,
    circumstances.logKeys,
    [...gathered.told.values()].sort((a, b) => a.index - b.index),
  );
  checks.push(...trusted.checks);
  const isCheckpoint = checkpointsOf(logs);
  const letters = folder.names.filter((name) => letterOfPath(name) !== null);
  for (const name of letters)
    await bundleEntries(folder, name, { ...circumstances, logKeys: trusted.keys }, gathered, isCheckpoint);
  checks.push(...gathered.checks);
  const parts = await readParts(folder, summary, isCheckpoint, checks);
  if (summary.format === TENANT_FORMAT) checks.push(...announced(gathered, parts));
  await looseRecords(folder, logs, trusted, gathered, circumstances, checks);
  checks.push(completeness(summary, gathered));
  checks.push(...(await fileChecks(folder, summary, gathered.places, parts, trusted.keys)));
  return {
    verdict: verdictOf(checks),
    checks,
    tenant: summary.tenant,
    entries: summary.entries,
    bundles: letters.length,
    folder,
    summary,
    logs,
    places: gathered.places,
    parts,
  };
}

async function readLogs(folder: ExportFolder, summary: TenantSummary) {
  const logs: ExportedLog[] = [];
  const checks: CheckResult[] = [];
  for (const log of summary.logs) {
    try {
      logs.push(await readLog(folder, log));
    } catch (error) {
      checks.push(check('log', 'failed', `${log.origin}: ${(error as Error).message}`));
    }
  }
  return { logs, checks };
}

/** What the entries say that the others are judged by. */
interface Gathered {
  readonly checks: CheckResult[];
  readonly places: Map<number, string | null>;
  /** Entries that speak of logs, seals, or others' erasure. */
  readonly told: Map<number, Entry>;
  /** Kinds of entries in files of their own. */
  readonly loose: Map<number, EntryKind>;
  /** Puts an entry into its place. @param bundle path, or null for files of its own */
  place(index: number, salt: Buffer, bytes: Buffer, where: string, bundle: string | null): void;
}

const telling = new Set<EntryKind>(['log-opened', 'log-key', 'imported', 'sealed', 'renewed', 'erased']);

function gather(tenant: string, logs: readonly ExportedLog[]): Gathered {
  const checks: CheckResult[] = [];
  const places = new Map<number, string | null>();
  const told = new Map<number, Entry>();
  const loose = new Map<number, EntryKind>();
  return {
    checks,
    places,
    told,
    loose,
    place(index, salt, bytes, where, bundle) {
      const fail = (reason: string) => void checks.push(check('log-place', 'failed', `${where} ${reason}`));
      const log = logs.find(({ base, size }) => index >= base && index < base + size);
      if (log === undefined) return fail(`is entry ${index}, which the logs do not have`);
      if (places.has(index)) return fail(`is entry ${index} once more`);
      places.set(index, bundle);
      if (!log.commitment(index - log.base).equals(commitmentOf(salt, bytes)))
        return fail(`is not what the log has as entry ${index}`);
      try {
        const entry = parseEntry(bytes);
        if (entry.tenant !== tenant || entry.index !== index)
          return fail(`says that it is entry ${entry.tenant}/${entry.index}`);
        if (telling.has(entry.kind)) told.set(index, entry);
        if (bundle === null) loose.set(index, entry.kind);
      } catch (error) {
        fail(`cannot be read: ${(error as Error).message}`);
      }
    },
  };
}

async function looseEntries(
  folder: ExportFolder,
  logs: readonly ExportedLog[],
  gathered: Gathered,
): Promise<void> {
  for (const { base, size } of logs) {
    for (let index = base; index < base + size; index++) {
      const at = loosePaths(index);
      if (!folder.has(at.entry) || !folder.has(at.salt)) continue;
      try {
        const [bytes, salt] = [
          await folder.bytes(at.entry, LONGEST_ENTRY),
          await folder.bytes(at.salt, LONGEST_SALT),
        ];
        gathered.place(index, salt!, bytes!, at.entry, null);
      } catch (error) {
        gathered.checks.push(check('files', 'failed', (error as Error).message));
      }
    }
  }
}

async function bundleEntries(
  folder: ExportFolder,
  name: string,
  circumstances: BundleCircumstances,
  gathered: Gathered,
  isCheckpoint: ReturnType<typeof checkpointsOf>,
): Promise<void> {
  const { checks } = gathered;
  try {
    using archive = await openArchive(await folder.path(name));
    const report = await verifyBundle(archive, circumstances);
    checks.push(bundleCheck(name, report));
    if (report.report !== null && report.report.letter !== letterOfPath(name))
      checks.push(check('bundle', 'failed', `${name} holds letter ${report.report.letter}`));
    const files = bundleFiles(archive.files);
    for (const file of files.names) {
      const index = entryIndexOf(file);
      if (index === null) continue;
      const own = entryNames(index);
      const [bytes, salt] = [
        await files.bytes(own.entry, LONGEST_ENTRY),
        await files.bytes(own.salt, LONGEST_SALT),
      ];
      gathered.place(index, salt ?? Buffer.alloc(0), bytes ?? Buffer.alloc(0), `${name}: ${file}`, name);
      const proof = parseProof((await files.bytes(own.proof, 262_144))?.toString('utf8') ?? '');
      const problem = isCheckpoint(proof.checkpoint);
      if (problem !== null) checks.push(check('checkpoint', 'failed', `${name}: ${own.proof}: ${problem}`));
    }
  } catch (error) {
    checks.push(check('bundle', 'failed', `${name}: ${(error as Error).message}`));
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

async function readParts(
  folder: ExportFolder,
  summary: TenantSummary,
  isCheckpoint: ReturnType<typeof checkpointsOf>,
  checks: CheckResult[],
): Promise<ReadonlyMap<number, ReadPart>> {
  const parts = new Map<number, ReadPart>();
  if (summary.format !== TENANT_FORMAT) return parts;
  let end = 0;
  let newest = 0;
  for (const part of summary.archive) {
    const fail = (reason: string) =>
      void checks.push(check('archive', 'failed', `archive timestamp ${part.number}: ${reason}`));
    const { range } = part;
    if (part.number <= newest) fail('it does not follow the one before');
    newest = part.number;
    if ((part.kind === 'seal') !== (range !== null))
      fail('only a seal has a range of entries, and each has one');
    if (range !== null) {
      if (range.from !== end || range.to <= range.from) fail(`its entries do not follow those before ${end}`);
      end = range.to;
      const problem = isCheckpoint(range.checkpoint, range.to);
      if (problem !== null)
        checks.push(check('checkpoint', 'failed', `of archive timestamp ${part.number}: ${problem}`));
    }
    try {
      parts.set(part.number, await readPart(folder, part, (number) => parts.get(number)?.part));
    } catch (error) {
      fail((error as Error).message);
    }
  }
  return parts;
}

function announced({ told }: Gathered, parts: ReadonlyMap<number, ReadPart>): CheckResult[] {
  const entries = [...told.values()].sort((a, b) => a.index - b.index);
  const imports = entries.flatMap((entry) =>
    entry.kind === 'imported' ? [{ index: entry.index, entry }] : [],
  );
  const checks = announcementChecks(
    entries.filter((entry) => entry.kind === 'sealed' || entry.kind === 'renewed'),
    parts,
    (index, number) => numberHere(imports, index, number),
  );
  return checks.length > 0
    ? checks
    : [
        check(
          'archive',
          'passed',
          `${parts.size} seals and renewals, each as the log names it, lead to their time-stamps`,
        ),
      ];
}

/** Evidence records of entries in files of their own. */
async function looseRecords(
  folder: ExportFolder,
  logs: readonly ExportedLog[],
  trusted: TrustedLogs,
  { loose, told }: Gathered,
  circumstances: BundleCircumstances,
  checks: CheckResult[],
): Promise<void> {
  const seals = [...told.values()].flatMap((entry) => (entry.kind === 'sealed' ? [entry] : []));
  const sealedTo = Math.max(0, ...seals.map(({ to }) => to));
  const excluded = new Map(
    seals.flatMap((seal) =>
      (seal.excluded ?? []).map(({ index, reason }) => [index, { reason, seal: seal.index }]),
    ),
  );
  const say = (result: CheckResult['result'], reason: string, code?: string) =>
    void checks.push(check('evidence-record', result, reason, code));
  const verifyToken = timestampVerifier(circumstances);
  const rest: string[] = [];
  const open: number[] = [];
  for (const [index, kind] of loose) {
    const at = loosePaths(index);
    const left = excluded.get(index);
    if (!folder.has(at.record)) {
      if (left !== undefined)
        say(
          'undecided',
          `entry ${index} was left out of its seal (entry ${left.seal}): ${left.reason}`,
          'entry-excluded',
        );
      else if (index < sealedTo)
        say('failed', `the record of entry ${index}, which stands under a seal, was taken out`);
      else if (resting.has(kind) && isTrusted(index, logs, trusted)) rest.push(`${index} (${kind})`);
      else open.push(index);
      continue;
    }
    try {
      const record = await folder.bytes(at.record, MAX_RECORD_BYTES);
      const [bytes, salt] = [
        await folder.bytes(at.entry, LONGEST_ENTRY),
        await folder.bytes(at.salt, LONGEST_SALT),
      ];
      const report = await verifyEvidenceRecord({
        record: record!,
        objects: [bytes!, salt!].map((content, i) => ({
          name: i === 0 ? at.entry : at.salt,
          digest: async (algorithm) => hash(algorithm, content, 'buffer'),
        })),
        time: circumstances.time,
        policy: circumstances.policy,
        verifyToken,
      });
      const problem = report.checks.find(({ result }) => result !== 'passed');
      if (problem !== undefined) say(problem.result, `entry ${index}: ${problem.reason}`, problem.code);
    } catch (error) {
      say('failed', (error as Error).message);
    }
  }
  if (open.length > 0)
    say(
      'undecided',
      `entries ${listed(open)} are under no seal: they rest on the log alone`,
      'entry-not-sealed',
    );
  if (rest.length > 0)
    say(
      'passed',
      `entries ${listed(rest)} came with the last seal or after it: they rest on the checkpoint of the log`,
    );
}

function isTrusted(index: number, logs: readonly ExportedLog[], { origins }: TrustedLogs): boolean {
  const log = logs.find(({ base, size }) => index >= base && index < base + size);
  return log !== undefined && origins.has(log.origin);
}

/** Every entry of the logs is here, or was erased, as another entry says. */
function completeness({ entries }: TenantSummary, { places, told }: Gathered): CheckResult {
  const erased = new Set(
    [...told.values()].flatMap((entry) => (entry.kind === 'erased' ? entry.entries : [])),
  );
  const missing: number[] = [];
  let gone = 0;
  for (let index = 0; index < entries; index++) {
    if (places.has(index)) continue;
    if (erased.has(index)) gone++;
    else missing.push(index);
  }
  const back = [...erased].filter((index) => places.has(index));
  if (missing.length > 0)
    return check(
      'complete',
      'failed',
      `${missing.length} of ${entries} entries were left out: ${listed(missing)}: no entry says that they were erased`,
    );
  if (back.length > 0)
    return check('complete', 'failed', `entries ${listed(back)} are here, and were erased`);
  const but = gone === 0 ? '' : `, but ${gone} that were erased, as the log says`;
  return check('complete', 'passed', `all ${entries} entries of the logs are here${but}`);
}

function listed(items: readonly (string | number)[]): string {
  const more = items.length > 50 ? `, and ${items.length - 50} more` : '';
  return `${items.slice(0, 50).join(', ')}${more}`;
}
