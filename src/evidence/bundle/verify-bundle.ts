/**
 * A bundle verified, offline and without a store. Everything that must be in it follows from its entries, which the log
 * and the evidence records prove; what is there beside that, or is missing, is a finding. Each step is named; what could
 * not be decided is never valid.
 */
import { hash } from 'node:crypto';
import { check } from '../../pki/check.ts';
import { revocationFrom, revocationMemory } from '../../pki/revocation-sources.ts';
import { timestampVerifier } from '../../pki/timestamp.ts';
import {
  type CheckResult,
  type RevocationData,
  type RevocationSource,
  type TrustStore,
  type VerdictReport,
  verdictOf,
} from '../../pki/types.ts';
import { parseEntry } from '../canonical.ts';
import type { Entry } from '../entry.ts';
import type { AlgorithmPolicy } from '../ers/algorithm-policy.ts';
import { type ArchivedFile, type BundleFiles, bundleFiles } from './bundle-files.ts';
import { checkMessages } from './check-messages.ts';
import { type LogKeys, proofCheck } from './check-proofs.ts';
import { checkRecords, type RecordFindings } from './check-records.ts';
import { instructions } from './instructions.ts';
import {
  ASIC_E,
  type BundleLayout,
  entryIndexOf,
  entryNames,
  fixed,
  layoutOf,
  MOST_ENTRIES,
} from './layout.ts';
import { type EvidenceReport, printReport, REPORT_FORMAT, reportOf } from './report.ts';
import { reportPdf } from './report-pdf.ts';
import { printSums, signersOfSums } from './sums.ts';

export interface BundleCircumstances {
  readonly trust: TrustStore;
  /** Beside what the bundle brings along. */
  readonly revocation: RevocationSource;
  readonly time: Date;
  readonly policy: AlgorithmPolicy;
  /** Verifier keys of the log from a source that is trusted. */
  readonly logKeys: readonly string[];
}

export interface BundleVerdict {
  readonly verdict: VerdictReport['verdict'];
  readonly checks: readonly CheckResult[];
  /** What the bundle is about, as the entries say; null where they cannot be read. */
  readonly report: EvidenceReport | null;
}

/** Entries have some KiB; the largest name a thousand recipients. */
const MAX_ENTRY_BYTES = 16 * 1024 * 1024;
const MAX_TEXT_BYTES = 16 * 1024 * 1024;

/**
 * @param problems what is wrong with the container
 */
export async function verifyBundle(
  archive: { readonly files: ReadonlyMap<string, ArchivedFile>; readonly problems: readonly string[] },
  circumstances: BundleCircumstances,
): Promise<BundleVerdict> {
  const files = bundleFiles(archive.files);
  const checks: CheckResult[] = [...containerChecks(archive.problems), await mimetypeCheck(files)];
  const read = await readEntries(files);
  checks.push(...read.checks);
  if (read.subject === null) return { verdict: verdictOf(checks), checks, report: null };
  const { subject, entries } = read;
  let layout: BundleLayout;
  try {
    layout = layoutOf(subject.letter, entries);
  } catch (error) {
    checks.push(
      check('entry-form', 'failed', `the entries do not have their form: ${(error as Error).message}`),
    );
    return { verdict: verdictOf(checks), checks, report: null };
  }
  const keys: LogKeys = { pinned: circumstances.logKeys, brought: await broughtKeys(files) };
  for (const { entry, files: own } of layout.entries)
    checks.push(...(await proofCheck(files, entry, own, keys)));
  checks.push(...(await objectChecks(files, layout)));
  const time = circumstances.time;
  const material = await broughtMaterial(files, layout);
  const revocation = revocationFrom(revocationMemory(material.revocation), circumstances.revocation);
  const verifyToken = timestampVerifier({ trust: circumstances.trust, revocation });
  const records = await checkRecords(files, layout, { time, policy: circumstances.policy, verifyToken });
  checks.push(...records.checks);
  const trust: TrustStore = {
    anchorsAt: (moment) => circumstances.trust.anchorsAt(moment),
    intermediates: [...circumstances.trust.intermediates, ...material.certificates],
  };
  checks.push(...(await checkMessages(files, layout, records, { trust, revocation, time })));
  const report = await reportChecks(files, subject, layout, records, checks);
  checks.push(...(await listChecks(files, layout, records, subject, keys)));
  return { verdict: verdictOf(checks), checks, report };
}

function containerChecks(problems: readonly string[]): CheckResult[] {
  if (problems.length === 0)
    return [
      check('container', 'passed', 'a ZIP file in the form of bundles, with nothing between its files'),
    ];
  return problems.slice(0, 20).map((problem) => check('container', 'failed', problem));
}

