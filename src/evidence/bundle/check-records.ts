/** Manifests and evidence records: each sealed entry with exactly its files, then the checkpoints. */
import { hash } from 'node:crypto';
import { check } from '../../pki/check.ts';
import type { TimestampReport } from '../../pki/timestamp.ts';
import type { CheckResult } from '../../pki/types.ts';
import type { AlgorithmPolicy } from '../ers/algorithm-policy.ts';
import { MAX_RECORD_BYTES } from '../ers/evidence-record.ts';
import { type RecordReport, verifyEvidenceRecord } from '../ers/verify-record.ts';
import { parseProof } from '../proof.ts';
import type { BundleFiles } from './bundle-files.ts';
import { firstOf, typeOf } from './collect.ts';
import { type BundleEntry, type BundleLayout, checkpointName, entryIndexOf, recordNames } from './layout.ts';
import { digestOfManifest, filesOfManifest, printManifest } from './manifest.ts';
import type { Sealed } from './report.ts';

export interface RecordFindings {
  readonly checks: readonly CheckResult[];
  /** Entries with a record, valid or not. */
  readonly sealed: ReadonlyMap<number, Sealed>;
  /** When an entry's files existed at the latest; only where its record is valid. */
  readonly existedAt: ReadonlyMap<number, Date>;
  /** Names of manifests, records and checkpoints that belong there. */
  readonly names: readonly string[];
}

export interface RecordCircumstances {
  readonly time: Date;
  readonly policy: AlgorithmPolicy;
  verifyToken(token: Buffer, time: Date): Promise<TimestampReport>;
}

const LONGEST_MANIFEST = 4 * 1024 * 1024;

export async function checkRecords(
  files: BundleFiles,
  layout: BundleLayout,
  circumstances: RecordCircumstances,
): Promise<RecordFindings> {
  const checks: CheckResult[] = [];
  const sealed = new Map<number, Sealed>();
  const existedAt = new Map<number, Date>();
  const names: string[] = [];
  const entries = new Map(layout.entries.map((each) => [each.entry.index, each]));
  let checkpoints = 0;
  let newest = -1;
  for (let number = 1; files.has(recordNames(number).manifest); number++) {
    const at = recordNames(number);
    names.push(at.manifest, at.record);
    const text = (await files.bytes(at.manifest, LONGEST_MANIFEST))?.toString('utf8') ?? '';
    const index = entryIndexOf(filesOfManifest(text)[0] ?? '');
    const of = index === null ? undefined : entries.get(index);
    if (index !== null && (of === undefined || index <= newest || checkpoints > 0)) {
      checks.push(
        check('manifest', 'failed', `${at.manifest} is about an entry that is not there, or not in order`),
      );
      continue;
    }
    if (index === null) checkpoints++;
    else newest = index;
    const documents = of === undefined ? [checkpointName(checkpoints)] : documentsOf(of);
    if (of === undefined) names.push(documents[0]!);
    checks.push(...(await manifestCheck(files, at, text, documents, layout)));
    const record = (await files.bytes(at.record, MAX_RECORD_BYTES)) ?? Buffer.alloc(0);
    const report = await verifyEvidenceRecord({
      record,
      objects: documents.map((name) => ({ name, digest: (algorithm) => files.digest(name, algorithm) })),
      ...circumstances,
    });
    const what = of === undefined ? documents[0]! : `entry ${index}`;
    checks.push(...recordChecks(what, at.record, report));
    if (index === null) continue;
    sealed.set(index, { ...at, since: firstOf(record).since });
    if (report.verdict === 'valid' && report.existedAt !== null) existedAt.set(index, report.existedAt);
  }
  checks.push(
    ...unsealedChecks(layout, sealed),
    ...(await checkpointChecks(files, layout, sealed, checkpoints)),
  );
  return { checks, sealed, existedAt, names };
}

function documentsOf({ files, objects }: BundleEntry): string[] {
  return [files.entry, files.salt, ...objects];
}

/** There is one way to write a manifest about these files: it must be that. */
async function manifestCheck(
  files: BundleFiles,
  { manifest, record }: ReturnType<typeof recordNames>,
  text: string,
  documents: readonly string[],
  layout: BundleLayout,
): Promise<CheckResult[]> {
  const types = new Map(layout.objects.map(({ name, type }) => [name, type]));
  const digest = digestOfManifest(text);
  if (digest === null) return [check('manifest', 'failed', `${manifest} names no digest that is known`)];
  const listed: { name: string; type: string; digest: Buffer }[] = [];
  for (const name of documents) {
    const value = (await files.digest(name, digest)) ?? Buffer.alloc(0);
    listed.push({ name, type: types.get(name) ?? typeOf(name), digest: value });
  }
  return printManifest({ record, digest, files: listed }) === text
    ? [check('manifest', 'passed', `${manifest} lists exactly ${documents.join(', ')}`)]
    : [check('manifest', 'failed', `${manifest} does not list exactly ${documents.join(', ')} as they are`)];
}

/** One line where all is well; else every step that is not. */
function recordChecks(what: string, name: string, report: RecordReport): CheckResult[] {
  if (report.verdict === 'valid') {
    const since = report.existedAt?.toISOString() ?? '?';
    return [check('evidence-record', 'passed', `${what} existed at the latest at ${since} (${name})`)];
  }
  return report.checks
    .filter(({ result }) => result !== 'passed')
    .map((each) => check('evidence-record', each.result, `${what} (${name}): ${each.reason}`, each.code));
}

function unsealedChecks(layout: BundleLayout, sealed: ReadonlyMap<number, Sealed>): CheckResult[] {
  const open = layout.entries.map(({ entry }) => entry.index).filter((index) => !sealed.has(index));
  if (open.length === 0) return [];
  const reason = `no evidence record: entries ${open.slice(0, 50).join(', ')} rest on the log alone`;
  return [check('evidence-record', 'undecided', reason, 'entry-not-sealed')];
}

/** The checkpoints under records are those of the proofs of sealed entries, each once. */
async function checkpointChecks(
  files: BundleFiles,
  layout: BundleLayout,
  sealed: ReadonlyMap<number, Sealed>,
  count: number,
): Promise<CheckResult[]> {
  const known = new Set<string>();
  for (let number = 1; number <= count; number++)
    known.add((await files.digest(checkpointName(number), 'sha256'))?.toString('hex') ?? '');
  const used = new Set<string>();
  for (const { entry, files: own } of layout.entries) {
    const text = sealed.has(entry.index) ? await files.bytes(own.proof, LONGEST_MANIFEST) : null;
    if (text === null) continue;
    try {
      used.add(hash('sha256', parseProof(text.toString('utf8')).checkpoint));
    } catch {
      // The check of the proof says so.
    }
  }
  const stray = [...known].some((digest) => !used.has(digest));
  const bare = [...used].some((digest) => !known.has(digest));
  if (stray || known.size !== count)
    return [check('checkpoint', 'failed', 'a sealed checkpoint belongs to none of the proofs')];
  if (bare) return [check('checkpoint', 'undecided', 'a proof rests on a checkpoint that no record is over')];
  return [];
}
