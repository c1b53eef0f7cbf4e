/**
 * Time-stamp tokens verified (RFC 3161, EN 319 422, EN 319 102-1 5.4): each step a check of its own. What the
 * authority may do is decided by the configured anchors and by nothing in the token.
 */
import { hash, type KeyObject } from 'node:crypto';
import type { IntegrityHash } from '../demail/integrity.ts';
import {
  type Certificate,
  materialOf,
  mayKey,
  OID,
  purposesOf,
  readCertificate,
  signerFact,
} from './certificate.ts';
import { buildChain, nameOf } from './chain.ts';
import { check } from './check.ts';
import { verifyCms } from './cms.ts';
import { readScheme } from './cms-structure.ts';
import { derUnsigned } from './der.ts';
import { checkRevocation } from './revocation.ts';
import { revocationFrom, revocationMemory } from './revocation-sources.ts';
import { checkSigningCertificate } from './signing-certificate.ts';
import { readTimestampToken, type TimestampToken } from './timestamp-token.ts';
import type {
  CheckResult,
  Material,
  RevocationSource,
  SignerFact,
  TrustStore,
  VerdictReport,
} from './types.ts';
import { verdictOf } from './types.ts';

const TIME_STAMPING = '1.3.6.1.5.5.7.3.8';
/** Two clocks that are both right differ by less. Milliseconds. */
const CLOCK_TOLERANCE_MS = 5 * 60_000;
const MOST_KNOWN = 1_024;

export interface TimestampCircumstances {
  readonly trust: TrustStore;
  /** Asked beside what the token brings along. */
  readonly revocation: RevocationSource;
  /** When the token is known to have existed: now, or the time of a later time-stamp over it. */
  readonly time: Date;
}

export interface TimestampInput extends TimestampCircumstances {
  /** ContentInfo, BER or DER. */
  readonly token: Buffer;
  /** What it must be over. */
  readonly imprint?: { readonly hash: IntegrityHash; readonly digest: Buffer };
  /** What was asked with. */
  readonly nonce?: Buffer;
  /** Object identifiers, one of which the token must have been issued under. Default: any. */
  readonly policies?: readonly string[];
}

/** An algorithm that a proof rests on; whether it is still good enough is for a policy to say. */
export interface AlgorithmUse {
  /** `sha1`, `sha256`, `sha384`, `sha512`; `rsa`, `rsassa-pss`, `ec-dsa`. */
  readonly name: string;
  readonly purpose: 'digest' | 'signature';
  /** Of the key; null for digests. */
  readonly bits: number | null;
}

export interface TimestampReport {
  readonly verdict: VerdictReport['verdict'];
  readonly checks: readonly CheckResult[];
  /** Null where it cannot be read. */
  readonly token: TimestampToken | null;
  /** From the authority's certificate to the anchor; null where none leads to one. */
  readonly path: readonly Certificate[] | null;
  /** The authority, as far as its certificate came along. */
  readonly signer: SignerFact | null;
  readonly algorithms: readonly AlgorithmUse[];
  /** When the first certificate of the path runs out; null without a path. The token needs a renewal before. */
  readonly validUntil: Date | null;
  /** Certificates and revocation data that the verdict rests on. */
  readonly material: readonly Material[];
}

/** Verifies a token. Never rejects but where the revocation source does; hostile bytes are an answer. */
export async function verifyTimestamp(input: TimestampInput): Promise<TimestampReport> {
  const read = readTimestampToken(input.token);
  if (!read.ok) return unreadable(read.reason);
  const { token } = read;
  const checks = [
    check('timestamp-form', 'passed', 'a token in the form of RFC 3161'),
    ...claims(token, input),
  ];
  const [signer, ...others] = token.cms.signers;
  if (signer === undefined || others.length > 0) {
    checks.push(check('timestamp-signer', 'failed', `${others.length + 1} signers, a token has one`));
    return report(checks, token);
  }
  checks.push(...(await verifyCms({ cms: token.bare })).checks);
  const certificate =
    signer.certificate === null ? null : readCertificate(Buffer.from(signer.certificate.raw));
  if (certificate === null) {
    const reason = "the authority's certificate did not come along, or cannot be read";
    checks.push(check('timestamp-signer', 'undecided', reason, 'timestamp-no-certificate'));
    return report(checks, token);
  }
  const named = checkSigningCertificate(signer.signedBytes ?? Buffer.alloc(0), certificate);
  checks.push(
    named.ok
      ? check('timestamp-signer', 'passed', `ESSCertIDv${named.version} names ${nameOf(certificate)}`)
      : check('timestamp-signer', 'failed', named.reason),
    purposeCheck(certificate),
  );
  const { genTime } = token;
  const time = new Date(Math.max(input.time.getTime(), genTime.getTime()));
  const chain = buildChain({
    leaf: certificate,
    others: token.cms.certificates,
    trust: input.trust,
    signedAt: genTime,
    time,
    purpose: 'timestamps',
  });
  checks.push(...chain.checks);
  const path = chain.path ?? [];
  const source = revocationFrom(revocationMemory(token.revocation), input.revocation);
  const revocation = await checkRevocation({ path, source, signedAt: genTime, time });
  checks.push(...revocation.checks);
  const algorithms = [
    ...(named.ok ? [digestUse(named.hash)] : []),
    ...(signer.digest === null ? [] : [digestUse(signer.digest)]),
    ...(signer.scheme === null ? [] : signatureUses(signer.scheme, certificate)),
    ...path.slice(0, -1).flatMap((each, index) => issueUses(each, path[index + 1]!)),
  ];
  return {
    ...report(checks, token),
    path: chain.path,
    signer: signerFact(certificate),
    algorithms: distinct(algorithms),
    validUntil: earliest(path.slice(0, Math.max(1, path.length - 1)).map(({ notAfter }) => notAfter)),
    material: [...path.map(({ der }) => materialOf('certificate', der)), ...revocation.material],
  };
}