async function mimetypeCheck(files: BundleFiles): Promise<CheckResult> {
  const bytes = await files.bytes(fixed.mimetype, ASIC_E.length);
  return bytes?.toString('latin1') === ASIC_E
    ? check('mimetype', 'passed', ASIC_E)
    : check('mimetype', 'failed', `mimetype does not say ${ASIC_E}`);
}

interface Subject {
  readonly tenant: string;
  readonly letter: number;
}

/** The entries by the names of their files, each in its place. */
async function readEntries(
  files: BundleFiles,
): Promise<{ readonly subject: Subject | null; readonly entries: Entry[]; readonly checks: CheckResult[] }> {
  const checks: CheckResult[] = [];
  const entries: Entry[] = [];
  const indexes = files.names
    .map(entryIndexOf)
    .filter((index) => index !== null)
    .sort((a, b) => a - b);
  const fail = (reason: string) => checks.push(check('entry-form', 'failed', reason));
  if (indexes.length > MOST_ENTRIES) fail(`there are more than ${MOST_ENTRIES} entries`);
  for (const index of indexes.slice(0, MOST_ENTRIES)) {
    const name = entryNames(index).entry;
    const bytes = await files.bytes(name, MAX_ENTRY_BYTES);
    try {
      const entry = parseEntry(bytes ?? Buffer.alloc(0));
      if (entry.index !== index) fail(`${name} is entry ${entry.index}`);
      else if (entry.v !== 1) fail(`${name} has format ${entry.v}, which a later release may read`);
      else entries.push(entry);
    } catch (error) {
      fail(`${name}: ${(error as Error).message}`);
    }
  }
  const subject = await readSubject(files, entries, fail);
  if (checks.length === 0)
    checks.push(check('entry-form', 'passed', `${entries.length} entries can be read`));
  return { subject: checks.some(({ result }) => result === 'failed') ? null : subject, entries, checks };
}

/** Which letter it is about: the report says so, and the entries must belong to it. */
async function readSubject(
  files: BundleFiles,
  entries: readonly Entry[],
  fail: (reason: string) => void,
): Promise<Subject | null> {
  try {
    const text = (await files.bytes(fixed.reportJson, MAX_TEXT_BYTES))?.toString('utf8') ?? '';
    const said = JSON.parse(text) as Partial<EvidenceReport>;
    if (said.format !== REPORT_FORMAT) throw new Error(`its format is not ${REPORT_FORMAT}`);
    const { tenant, letter } = said;
    if (typeof tenant !== 'string' || typeof letter !== 'number') throw new Error('it names no letter');
    for (const entry of entries) {
      if (entry.tenant !== tenant)
        fail(`entry ${entry.index} belongs to ${String(entry.tenant)}, not to ${tenant}`);
      else if (!belongs(entry, letter)) fail(`entry ${entry.index} belongs to another letter than ${letter}`);
    }
    return { tenant, letter };
  } catch (error) {
    fail(`${fixed.reportJson}: ${(error as Error).message}`);
    return null;
  }
}

function belongs(entry: Entry, letter: number): boolean {
  return entry.index === letter || ('letter' in entry && entry.letter === letter);
}

async function broughtKeys(files: BundleFiles): Promise<string[]> {
  const text = (await files.bytes(fixed.logKeys, 65_536))?.toString('utf8') ?? '';
  return text.split('\n').filter((line) => line !== '');
}

/** Each object and each form handed over is what its entry says. */
async function objectChecks(files: BundleFiles, layout: BundleLayout): Promise<CheckResult[]> {
  const checks: CheckResult[] = [];
  const fail = (reason: string) => checks.push(check('object', 'failed', reason));
  for (const { name, fact, entry } of layout.objects) {
    const digest = await files.digest(name, 'sha256');
    if (digest === null) fail(`${name}, which entry ${entry} names, is missing or cannot be read`);
    else if (digest.toString('hex') !== fact.sha256) fail(`${name} is not what entry ${entry} says`);
  }
  for (const composed of layout.composed) {
    const { name, entry, sha256 } = composed;
    const [own, together] = [await files.digest(name, 'sha256'), await files.joined(composed)];
    if (own === null) fail(`${name} is missing or cannot be read`);
    else if (own.toString('hex') !== sha256) fail(`${name} is not what entry ${entry} says was handed over`);
    else if (together?.toString('hex') !== sha256)
      fail(`${composed.header} and ${composed.body} together are not ${name}`);
  }
  if (checks.length > 0) return checks;
  const count = layout.objects.length + layout.composed.length;
  return [check('object', 'passed', `${count} messages and other objects are what the entries say`)];
}

