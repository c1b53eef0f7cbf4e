/**
 * ESSCertID and ESSCertIDv2 (RFC 2634 5.4, RFC 5035 4): the signed attribute that says whose certificate it is.
 * Without it another certificate over the same key could be put in the signer's place.
 */
import { createHash } from 'node:crypto';
import type { Certificate } from './certificate.ts';
import { contextTag, DerError, type Element, fieldsOf, readAll, readOid, readSingle, TAG } from './der.ts';
import { digestOf, readAlgorithmOid, SHA1 } from './digest-algorithm.ts';

const SIGNING_CERTIFICATE = '1.2.840.113549.1.9.16.2.12';
const SIGNING_CERTIFICATE_V2 = '1.2.840.113549.1.9.16.2.47';

export type SigningCertificateResult =
  | { readonly ok: true; readonly version: 1 | 2; readonly hash: string }
  | { readonly ok: false; readonly reason: string };

/**
 * Whether the signed attributes (DER SET) name that certificate. Version 1 means SHA-1: still safe here, where an
 * attacker would need a second certificate for a given value, and some authorities send nothing else. Total.
 */
export function checkSigningCertificate(
  signedAttributes: Buffer,
  certificate: Certificate,
): SigningCertificateResult {
  try {
    const named = readNamed(signedAttributes);
    if (named.length === 0)
      return { ok: false, reason: 'no signed attribute names the certificate (ESSCertIDv2)' };
    for (const { hash, value, issuerSerial } of named) {
      if (!createHash(hash).update(certificate.der).digest().equals(value)) {
        return { ok: false, reason: 'the signed attribute (ESSCertID) names another certificate' };
      }
      if (issuerSerial !== null && !isOf(issuerSerial, certificate)) {
        return {
          ok: false,
          reason: 'the signed attribute (ESSCertID) names another issuer or serial number',
        };
      }
    }
    const strongest = named.find(({ version }) => version === 2) ?? named[0]!;
    return { ok: true, version: strongest.version, hash: strongest.hash };
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
    return { ok: false, reason: `the signed attributes cannot be read: ${error.message}` };
  }
}

interface Named {
  readonly version: 1 | 2;
  readonly hash: string;
  readonly value: Buffer;
  readonly issuerSerial: Buffer | null;
}

function readNamed(signedAttributes: Buffer): Named[] {
  const found: Named[] = [];
  for (const attribute of readAll(readSingle(signedAttributes, TAG.set).content, 64)) {
    const fields = fieldsOf(attribute.content);
    const oid = readOid(fields.take(TAG.oid));
    if (oid !== SIGNING_CERTIFICATE && oid !== SIGNING_CERTIFICATE_V2) continue;
    const version = oid === SIGNING_CERTIFICATE ? 1 : 2;
    if (found.some((other) => other.version === version)) throw new DerError('ESSCertID stands there twice');
    const value = readSingle(fields.take(TAG.set).content, TAG.sequence);
    // RFC 5035 3: the first of the list is the signer's, the others those of its authorities.
    const [first] = readAll(fieldsOf(value.content).take(TAG.sequence).content, 64);
    if (first === undefined) throw new DerError('ESSCertID is an empty list');
    found.push(readIdentifier(first, version));
  }
  return found;
}

function readIdentifier(element: Element, version: 1 | 2): Named {
  const fields = fieldsOf(element.content);
  const algorithm = version === 2 ? fields.maybe(TAG.sequence) : null;
  const value = fields.take(TAG.octetString).content;
  const issuerSerial = fields.maybe(TAG.sequence)?.content ?? null;
  if (version === 1) return { version, hash: 'sha1', value, issuerSerial };
  if (algorithm === null) return { version, hash: 'sha256', value, issuerSerial };
  const oid = readAlgorithmOid(algorithm.content);
  const hash = oid === SHA1 ? 'sha1' : digestOf(oid);
  if (hash === null) throw new DerError(`ESSCertIDv2 has the digest ${oid}`);
  return { version, hash, value, issuerSerial };
}

/** IssuerSerial (RFC 5035 5): the issuer as directoryName, and the serial number. */
function isOf(issuerSerial: Buffer, certificate: Certificate): boolean {
  const fields = fieldsOf(issuerSerial);
  const names = readAll(fields.take(TAG.sequence).content, 16);
  const serial = fields.take(TAG.integer).content;
  const issuer = Buffer.from(certificate.parsed.issuer.valueBeforeDecode);
  return (
    names.some((name) => name.tag === contextTag(4) && name.content.equals(issuer)) &&
    Buffer.compare(serial, certificate.parsed.serialNumber.valueBlock.valueHexView) === 0
  );
}