/** Verifies tokens as they come, each once: the many records of one seal bring the same. */
export function timestampVerifier(
  circumstances: Omit<TimestampCircumstances, 'time'>,
): (token: Buffer, time: Date) => Promise<TimestampReport> {
  const known = new Map<string, Promise<TimestampReport>>();
  return (token, time) => {
    const key = `${hash('sha256', token)} ${time.getTime()}`;
    const report = known.get(key) ?? verifyTimestamp({ ...circumstances, token, time });
    known.delete(key);
    known.set(key, report);
    if (known.size > MOST_KNOWN) known.delete(known.keys().next().value!);
    return report;
  };
}

/** What the token says, against what was asked and when it is looked at. */
function claims(token: TimestampToken, { imprint, nonce, policies, time }: TimestampInput): CheckResult[] {
  const checks: CheckResult[] = [];
  const { genTime } = token;
  checks.push(
    genTime.getTime() > time.getTime() + CLOCK_TOLERANCE_MS
      ? check(
          'timestamp-time',
          'failed',
          `its time ${iso(genTime)} lies after ${iso(time)}, when it is looked at`,
        )
      : check('timestamp-time', 'passed', `made ${iso(genTime)}`),
  );
  if (imprint !== undefined) {
    const same = token.imprint.hash === imprint.hash && token.imprint.digest.equals(imprint.digest);
    const reason = same
      ? `it is over the expected ${imprint.hash} digest`
      : `it is over another ${token.imprint.hash} digest than the expected ${imprint.hash}`;
    checks.push(check('timestamp-imprint', same ? 'passed' : 'failed', reason));
  }
  if (nonce !== undefined) {
    const same = token.nonce?.equals(derUnsigned(nonce)) === true;
    const reason = same ? 'it repeats the nonce' : 'it does not repeat the nonce: it may be an old answer';
    checks.push(check('timestamp-nonce', same ? 'passed' : 'failed', reason));
  }
  if (policies !== undefined && policies.length > 0) {
    const fits = policies.includes(token.policy);
    const reason = `issued under policy ${token.policy}${fits ? '' : `, wanted is ${policies.join(' or ')}`}`;
    checks.push(check('timestamp-policy', fits ? 'passed' : 'failed', reason));
  }
  return checks;
}

/** RFC 3161 2.3: extendedKeyUsage is critical and has timeStamping alone; the key signs. */
function purposeCheck(certificate: Certificate): CheckResult {
  const name = nameOf(certificate);
  const wrong = (reason: string) => check('timestamp-purpose', 'failed', `${name} ${reason}`);
  const purposes = purposesOf(certificate);
  if (purposes === null) return wrong('is not for time-stamps: it names no purpose');
  if (purposes.length !== 1 || purposes[0] !== TIME_STAMPING) {
    return wrong(`is not for time-stamps alone: its purposes are ${purposes.join(', ').slice(0, 200)}`);
  }
  if (certificate.extensions.get(OID.extendedKeyUsage)?.critical !== true) {
    return wrong('names its purpose, but not as critical');
  }
  if (mayKey(certificate, 0) === false && mayKey(certificate, 1) === false) {
    return wrong('is for something else than signing: its key usage says so');
  }
  return check('timestamp-purpose', 'passed', `${name} is for time-stamps alone`);
}

function report(checks: readonly CheckResult[], token: TimestampToken): TimestampReport {
  return {
    verdict: verdictOf(checks),
    checks,
    token,
    path: null,
    signer: null,
    algorithms: [],
    validUntil: null,
    material: [],
  };
}

function unreadable(reason: string): TimestampReport {
  const checks = [check('timestamp-form', 'failed', reason)];
  return {
    verdict: 'invalid',
    checks,
    token: null,
    path: null,
    signer: null,
    algorithms: [],
    validUntil: null,
    material: [],
  };
}

function digestUse(name: string): AlgorithmUse {
  return { name, purpose: 'digest', bits: null };
}

function signatureUses(scheme: { scheme: string; hash: string }, signer: Certificate): AlgorithmUse[] {
  return [{ name: scheme.scheme, purpose: 'signature', bits: keyBits(signer) }, digestUse(scheme.hash)];
}

function issueUses({ parsed }: Certificate, issuer: Certificate): AlgorithmUse[] {
  const scheme = readScheme(parsed.signatureAlgorithm, null);
  return scheme === null ? [] : signatureUses(scheme, issuer);
}

/** Bits of the modulus, or of the curve by the number in its name: prime256v1, brainpoolP384r1. */
function keyBits({ x509 }: Certificate): number | null {
  let key: KeyObject;
  try {
    key = x509.publicKey;
  } catch {
    return null;
  }
  const { modulusLength, namedCurve } = key.asymmetricKeyDetails ?? {};
  return modulusLength ?? (Number(/\d{3}/.exec(namedCurve ?? '')?.[0] ?? 0) || null);
}

function distinct(uses: readonly AlgorithmUse[]): AlgorithmUse[] {
  const keyOf = ({ name, purpose, bits }: AlgorithmUse) => `${name} ${purpose} ${bits}`;
  return [...new Map(uses.map((use) => [keyOf(use), use])).values()];
}

function earliest(dates: readonly Date[]): Date | null {
  return dates.length === 0 ? null : new Date(Math.min(...dates.map((date) => date.getTime())));
}

function iso(date: Date): string {
  return `${date.toISOString().slice(0, 19)}Z`;
}