async function broughtMaterial(files: BundleFiles, layout: BundleLayout) {
  const certificates: Buffer[] = [];
  const revocation: RevocationData[] = [];
  for (const { name } of layout.objects) {
    const kind = /^(certificate|crl|ocsp)-/.exec(name)?.[1];
    if (kind === undefined) continue;
    const der = await files.bytes(name, MAX_TEXT_BYTES);
    if (der === null) continue;
    if (kind === 'certificate') certificates.push(der);
    else revocation.push({ kind: kind as 'crl' | 'ocsp', der });
  }
  return { certificates, revocation };
}

/** The reports say what the entries say. */
async function reportChecks(
  files: BundleFiles,
  subject: Subject,
  layout: BundleLayout,
  records: RecordFindings,
  checks: CheckResult[],
): Promise<EvidenceReport | null> {
  let report: EvidenceReport;
  try {
    report = reportOf(subject, layout, records.sealed);
  } catch (error) {
    checks.push(check('report', 'failed', (error as Error).message));
    return null;
  }
  const same = async (name: string, wanted: string | Buffer) =>
    (await files.digest(name, 'sha256'))?.equals(hash('sha256', wanted, 'buffer')) === true;
  checks.push(
    (await same(fixed.reportJson, printReport(report)))
      ? check('report', 'passed', 'report.json says what the entries say')
      : check('report', 'failed', 'report.json says something else than the entries'),
  );
  for (const [name, wanted] of [
    [fixed.reportPdf, await reportPdf(report)],
    [fixed.instructions, instructions(report)],
  ] as const) {
    checks.push(
      (await same(name, wanted))
        ? check('report-text', 'passed', `${name} is what this release writes`)
        : // Another release, or another version of a library, may write it otherwise; so may a forger.
          check(
            'report-text',
            'undecided',
            `${name} is not what this release writes: go by the entries alone`,
          ),
    );
  }
  return report;
}

/** Nothing is there that is not accounted for, and the log's key signed the list. */
async function listChecks(
  files: BundleFiles,
  layout: BundleLayout,
  records: RecordFindings,
  subject: Subject,
  keys: LogKeys,
): Promise<CheckResult[]> {
  const expected = new Set<string>([
    ...Object.values(fixed),
    ...layout.entries.flatMap(({ files: own }) => Object.values(own)),
    ...layout.objects.map(({ name }) => name),
    ...layout.composed.map(({ name }) => name),
    ...records.names,
  ]);
  const checks: CheckResult[] = [];
  const extra = files.names.filter((name) => !expected.has(name));
  for (const name of extra.slice(0, 20))
    checks.push(
      check('files', 'failed', `${name} was added: no entry and no record is about it`, 'file-added'),
    );
  const missing = [...expected].filter((name) => !files.has(name) && name !== fixed.sumsNote);
  for (const name of missing.slice(0, 20))
    checks.push(check('files', 'failed', `${name} was taken out`, 'file-missing'));
  if (extra.length + missing.length === 0)
    checks.push(check('files', 'passed', `${files.names.length} files, each accounted for`));
  const sums = await listedSums(files);
  const said = (await files.bytes(fixed.sums, MAX_TEXT_BYTES))?.toString('utf8') ?? null;
  if (said !== sums) {
    checks.push(check('file-list', 'failed', `${fixed.sums} does not list exactly the files that are there`));
    return checks;
  }
  checks.push(check('file-list', 'passed', `${fixed.sums} lists every file with its digest`));
  checks.push(await signatureOfList(files, { ...subject, sums }, keys));
  return checks;
}

async function listedSums(files: BundleFiles): Promise<string> {
  const listed: { name: string; sha256: string }[] = [];
  const names = files.names.filter(
    (name) => name !== fixed.mimetype && name !== fixed.sums && name !== fixed.sumsNote,
  );
  for (const name of [fixed.mimetype, ...names.sort()])
    listed.push({ name, sha256: (await files.digest(name, 'sha256'))?.toString('hex') ?? '' });
  return printSums(listed);
}

async function signatureOfList(
  files: BundleFiles,
  list: Subject & { readonly sums: string },
  { pinned, brought }: LogKeys,
): Promise<CheckResult> {
  const say = (result: CheckResult['result'], reason: string) => check('list-signature', result, reason);
  const note = (await files.bytes(fixed.sumsNote, MAX_TEXT_BYTES))?.toString('utf8');
  if (note === undefined)
    return say('undecided', 'nobody signed the list of files: whole entries may have been left out');
  try {
    if (signersOfSums(note, list, brought).length === 0)
      return say('failed', 'the list of files carries no signature of the log');
    if (signersOfSums(note, list, pinned).length > 0)
      return say('passed', 'the log signed the list of files: the letter is here as it stood');
    return say(
      'undecided',
      pinned.length === 0
        ? 'signed by a key that the bundle brings along: give the log key by --log-key'
        : 'signed by none of the log keys that were given',
    );
  } catch (error) {
    return say('failed', `the signature of the list of files: ${(error as Error).message}`);
  }
}
