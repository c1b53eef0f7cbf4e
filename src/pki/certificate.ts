/** X.509 certificates taken apart, with nothing believed yet (RFC 5280 4). */
import { createHash, X509Certificate } from 'node:crypto';
import * as pkijs from 'pkijs';
import { readScheme } from './cms-structure.ts';
import { type SignatureResult, verifySignature } from './signature.ts';
import type { Material, SignerFact } from './types.ts';

/** Certificates have one or two KiB. */
const MAX_CERTIFICATE_BYTES = 64 * 1024;

export const OID = {
  keyUsage: '2.5.29.15',
  basicConstraints: '2.5.29.19',
  nameConstraints: '2.5.29.30',
  policies: '2.5.29.32',
  policyMappings: '2.5.29.33',
  policyConstraints: '2.5.29.36',
  extendedKeyUsage: '2.5.29.37',
  inhibitAnyPolicy: '2.5.29.54',
  subjectKeyIdentifier: '2.5.29.14',
  authorityKeyIdentifier: '2.5.29.35',
  subjectAltName: '2.5.29.17',
  issuerAltName: '2.5.29.18',
  crlDistributionPoints: '2.5.29.31',
  authorityInfoAccess: '1.3.6.1.5.5.7.1.1',
  qcStatements: '1.3.6.1.5.5.7.1.3',
  ocspNoCheck: '1.3.6.1.5.5.7.48.1.5',
} as const;

export interface Certificate {
  readonly der: Buffer;
  /** Lower-case hex. */
  readonly sha256: string;
  readonly x509: X509Certificate;
  readonly parsed: pkijs.Certificate;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly extensions: ReadonlyMap<string, pkijs.Extension>;
}

/** Parsing costs more than a signature, and the same few certificates come again with every message. */
const known = new Map<string, Certificate>();
const MOST_KNOWN = 512;

/** Reads DER. Null where it is no certificate that both OpenSSL and this program understand. */
export function readCertificate(der: Buffer): Certificate | null {
  if (der.length > MAX_CERTIFICATE_BYTES) return null;
  const sha256 = createHash('sha256').update(der).digest('hex');
  // A copy: what is kept must not keep a whole message alive.
  const found = known.get(sha256) ?? parse(Buffer.from(der), sha256);
  if (found === null) return null;
  // The one used last stays longest.
  known.delete(sha256);
  known.set(sha256, found);
  if (known.size > MOST_KNOWN) known.delete(known.keys().next().value!);
  return found;
}

function parse(der: Buffer, sha256: string): Certificate | null {
  try {
    const parsed = pkijs.Certificate.fromBER(der);
    const x509 = new X509Certificate(der);
    const list = parsed.extensions ?? [];
    const extensions = new Map(list.map((extension) => [extension.extnID, extension]));
    // RFC 5280 4.2: none twice. 4.1.1.2: both statements of the algorithm agree.
    if (extensions.size !== list.length || !parsed.signature.isEqual(parsed.signatureAlgorithm)) return null;
    const { value: notBefore } = parsed.notBefore;
    const { value: notAfter } = parsed.notAfter;
    if (Number.isNaN(notBefore.getTime()) || Number.isNaN(notAfter.getTime())) return null;
    // The bytes after a certificate belong to nobody.
    if (x509.raw.length !== der.length) return null;
    return { der, sha256, x509, parsed, notBefore, notAfter, extensions };
  } catch {
    return null;
  }
}

/** Answers about pairs that came before; they live as long as the certificates do. */
const signedBy = new WeakMap<Certificate, WeakMap<Certificate, SignatureResult>>();

/** Whether `certificate` was signed with the key of `issuer`. Names are not looked at. */
export function isSignedBy(certificate: Certificate, issuer: Certificate): SignatureResult {
  const answers = signedBy.get(certificate) ?? new WeakMap<Certificate, SignatureResult>();
  signedBy.set(certificate, answers);
  const { parsed } = certificate;
  const answer =
    answers.get(issuer) ??
    isSignedByKey(parsed.signatureAlgorithm, issuer, parsed.tbsView, parsed.signatureValue);
  answers.set(issuer, answer);
  return answer;
}

/** The signature of a certificate, CRL or OCSP response: `tbs` is what it is over. */
export function isSignedByKey(
  algorithm: pkijs.AlgorithmIdentifier,
  issuer: Certificate,
  tbs: Uint8Array,
  signature: { readonly valueBlock: { readonly valueHexView: Uint8Array } },
): SignatureResult {
  const value = signature.valueBlock.valueHexView;
  try {
    const method = readScheme(algorithm, null);
    if (method === null) return { ok: false, reason: `algorithm ${algorithm.algorithmId} is not permitted` };
    return verifySignature(method.scheme, method.hash, issuer.x509.publicKey, tbs, value);
  } catch {
    return {
      ok: false,
      reason: 'the key cannot be used: an unknown kind, or a curve with explicit parameters',
    };
  }
}

/** Whether `issuer` is the one that `certificate` names, by its name and, where both have one, its key identifier. */
export function isNamedIssuer(certificate: Certificate, issuer: Certificate): boolean {
  if (!certificate.parsed.issuer.isEqual(issuer.parsed.subject)) return false;
  const wanted = certificate.extensions.get(OID.authorityKeyIdentifier)?.parsedValue as
    | pkijs.AuthorityKeyIdentifier
    | undefined;
  const own = issuer.extensions.get(OID.subjectKeyIdentifier)?.parsedValue as
    | { valueBlock?: { valueHexView?: Uint8Array } }
    | undefined;
  const wantedId = wanted?.keyIdentifier?.valueBlock?.valueHexView;
  const ownId = own?.valueBlock?.valueHexView;
  return wantedId === undefined || ownId === undefined || Buffer.compare(wantedId, ownId) === 0;
}

/** Bit of keyUsage (RFC 5280 4.2.1.3), or null where the certificate does not restrict its key. */
export function mayKey(certificate: Certificate, bit: 0 | 1 | 5 | 6): boolean | null {
  const extension = certificate.extensions.get(OID.keyUsage);
  if (extension === undefined) return null;
  const bits = (extension.parsedValue as { valueBlock?: { valueHexView?: Uint8Array } } | undefined)
    ?.valueBlock?.valueHexView;
  return bits?.[0] !== undefined && (bits[0] & (0x80 >> bit)) !== 0;
}

/** Purposes of extendedKeyUsage, or null where it does not restrict them. */
export function purposesOf(certificate: Certificate): readonly string[] | null {
  const extension = certificate.extensions.get(OID.extendedKeyUsage);
  if (extension === undefined) return null;
  const purposes = (extension.parsedValue as pkijs.ExtKeyUsage | undefined)?.keyPurposes;
  return Array.isArray(purposes) ? purposes : [];
}

export function serialOf(certificate: Certificate): string {
  return certificate.x509.serialNumber.toLowerCase();
}

export function signerFact(certificate: Certificate): SignerFact {
  return {
    subject: oneLine(certificate.x509.subject),
    issuer: oneLine(certificate.x509.issuer),
    serial: serialOf(certificate),
    certificateSha256: certificate.sha256,
  };
}

export function materialOf(kind: Material['kind'], der: Buffer): Material {
  return { kind, sha256: createHash('sha256').update(der).digest('hex'), der };
}

/** node:crypto parts a name by line breaks. */
function oneLine(name: string | undefined): string {
  return (name ?? '').split('\n').join(', ').slice(0, 500);
}
