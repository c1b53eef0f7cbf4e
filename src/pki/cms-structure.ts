/** CMS SignedData taken apart (RFC 5652 5), with nothing believed yet: pkijs reads, the checks are ours. */
import { X509Certificate } from 'node:crypto';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';
import type { IntegrityHash, SignatureScheme } from '../demail/integrity.ts';

/** A signature with its certificates and a CRL has some 10 KiB; a large CRL makes it a few hundred. */
const MAX_DETACHED_BYTES = 2 * 1024 * 1024;
/** With the content inside. */
export const MAX_CMS_BYTES = 16 * 1024 * 1024;
const MAX_CERTIFICATES = 32;
const MAX_SIGNERS = 8;
const LIMITS = { maxDepth: 40, maxNodes: 20_000, maxContentLength: MAX_CMS_BYTES, parseEmbedded: false };

const SIGNED_DATA = '1.2.840.113549.1.7.2';
const CONTENT_TYPE = '1.2.840.113549.1.9.3';
const MESSAGE_DIGEST = '1.2.840.113549.1.9.4';
const SIGNING_TIME = '1.2.840.113549.1.9.5';
const SUBJECT_KEY_IDENTIFIER = '2.5.29.14';
const RSASSA_PSS = '1.2.840.113549.1.1.10';
const MGF1 = '1.2.840.113549.1.1.8';

const digests: Record<string, IntegrityHash> = {
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
};
const scheme = (name: SignatureScheme, hash: IntegrityHash): CmsScheme => ({ scheme: name, hash });
const schemes: Record<string, CmsScheme> = {
  '1.2.840.113549.1.1.11': scheme('rsa', 'sha256'),
  '1.2.840.113549.1.1.12': scheme('rsa', 'sha384'),
  '1.2.840.113549.1.1.13': scheme('rsa', 'sha512'),
  '1.2.840.10045.4.3.2': scheme('ec-dsa', 'sha256'),
  '1.2.840.10045.4.3.3': scheme('ec-dsa', 'sha384'),
  '1.2.840.10045.4.3.4': scheme('ec-dsa', 'sha512'),
};
const RSA_ENCRYPTION = '1.2.840.113549.1.1.1';

interface CmsScheme {
  readonly scheme: SignatureScheme;
  readonly hash: IntegrityHash;
}

/** One SignerInfo; null where something is not there or not permitted, with the reason. */
export interface CmsSignerInfo {
  readonly certificate: X509Certificate | null;
  readonly digest: IntegrityHash | null;
  readonly scheme: CmsScheme | null;
  /** What was signed: the signed attributes as DER SET. Null where there are none. */
  readonly signedBytes: Buffer | null;
  readonly contentType: string | null;
  readonly messageDigest: Buffer | null;
  /** As the signer claims; nobody vouches for it. */
  readonly signingTime: Date | null;
  readonly signature: Buffer;
  /** Names of the algorithms as they stand, for messages. */
  readonly algorithms: string;
}

export interface CmsSignedData {
  readonly contentType: string;
  /** The content inside; null where the signature is detached. */
  readonly content: Buffer | null;
  /** DER, as they came. */
  readonly certificates: readonly Buffer[];
  readonly crls: readonly Buffer[];
  readonly signers: readonly CmsSignerInfo[];
}

export type CmsResult =
  | { readonly ok: true; readonly data: CmsSignedData }
  | { readonly ok: false; readonly reason: string };

/** Reads BER, DER or PEM. Total, and bounded in bytes, depth and number of elements. */
export function readSignedData(bytes: Buffer): CmsResult {
  try {
    return { ok: true, data: read(fromPem(bytes)) };
  } catch (error) {
    return { ok: false, reason: `no CMS signature: ${String((error as Error).message).slice(0, 200)}` };
  }
}

function read(ber: Buffer): CmsSignedData {
  if (ber.length > MAX_CMS_BYTES) throw new Error(`more than ${MAX_CMS_BYTES} bytes`);
  const parsed = asn1js.fromBER(ber, LIMITS);
  if (parsed.offset === -1) throw new Error(parsed.result.error || 'not ASN.1');
  if (parsed.offset !== ber.length) throw new Error(`${ber.length - parsed.offset} bytes after it`);
  const info = new pkijs.ContentInfo({ schema: parsed.result });
  if (info.contentType !== SIGNED_DATA) throw new Error(`content type ${info.contentType}`);
  const signedData = new pkijs.SignedData({ schema: info.content });
  const { encapContentInfo, signerInfos } = signedData;
  const content =
    encapContentInfo.eContent === undefined ? null : Buffer.from(encapContentInfo.eContent.getValue());
  if (content === null && ber.length > MAX_DETACHED_BYTES) {
    throw new Error(`more than ${MAX_DETACHED_BYTES} bytes without content`);
  }
  if (signerInfos.length === 0) throw new Error('nobody signed');
  if (signerInfos.length > MAX_SIGNERS) throw new Error(`more than ${MAX_SIGNERS} signers`);
  const certificates = rawElements(info.content, 0);
  if (certificates.length > MAX_CERTIFICATES) throw new Error(`more than ${MAX_CERTIFICATES} certificates`);
  const candidates = certificates.map(readCertificate).filter((candidate) => candidate !== null);
  return {
    contentType: encapContentInfo.eContentType,
    content,
    certificates,
    crls: rawElements(info.content, 1),
    signers: signerInfos.map((signer) => readSigner(signer, candidates)),
  };
}

