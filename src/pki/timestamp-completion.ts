/**
 * What a token needs before anything may cover it (BSI TR-ESOR-ERS A3.4-2): the whole path of certificates, and for
 * each of them a CRL issued after the token. CRLs, not OCSP: embedded responses break other verifiers. Done again right
 * before a renewal covers it: the list must be current then.
 */
import type { Certificate } from './certificate.ts';
import { nameOf } from './chain.ts';
import { crlStatus, readCrl } from './crl.ts';
import { revocationMemory } from './revocation-sources.ts';
import { type TimestampCircumstances, type TimestampReport, verifyTimestamp } from './timestamp.ts';
import { embedValidationData } from './timestamp-der.ts';
import type { RevocationSource } from './types.ts';

export type Completion =
  /** `report` rests on what is inside the token alone. */
  | { readonly ok: true; readonly token: Buffer; readonly report: TimestampReport }
  | { readonly ok: false; readonly reason: string; readonly report: TimestampReport };

/** Lists that a source may give for one certificate. */
const MAX_LISTS = 64;

/**
 * The token with path and fresh lists inside. Not yet possible where a list from after the token is missing: ask
 * again later. What the lists say is in the report; a revoked authority's token is completed too.
 */
export async function completeToken(
  token: Buffer,
  { trust, revocation, time }: TimestampCircumstances,
): Promise<Completion> {
  const first = await verifyTimestamp({ token, trust, revocation, time });
  if (first.token === null || first.path === null) {
    const problem = first.checks.find(({ result }) => result !== 'passed');
    return { ok: false, reason: problem?.reason ?? 'no path', report: first };
  }
  const crls: Buffer[] = [];
  for (const [index, certificate] of first.path.slice(0, -1).entries()) {
    const list = await freshList(certificate, first.path[index + 1]!, first.token.genTime, revocation);
    if (list === null) {
      const reason = `no revocation list from after the token yet for ${nameOf(certificate)}`;
      return { ok: false, reason, report: first };
    }
    crls.push(list);
  }
  const certificates = first.path.map(({ der }) => der);
  const completed = embedValidationData(token, { certificates, crls });
  const report = await verifyTimestamp({ token: completed, trust, revocation: revocationMemory([]), time });
  return { ok: true, token: completed, report };
}

/** The newest list that speaks about the certificate, if it is newer than the token. */
async function freshList(
  certificate: Certificate,
  issuer: Certificate,
  genTime: Date,
  source: RevocationSource,
): Promise<Buffer | null> {
  const found = await source.find({ certificate: certificate.der, issuer: issuer.der });
  let newest: { der: Buffer; issuedAt: Date } | null = null;
  for (const { kind, der } of found.slice(0, MAX_LISTS)) {
    const crl = kind === 'crl' ? readCrl(der) : null;
    if (crl === null) continue;
    const status = crlStatus(crl, certificate, issuer);
    if (status.kind === 'refused' || status.kind === 'other' || status.issuedAt <= genTime) continue;
    if (newest === null || status.issuedAt > newest.issuedAt) newest = { der, issuedAt: status.issuedAt };
  }
  return newest?.der ?? null;
}
