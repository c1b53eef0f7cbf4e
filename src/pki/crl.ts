/** Certificate revocation lists (RFC 5280 5, 6.3): complete ones of the certificate's own issuer. */
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';
import { type Certificate, isSignedByKey, mayKey, OID } from './certificate.ts';
import { CERTIFICATE_HOLD, REMOVE_FROM_CRL, type RevocationStatus } from './revocation-status.ts';
import type { SignatureResult } from './signature.ts';

const DELTA_INDICATOR = '2.5.29.27';
const ISSUING_DISTRIBUTION_POINT = '2.5.29.28';
const AUTHORITY_KEY_IDENTIFIER = '2.5.29.35';
const CRL_NUMBER = '2.5.29.20';
const EXPIRED_CERTS_ON_CRL = '2.5.29.60';
const REASON_CODE = '2.5.29.21';
const INVALIDITY_DATE = '2.5.29.24';

export type Crl = pkijs.CertificateRevocationList;

/** Lists can be long and are asked for every message: what was read and verified lives as long as its bytes. */
const known = new WeakMap<Buffer, Crl>();
const signedBy = new WeakMap<Crl, WeakMap<Certificate, SignatureResult>>();

/** Reads DER, which must not be changed afterwards; null where it is no CRL. */
export function readCrl(der: Buffer): Crl | null {
  try {
    const crl = known.get(der) ?? pkijs.CertificateRevocationList.fromBER(der);
    known.set(der, crl);
    return crl;
  } catch {
    return null;
  }
}

function isListOf(crl: Crl, issuer: Certificate): SignatureResult {
  const answers = signedBy.get(crl) ?? new WeakMap<Certificate, SignatureResult>();
  signedBy.set(crl, answers);
  const answer =
    answers.get(issuer) ?? isSignedByKey(crl.signatureAlgorithm, issuer, crl.tbsView, crl.signatureValue);
  answers.set(issuer, answer);
  return answer;
}

/** Did the issuer sign the list? Total. */
export function isSignedList(crl: Crl, issuer: Certificate): boolean {
  try {
    return crl.issuer.isEqual(issuer.parsed.subject) && isListOf(crl, issuer).ok;
  } catch {
    return false;
  }
}

/** What the list says about a certificate of that issuer. Total. */
export function crlStatus(crl: Crl, certificate: Certificate, issuer: Certificate): RevocationStatus {
  try {
    return read(crl, certificate, issuer);
  } catch (error) {
    return refuse(`it cannot be read: ${String((error as Error).message).slice(0, 100)}`);
  }
}

function read(crl: Crl, certificate: Certificate, issuer: Certificate): RevocationStatus {
  // A list of another issuer is not about it; lists that speak for others are indirect, and refused below.
  if (!crl.issuer.isEqual(issuer.parsed.subject)) return { kind: 'other' };
  if (!crl.signature.isEqual(crl.signatureAlgorithm)) return refuse('it names two signature algorithms');
  const signed = isListOf(crl, issuer);
  if (!signed.ok) return refuse(`it was not signed by the issuer of the certificate: ${signed.reason}`);
  if (mayKey(issuer, 6) === false) return refuse('its issuer may not sign lists: key usage');
  for (const { extnID, critical, extnValue } of crl.crlExtensions?.extensions ?? []) {
    if (extnID === DELTA_INDICATOR) return refuse('it is a delta list, and so incomplete');
    if (extnID === ISSUING_DISTRIBUTION_POINT) {
      const why = outOfScope(Buffer.from(extnValue.valueBlock.valueHexView), certificate);
      if (why !== null) return refuse(why);
    } else if (critical && extnID !== AUTHORITY_KEY_IDENTIFIER && extnID !== CRL_NUMBER) {
      return refuse(`it has a critical extension that is not understood (${extnID})`);
    }
  }
  const issuedAt = crl.thisUpdate.value;
  const nextAt = crl.nextUpdate?.value ?? null;
  if (Number.isNaN(issuedAt.getTime()) || Number.isNaN(nextAt?.getTime() ?? 0))
    return refuse('its dates are none');
  const serial = Buffer.from(certificate.parsed.serialNumber.valueBlock.valueHexView);
  for (const entry of crl.revokedCertificates ?? []) {
    for (const { extnID, critical } of entry.crlEntryExtensions?.extensions ?? []) {
      // certificateIssuer (2.5.29.29) is always critical: then entries are about certificates of others.
      if (critical && extnID !== REASON_CODE && extnID !== INVALIDITY_DATE) {
        return refuse(`an entry has a critical extension that is not understood (${extnID})`);
      }
    }
    if (Buffer.compare(serial, entry.userCertificate.valueBlock.valueHexView) !== 0) continue;
    const reason = reasonOf(entry);
    // Stands in delta lists alone; in a complete one it means that the certificate is not revoked.
    if (reason === REMOVE_FROM_CRL) break;
    const revokedAt = new Date(Math.min(entry.revocationDate.value.getTime(), invalidityOf(entry)));
    if (Number.isNaN(revokedAt.getTime())) return refuse('the entry of the certificate has no date');
    return { kind: 'revoked', issuedAt, nextAt, revokedAt, onHold: reason === CERTIFICATE_HOLD };
  }
  const keepsExpired =
    crl.crlExtensions?.extensions.some(({ extnID }) => extnID === EXPIRED_CERTS_ON_CRL) === true;
  // RFC 5280 5: what has expired is taken off the list.
  if (issuedAt > certificate.notAfter && !keepsExpired) {
    return refuse('the certificate had expired when it was issued, so may have been taken off');
  }
  return { kind: 'good', issuedAt, nextAt, revokedAt: null, onHold: false };
}

