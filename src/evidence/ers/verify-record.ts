/**
 * Evidence records verified (RFC 4998 5.3, EN 319 102-1 5.6): every archive time-stamp as of the moment when the
 * next one covered it, the newest as of now. Each step is named; what could not be decided is never valid.
 */
import type { IntegrityHash } from '../../demail/integrity.ts';
import { check } from '../../pki/check.ts';
import { readSingle } from '../../pki/der.ts';
import { digestLength, readDigestAlgorithm } from '../../pki/digest-algorithm.ts';
import type { TimestampReport } from '../../pki/timestamp.ts';
import { readTimestampToken, type TimestampToken } from '../../pki/timestamp-token.ts';
import { type CheckResult, type Material, type VerdictReport, verdictOf } from '../../pki/types.ts';
import { type AlgorithmPolicy, algorithmProblem, validUntil } from './algorithm-policy.ts';
import { type ArchiveTimeStamp, type EvidenceRecord, parseEvidenceRecord } from './evidence-record.ts';
import { rootOf } from './hash-tree.ts';
import { chainDigest, digestOfTimeStamp, sequenceBound, timestampDigest } from './renewal.ts';

/** A document that the record must be about. */
export interface DataObject {
  /** For messages. */
  readonly name: string;
  /** Digest of its bytes; null where they cannot be read. */
  digest(hash: IntegrityHash): Promise<Buffer | null>;
}

export interface RecordInput {
  /** DER. */
  readonly record: Buffer;
  /** All documents of the group, in any order. */
  readonly objects: readonly DataObject[];
  readonly time: Date;
  readonly policy: AlgorithmPolicy;
  /** Verifies a token that is known to have existed at `time`: `verifyTimestamp` with anchors and revocation data. */
  verifyToken(token: Buffer, time: Date): Promise<TimestampReport>;
}

export interface RecordReport {
  readonly verdict: VerdictReport['verdict'];
  readonly checks: readonly CheckResult[];
  /** Time of the first time-stamp: the documents existed then, if the verdict is valid. */
  readonly existedAt: Date | null;
  /** When certificates or algorithms of the newest time-stamp run out: a renewal must come before. */
  readonly renewBefore: Date | null;
  readonly material: readonly Material[];
}

/** One archive time-stamp in its place. */
interface Step {
  readonly archived: ArchiveTimeStamp;
  /** Counted from 1: chain and place in it. */
  readonly chain: number;
  readonly place: number;
  /** Null where the token cannot be read. */
  readonly token: TimestampToken | null;
  readonly digest: IntegrityHash | null;
}

/** Verifies a record against its documents. Total: hostile bytes are an answer. */
export async function verifyEvidenceRecord(input: RecordInput): Promise<RecordReport> {
  const parsed = parseEvidenceRecord(input.record);
  if (!parsed.ok) return unreadable(parsed.reason);
  const { record } = parsed;
  const steps = stepsOf(record);
  const checks = [
    check('record-form', 'passed', `${steps.length} archive time-stamps in ${record.chains.length} chains`),
  ];
  checks.push(...listedChecks(record, steps));
  if (input.objects.length === 0) checks.push(check('record-objects', 'undecided', 'no document was given'));
  const material = new Map<string, Material>();
  let renewBefore: Date | null = null;
  for (const [index, step] of steps.entries()) {
    const next = steps[index + 1];
    const isFirstOfChain = step.place === 1;
    if (isFirstOfChain) checks.push(...(await objectChecks(step, record, input)));
    else checks.push(...linkChecks(step, steps[index - 1]!));
    checks.push(...treeChecks(step), ...orderChecks(step, steps[index - 1]));
    const coveredAt = next?.token?.genTime ?? input.time;
    const report = await input.verifyToken(step.archived.timeStamp, coveredAt);
    checks.push(...report.checks.map((each) => ({ ...each, reason: `${nameOf(step)}: ${each.reason}` })));
    checks.push(...algorithmChecks(step, report, coveredAt, input.policy));
    for (const item of report.material) material.set(item.sha256, item);
    if (next === undefined) renewBefore = endOf(step, report, input.policy);
  }
  return {
    verdict: verdictOf(checks),
    checks,
    existedAt: steps[0]?.token?.genTime ?? null,
    renewBefore,
    material: [...material.values()],
  };
}