/** The exact bytes of what stands under `[tag]` of SignedData: 0 certificates, 1 revocation lists. */
function rawElements(signedData: asn1js.AsnType, tag: number): Buffer[] {
  if (!(signedData instanceof asn1js.Sequence)) return [];
  const set = signedData.valueBlock.value.find(
    (block) => block.idBlock.tagClass === 3 && block.idBlock.tagNumber === tag,
  );
  if (!(set instanceof asn1js.Constructed)) return [];
  return set.valueBlock.value
    .filter((block) => block instanceof asn1js.Sequence)
    .map((block) => Buffer.from(block.valueBeforeDecodeView));
}

interface Candidate {
  readonly parsed: pkijs.Certificate;
  readonly x509: X509Certificate;
}

function readCertificate(der: Buffer): Candidate | null {
  try {
    return { parsed: pkijs.Certificate.fromBER(der), x509: new X509Certificate(der) };
  } catch {
    return null;
  }
}

function readSigner(signer: pkijs.SignerInfo, candidates: readonly Candidate[]): CmsSignerInfo {
  const attributes = signer.signedAttrs;
  const digest = digests[signer.digestAlgorithm.algorithmId] ?? null;
  const contentType = single(attributes, CONTENT_TYPE);
  const messageDigest = single(attributes, MESSAGE_DIGEST);
  const signingTime = single(attributes, SIGNING_TIME);
  return {
    certificate: candidates.find(({ parsed }) => identifies(signer.sid, parsed))?.x509 ?? null,
    digest,
    scheme: readScheme(signer.signatureAlgorithm, digest),
    signedBytes: attributes === undefined ? null : Buffer.from(attributes.encodedValue),
    contentType: contentType instanceof asn1js.ObjectIdentifier ? contentType.getValue() : null,
    messageDigest: messageDigest instanceof asn1js.OctetString ? Buffer.from(messageDigest.getValue()) : null,
    signingTime:
      signingTime instanceof asn1js.UTCTime || signingTime instanceof asn1js.GeneralizedTime
        ? validDate(signingTime.toDate())
        : null,
    signature: Buffer.from(signer.signature.getValue()),
    algorithms: `${signer.digestAlgorithm.algorithmId} ${signer.signatureAlgorithm.algorithmId}`,
  };
}

/** RFC 5652 11: each of these attributes occurs once, with one value; anything else counts as absent. */
function single(
  attributes: pkijs.SignedAndUnsignedAttributes | undefined,
  type: string,
): asn1js.AsnType | null {
  const found = attributes?.attributes.filter((attribute) => attribute.type === type) ?? [];
  const values: unknown[] = found[0]?.values ?? [];
  return found.length === 1 && values.length === 1 ? (values[0] as asn1js.AsnType) : null;
}

function identifies(sid: unknown, certificate: pkijs.Certificate): boolean {
  if (sid instanceof pkijs.IssuerAndSerialNumber) {
    return certificate.serialNumber.isEqual(sid.serialNumber) && certificate.issuer.isEqual(sid.issuer);
  }
  if (!(sid instanceof asn1js.BaseBlock)) return false;
  const value = certificate.extensions?.find(({ extnID }) => extnID === SUBJECT_KEY_IDENTIFIER)?.parsedValue;
  const identifier = octetsOf(sid);
  return value instanceof asn1js.OctetString && identifier?.equals(Buffer.from(value.getValue())) === true;
}

/** `[0] IMPLICIT OCTET STRING`: pkijs leaves it as a primitive, or as a constructed one around the string. */
function octetsOf(block: asn1js.BaseBlock): Buffer | null {
  if (block instanceof asn1js.OctetString) return Buffer.from(block.getValue());
  if (block instanceof asn1js.Primitive) return Buffer.from(block.valueBlock.valueHexView);
  if (block instanceof asn1js.Constructed) {
    const inner = block.valueBlock.value[0];
    return inner === undefined ? null : octetsOf(inner);
  }
  return null;
}

export function readScheme(
  algorithm: pkijs.AlgorithmIdentifier,
  digest: IntegrityHash | null,
): CmsScheme | null {
  const { algorithmId, algorithmParams } = algorithm;
  // RFC 3370 3.2: the digest of the SignerInfo is meant.
  if (algorithmId === RSA_ENCRYPTION) return digest === null ? null : scheme('rsa', digest);
  if (algorithmId !== RSASSA_PSS) return schemes[algorithmId] ?? null;
  if (algorithmParams === undefined) return null;
  const params = new pkijs.RSASSAPSSParams({ schema: algorithmParams });
  const hash = digests[params.hashAlgorithm.algorithmId];
  const { maskGenAlgorithm, saltLength, trailerField } = params;
  if (hash === undefined || maskGenAlgorithm.algorithmId !== MGF1 || trailerField !== 1) return null;
  const mask = new pkijs.AlgorithmIdentifier({ schema: maskGenAlgorithm.algorithmParams });
  // Node takes one digest for both; so does everyone's profile (RFC 4055 3.1).
  if (digests[mask.algorithmId] !== hash || saltLength < 20 || saltLength > 512) return null;
  return scheme('rsassa-pss', hash);
}

function validDate(date: Date): Date | null {
  return Number.isNaN(date.getTime()) ? null : date;
}

/** Some programs write .p7s as PEM. */
function fromPem(bytes: Buffer): Buffer {
  if (bytes[0] !== 0x2d) return bytes;
  const text = bytes.subarray(0, MAX_CMS_BYTES * 2).toString('latin1');
  const match = /^-----BEGIN (?:PKCS7|CMS)-----([A-Za-z0-9+/=\s]*)-----END (?:PKCS7|CMS)-----\s*$/.exec(text);
  return match === null ? bytes : Buffer.from(match[1]!, 'base64');
}
