/** Whether the certificates of a path had been revoked when a signature was made (EN 319 102-1 5.2.5, 5.2.6). */
import { type Certificate, materialOf } from './certificate.ts';
import { nameOf } from './chain.ts';
import { check } from './check.ts';
import { crlStatus, readCrl } from './crl.ts';
import { ocspStatus, readOcsp } from './ocsp.ts';
import type { RevocationStatus } from './revocation-status.ts';
import type { CheckResult, Material, RevocationData, RevocationSource } from './types.ts';

/** Answers looked at per certificate: sources may hold anything. */
const MAX_ANSWERS = 64;

export interface RevocationInput {
  /** From the leaf to the anchor. An anchor has no issuer who could revoke it. */
  readonly path: readonly Certificate[];
  readonly source: RevocationSource;
  /** When the signature was made, as its signer claims. */
  readonly signedAt: Date;
  /** When the signature is known to have existed. */
  readonly time: Date;
}

export interface RevocationReport {
  readonly checks: readonly CheckResult[];
  /** The answers that the checks rest on. */
  readonly material: readonly Material[];
}

type Answer = Exclude<RevocationStatus, { readonly kind: 'refused' | 'other' }> & {
  readonly data: RevocationData;
};

/**
 * Asks for every certificate below the anchor. Only data issued after the signing is final: what is older may
 * not know yet of a revocation, so it leaves the check undecided.
 */
export async function checkRevocation(input: RevocationInput): Promise<RevocationReport> {
  const checks: CheckResult[] = [];
  const material = new Map<string, Material>();
  for (const [index, certificate] of input.path.slice(0, -1).entries()) {
    const issuer = input.path[index + 1]!;
    const { answers, refusals } = await ask(certificate, issuer, input.source);
    const { result, used } = judge(certificate, answers, refusals, input);
    checks.push(result);
    if (used !== null) {
      const kept = materialOf(used.data.kind, used.data.der);
      material.set(kept.sha256, kept);
    }
  }
  return { checks, material: [...material.values()] };
}

async function ask(certificate: Certificate, issuer: Certificate, source: RevocationSource) {
  const found = await source.find({ certificate: certificate.der, issuer: issuer.der });
  const answers: Answer[] = [];
  const refusals = new Set<string>();
  for (const data of found.slice(0, MAX_ANSWERS)) {
    const status = statusOf(data, certificate, issuer);
    if (status.kind === 'refused')
      refusals.add(`${data.kind === 'crl' ? 'a CRL' : 'an OCSP response'}: ${status.reason}`);
    else if (status.kind !== 'other') answers.push({ ...status, data });
  }
  return { answers, refusals: [...refusals] };
}

function statusOf(data: RevocationData, certificate: Certificate, issuer: Certificate): RevocationStatus {
  if (data.kind === 'crl') {
    const crl = readCrl(data.der);
    return crl === null
      ? { kind: 'refused', reason: 'it cannot be read' }
      : crlStatus(crl, certificate, issuer);
  }
  const ocsp = readOcsp(data.der);
  return ocsp === null
    ? { kind: 'refused', reason: 'it cannot be read' }
    : ocspStatus(ocsp, certificate, issuer);
}

/** The newest answer decides, but a revocation at or before the signing is final, whoever tells of it. */
function judge(
  certificate: Certificate,
  answers: readonly Answer[],
  refusals: readonly string[],
  { signedAt, time }: RevocationInput,
): { readonly result: CheckResult; readonly used: Answer | null } {
  const name = nameOf(certificate);
  const outcome = (result: CheckResult['result'], code: string, reason: string, used: Answer | null) => ({
    result: check('revocation', result, `${name}: ${reason}`, code),
    used,
  });
  // Of two that speak of one moment the one that knows more comes first.
  const newestFirst = [...answers].sort(
    (a, b) =>
      b.issuedAt.getTime() - a.issuedAt.getTime() ||
      Number(b.kind === 'revoked') - Number(a.kind === 'revoked'),
  );
  const newest = newestFirst[0];
  if (newest === undefined) {
    const why = refusals.length === 0 ? 'no CRL and no OCSP response' : refusals.slice(0, 3).join('; ');
    return outcome('undecided', 'revocation-unknown', why, null);
  }
  const revoked = newestFirst.find(
    ({ revokedAt, onHold }) => revokedAt !== null && !onHold && revokedAt <= signedAt,
  );
  if (revoked !== undefined) {
    const reason = `revoked ${iso(revoked.revokedAt!)}, signed ${iso(signedAt)}`;
    return outcome('failed', 'revocation-revoked', reason, revoked);
  }
  const source = newest.data.kind === 'crl' ? 'CRL' : 'OCSP';
  const of = `by ${source} of ${iso(newest.issuedAt)}`;
  if (newest.onHold && newest.revokedAt! <= time) {
    const reason = `suspended ${iso(newest.revokedAt!)} ${of}, which may be lifted again`;
    return outcome('undecided', 'revocation-on-hold', reason, newest);
  }
  if (newest.revokedAt !== null && newest.revokedAt <= time) {
    // EN 319 102-1 REVOKED_NO_POE: whoever took the key can date back.
    const reason = `revoked ${iso(newest.revokedAt)} ${of}; nothing shows that the signature existed before`;
    return outcome('undecided', 'revocation-revoked-since', reason, newest);
  }
  if (newest.issuedAt <= signedAt) {
    const reason = `not revoked ${of}, but that is older than the signature (${iso(signedAt)})`;
    return outcome('undecided', 'revocation-provisional', reason, newest);
  }
  if (newest.issuedAt < time && (newest.nextAt === null || newest.nextAt < time)) {
    const reason = `not revoked ${of}, but newer data must exist since, and the time of signing is only claimed`;
    return outcome('undecided', 'revocation-stale', reason, newest);
  }
  const later =
    newest.revokedAt === null ? 'not revoked' : `revoked ${iso(newest.revokedAt)}, so not yet when signed,`;
  return outcome('passed', 'revocation-passed', `${later} ${of}, issued after the signature`, newest);
}

function iso(date: Date): string {
  return `${date.toISOString().slice(0, 19)}Z`;
}