/** RFC 5280 5.2.5: why a list with that issuingDistributionPoint does not speak for the certificate. */
function outOfScope(der: Buffer, certificate: Certificate): string | null {
  const point = pkijs.IssuingDistributionPoint.fromBER(der);
  if (point.indirectCRL) return 'it is an indirect list, which speaks for several issuers';
  if (point.onlySomeReasons !== undefined) return 'it is incomplete: some reasons of revocation only';
  if (point.onlyContainsAttributeCerts) return 'it is about attribute certificates only';
  const basic = certificate.extensions.get(OID.basicConstraints)?.parsedValue as
    | pkijs.BasicConstraints
    | undefined;
  const isAuthority = basic?.cA === true;
  if (point.onlyContainsUserCerts && isAuthority) return 'it is not about authorities';
  if (point.onlyContainsCACerts && !isAuthority) return 'it is about authorities only';
  if (point.distributionPoint === undefined) return null;
  const names = distributionUrls(certificate);
  const own = urlsOf(point.distributionPoint);
  return own.some((url) => names.includes(url))
    ? null
    : 'it is one part of several, and not the one of this certificate';
}

/** URLs of cRLDistributionPoints. */
export function distributionUrls(certificate: Certificate): string[] {
  const points = certificate.extensions.get(OID.crlDistributionPoints)?.parsedValue as
    | pkijs.CRLDistributionPoints
    | undefined;
  const list = points?.distributionPoints ?? [];
  // A point with a cRLIssuer is of an indirect list.
  return list.filter(({ cRLIssuer }) => cRLIssuer === undefined).flatMap((p) => urlsOf(p.distributionPoint));
}

function urlsOf(name: unknown): string[] {
  if (!Array.isArray(name)) return [];
  return name
    .filter((entry) => entry?.type === 6 && typeof entry.value === 'string')
    .map(({ value }) => value);
}

function reasonOf(entry: pkijs.RevokedCertificate): number | null {
  const value = parsedExtension(entry, REASON_CODE);
  return value instanceof asn1js.Enumerated ? value.valueBlock.valueDec : null;
}

/** Milliseconds; infinite where the entry has none. */
function invalidityOf(entry: pkijs.RevokedCertificate): number {
  const value = parsedExtension(entry, INVALIDITY_DATE);
  return value instanceof asn1js.GeneralizedTime ? value.toDate().getTime() : Number.POSITIVE_INFINITY;
}

function parsedExtension(entry: pkijs.RevokedCertificate, id: string): unknown {
  const extension = entry.crlEntryExtensions?.extensions.find(({ extnID }) => extnID === id);
  if (extension === undefined) return null;
  return asn1js.fromBER(extension.extnValue.valueBlock.valueHexView).result;
}

function refuse(reason: string): RevocationStatus {
  return { kind: 'refused', reason };
}