function stepsOf({ chains }: EvidenceRecord): Step[] {
  return chains.flatMap((chain, chainIndex) =>
    chain.map((archived, index) => {
      const read = readTimestampToken(archived.timeStamp);
      return {
        archived,
        chain: chainIndex + 1,
        place: index + 1,
        token: read.ok ? read.token : null,
        digest: index === 0 ? chainDigest(chain) : digestOfTimeStamp(archived),
      };
    }),
  );
}

/** RFC 4998 3.1: the head of the record lists every digest that documents were hashed with. Nothing protects it. */
function listedChecks({ digestAlgorithms }: EvidenceRecord, steps: readonly Step[]): CheckResult[] {
  const listed = digestAlgorithms.map((algorithm) => readDigestAlgorithm(readSingle(algorithm)));
  return steps
    .filter(({ place, digest }) => place === 1 && digest !== null && !listed.includes(digest))
    .map((step) => {
      const reason = `${nameOf(step)}: its digest ${step.digest} is not among those that the record lists`;
      return check('record-digest', 'failed', reason, 'record-digest-unlisted');
    });
}

/** RFC 4998 5.3, 1 and 3: the documents, bound to everything before, are the first list; nothing else is. */
async function objectChecks(
  step: Step,
  record: EvidenceRecord,
  { objects }: RecordInput,
): Promise<CheckResult[]> {
  const { digest, archived } = step;
  if (digest === null) return [unknownDigest(step)];
  const found = await Promise.all(objects.map((object) => object.digest(digest)));
  const checks: CheckResult[] = [];
  const known: { name: string; value: Buffer }[] = [];
  for (const [index, value] of found.entries()) {
    const { name } = objects[index]!;
    if (value !== null) known.push({ name, value });
    else checks.push(objectCheck(step, 'undecided', `${name} cannot be read`, 'record-object-unreadable'));
  }
  const older = record.chains.slice(0, step.chain - 1);
  const values = known.map(({ value }) => value);
  const bound = older.length === 0 ? values : sequenceBound(digest, values, older);
  const list = archived.reducedHashTree?.[0] ?? (step.token === null ? [] : [step.token.imprint.digest]);
  for (const [index, value] of bound.entries()) {
    if (list.some((each) => each.equals(value))) continue;
    const why =
      older.length === 0
        ? 'it was changed, or never sealed'
        : 'it, or an older archive time-stamp, was changed';
    checks.push(
      objectCheck(step, 'failed', `${known[index]!.name} is not covered: ${why}`, 'record-object-differs'),
    );
  }
  const extra = list.filter((each) => !bound.some((value) => value.equals(each)));
  if (extra.length > 0 && found.every((value) => value !== null)) {
    const reason = `${extra.length} covered digests belong to none of the ${objects.length} documents given`;
    checks.push(objectCheck(step, 'failed', reason, 'record-object-missing'));
  }
  if (checks.length > 0) return checks;
  return [objectCheck(step, 'passed', `covers exactly ${objects.map(({ name }) => name).join(', ')}`)];
}

/** RFC 4998 5.3, 2: each archive time-stamp covers the one before, by the same digest. */
function linkChecks(step: Step, before: Step): CheckResult[] {
  const link = (result: CheckResult['result'], reason: string, code?: string) =>
    check('record-link', result, `${nameOf(step)}: ${reason}`, code);
  if (step.digest === null || before.digest === null) return [unknownDigest(step)];
  if (step.digest !== before.digest) {
    return [link('failed', `has ${step.digest}, the chain ${before.digest}`, 'record-chain-digest')];
  }
  const value = timestampDigest(step.digest, before.archived);
  const list = step.archived.reducedHashTree?.[0] ?? (step.token === null ? [] : [step.token.imprint.digest]);
  return [
    list.some((each) => each.equals(value))
      ? link('passed', `covers ${nameOf(before)}`)
      : link('failed', `does not cover ${nameOf(before)}: one of the two was exchanged or changed`),
  ];
}

/** RFC 4998 4.3: the lists lead to the imprint of the token. */
function treeChecks(step: Step): CheckResult[] {
  const { archived, digest, token } = step;
  const tree = (result: CheckResult['result'], reason: string, code?: string) =>
    check('record-hash-tree', result, `${nameOf(step)}: ${reason}`, code);
  if (token === null) return [];
  if (digest === null) return [];
  if (token.imprint.hash !== digest) {
    return [
      tree('failed', `the tree has ${digest}, its time-stamp ${token.imprint.hash}`, 'record-tree-digest'),
    ];
  }
  const lists = archived.reducedHashTree;
  if (lists === null) return [tree('passed', 'the time-stamp is over the digest itself')];
  // Without this, what is one digest and what two in a row would be open to interpretation.
  if (lists.some((list) => list.some(({ length }) => length !== digestLength[digest]))) {
    return [tree('failed', `it has digests of another length than ${digest}`, 'record-tree-length')];
  }
  const redundant = redundancy(digest, lists);
  if (redundant !== null) return [tree('failed', redundant, 'record-tree-redundant')];
  return [
    rootOf(digest, lists).equals(token.imprint.digest)
      ? tree('passed', `${lists.length} lists lead to the root that was time-stamped`)
      : tree('failed', 'the lists do not lead to the root that was time-stamped'),
  ];
}

/** A digest that stands twice, or repeats what was computed, makes verifiers disagree about the root. */
function redundancy(
  digest: IntegrityHash,
  lists: NonNullable<ArchiveTimeStamp['reducedHashTree']>,
): string | null {
  const distinct = (list: readonly Buffer[]) =>
    new Set(list.map((each) => each.toString('hex'))).size === list.length;
  for (const [index, list] of lists.entries()) {
    const before = index === 0 ? [] : [rootOf(digest, lists.slice(0, index))];
    if (!distinct([...list, ...before])) return `list ${index + 1} has a digest twice`;
  }
  return null;
}

/** RFC 4998 5.1: in the order of their times. */
function orderChecks(step: Step, before: Step | undefined): CheckResult[] {
  if (step.token === null || before === undefined || before.token === null) return [];
  const inOrder = step.token.genTime >= before.token.genTime;
  const reason = `${nameOf(step)} is ${inOrder ? 'not older' : 'older'} than ${nameOf(before)}, which it covers`;
  return [check('record-order', inOrder ? 'passed' : 'failed', reason)];
}

/** RFC 4998 5.3: every algorithm was still good enough when the next archive time-stamp came. */
function algorithmChecks(
  step: Step,
  report: TimestampReport,
  coveredAt: Date,
  policy: AlgorithmPolicy,
): CheckResult[] {
  const problems = usesOf(step, report)
    .map((use) => algorithmProblem(policy, use, coveredAt))
    .filter((problem) => problem !== null);
  if (problems.length > 0) {
    // EN 319 102-1 CRYPTO_CONSTRAINTS_FAILURE_NO_POE: it may be sound, but nothing proves it any more.
    return problems.map((problem) => check('record-algorithm', 'undecided', `${nameOf(step)}: ${problem}`));
  }
  return [check('record-algorithm', 'passed', `${nameOf(step)}: its algorithms counted ${iso(coveredAt)}`)];
}

function usesOf({ digest }: Step, { algorithms }: TimestampReport) {
  return [
    ...(digest === null ? [] : [{ name: digest, purpose: 'digest' as const, bits: null }]),
    ...algorithms,
  ];
}

function endOf(step: Step, report: TimestampReport, policy: AlgorithmPolicy): Date | null {
  const ends = usesOf(step, report).map((use) => validUntil(policy, use));
  const known = [report.validUntil, ...ends].filter((end) => end !== null);
  return known.length === 0 ? null : new Date(Math.min(...known.map((end) => end.getTime())));
}

function objectCheck(step: Step, result: CheckResult['result'], reason: string, code?: string): CheckResult {
  return check('record-objects', result, `${nameOf(step)}: ${reason}`, code);
}

function unknownDigest(step: Step): CheckResult {
  const reason = `${nameOf(step)}: its digest algorithm is none of SHA-256, SHA-384 and SHA-512`;
  return check('record-digest', 'undecided', reason, 'record-digest-unknown');
}

function nameOf({ chain, place }: Step): string {
  return `archive time-stamp ${chain}.${place}`;
}

function unreadable(reason: string): RecordReport {
  const checks = [check('record-form', 'failed', reason)];
  return { verdict: 'invalid', checks, existedAt: null, renewBefore: null, material: [] };
}

function iso(date: Date): string {
  return `${date.toISOString().slice(0, 19)}Z`;
}
