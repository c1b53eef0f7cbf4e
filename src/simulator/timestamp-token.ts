/**
 * Requests, tokens and responses of RFC 3161, in DER. The token is CMS SignedData version 3 with one
 * SignerInfo version 1, named by issuer and serial number, with signingCertificateV2 (RFC 5816) and nothing
 * unsigned.
 */
import { createHash, randomBytes } from 'node:crypto';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';
import { arrayBuffer, ecdsaIds } from './certificate.ts';
import {
  bits,
  encode,
  generalizedTime,
  integer,
  octets,
  oid,
  raw,
  sequence,
  set,
  sorted,
  tagged,
} from './der.ts';
import { type HashName, type Signer, signBytes } from './signer.ts';

const digestIds: Readonly<Record<HashName, string>> = {
  sha256: '2.16.840.1.101.3.4.2.1',
  sha384: '2.16.840.1.101.3.4.2.2',
  sha512: '2.16.840.1.101.3.4.2.3',
};
/** Length in bytes of each digest that is stamped, by its OID. */
export const digestLengths = new Map([
  [digestIds.sha256, 32],
  [digestIds.sha384, 48],
  [digestIds.sha512, 64],
]);

const rsaEncryption = '1.2.840.113549.1.1.1';
const contentType = '1.2.840.113549.1.9.3';
const messageDigest = '1.2.840.113549.1.9.4';
const signingCertificateV2 = '1.2.840.113549.1.9.16.2.47';
const tstInfo = '1.2.840.113549.1.9.16.1.4';
const signedData = '1.2.840.113549.1.7.2';

export interface TimestampRequest {
  readonly version: number;
  /** OID of the digest. */
  readonly algorithm: string;
  readonly imprint: Buffer;
  readonly policy: string | undefined;
  /** Content octets of the INTEGER. */
  readonly nonce: Buffer | undefined;
  readonly certReq: boolean;
  readonly hasExtensions: boolean;
}

/** Undefined where the bytes are no TimeStampReq, or more than one. */
export function parseRequest(bytes: Buffer): TimestampRequest | undefined {
  try {
    const { offset, result } = asn1js.fromBER(arrayBuffer(bytes));
    if (offset !== bytes.length) return undefined;
    const request = new pkijs.TimeStampReq({ schema: result });
    return {
      version: request.version,
      algorithm: request.messageImprint.hashAlgorithm.algorithmId,
      imprint: Buffer.from(request.messageImprint.hashedMessage.valueBlock.valueHexView),
      policy: request.reqPolicy,
      nonce: request.nonce && Buffer.from(request.nonce.valueBlock.valueHexView),
      certReq: request.certReq ?? false,
      hasExtensions: request.extensions !== undefined,
    };
  } catch {
    return undefined;
  }
}

export interface TokenContent {
  readonly policy: string;
  readonly algorithm: string;
  readonly imprint: Uint8Array;
  readonly time: Date;
  readonly nonce?: Uint8Array | undefined;
}

export interface TokenForm {
  /** The signer's certificate goes into the token. */
  readonly withCertificate: boolean;
  /** DER of the certificate that signingCertificateV2 names; undefined leaves the attribute out. */
  readonly names: Buffer | undefined;
  /** The signature value is not that of the attributes. */
  readonly spoilt?: boolean;
}

/** A TimeStampToken, DER. */
export function issueToken(content: TokenContent, signer: Signer, form: TokenForm): Buffer {
  const info = infoDer(content);
  const certificate = pkijs.Certificate.fromBER(arrayBuffer(signer.certificateDer));
  const digest = algorithm(digestIds[signer.hash]);
  const attributes = signedAttributes(info, signer, form);
  const signature = signBytes(signer, encode(set(attributes)), 'der');
  if (form.spoilt) signature[signature.length - 1]! ^= 1;
  const signerInfo = sequence([
    integer(1),
    sequence([certificate.issuer.toSchema(), certificate.serialNumber]),
    digest,
    tagged(0, sorted(attributes)),
    signatureAlgorithm(signer),
    octets(signature),
  ]);
  const data = sequence([
    integer(3),
    set([digest]),
    sequence([oid(tstInfo), tagged(0, [octets(info)])]),
    ...(form.withCertificate ? [tagged(0, [raw(signer.certificateDer)])] : []),
    set([signerInfo]),
  ]);
  return encode(sequence([oid(signedData), tagged(0, [data])]));
}

/** A TimeStampResp of status granted; without a token it is one that breaks RFC 3161 2.4.2. */
export function grantedResponse(token?: Buffer): Buffer {
  return encode(sequence([sequence([integer(0)]), ...(token ? [raw(token)] : [])]));
}

/** RFC 3161 2.4.2. */
export const failures = {
  badAlg: 0,
  badRequest: 2,
  badDataFormat: 5,
  timeNotAvailable: 14,
  unacceptedPolicy: 15,
  unacceptedExtension: 16,
  systemFailure: 25,
} as const;
export type Failure = keyof typeof failures;

/** A TimeStampResp without a token: `rejection` (2), or `waiting` (3) as RFC 3161 lets nobody say. */
export function refusedResponse(failure: Failure, text: string, status: 2 | 3 = 2): Buffer {
  const bit = failures[failure];
  const flags = Buffer.alloc((bit >> 3) + 1);
  flags[bit >> 3] = 0x80 >> (bit & 7);
  const failInfo = bits(flags, 7 - (bit & 7));
  const freeText = sequence([new asn1js.Utf8String({ value: text })]);
  return encode(sequence([sequence([integer(status), freeText, failInfo])]));
}

function infoDer({ policy, algorithm: digest, imprint, time, nonce }: TokenContent): Buffer {
  return encode(
    sequence([
      integer(1),
      oid(policy),
      sequence([algorithm(digest), octets(imprint)]),
      new asn1js.Integer({ valueHex: arrayBuffer(positive(randomBytes(16))) }),
      generalizedTime(time),
      // Accuracy: one second.
      sequence([integer(1)]),
      ...(nonce ? [new asn1js.Integer({ valueHex: arrayBuffer(nonce) })] : []),
    ]),
  );
}

function signedAttributes(info: Buffer, signer: Signer, form: TokenForm): asn1js.BaseBlock[] {
  const attribute = (type: string, value: asn1js.BaseBlock) => sequence([oid(type), set([value])]);
  const attributes = [
    attribute(contentType, oid(tstInfo)),
    attribute(messageDigest, octets(createHash(signer.hash).update(info).digest())),
  ];
  if (form.names) attributes.push(attribute(signingCertificateV2, certificateName(form.names, signer.hash)));
  return attributes;
}

/** RFC 5035 3: SigningCertificateV2 of one ESSCertIDv2; DER leaves out the default algorithm, SHA-256. */
function certificateName(der: Buffer, hash: HashName): asn1js.BaseBlock {
  const { issuer, serialNumber } = pkijs.Certificate.fromBER(arrayBuffer(der));
  const directoryName = tagged(4, [issuer.toSchema()]);
  const issuerSerial = sequence([sequence([directoryName]), serialNumber]);
  const algorithm = hash === 'sha256' ? [] : [sequence([oid(digestIds[hash])])];
  const digest = octets(createHash(hash).update(der).digest());
  return sequence([sequence([sequence([...algorithm, digest, issuerSerial])])]);
}

function signatureAlgorithm(signer: Signer): asn1js.BaseBlock {
  if (signer.kind === 'rsa') return sequence([oid(rsaEncryption), new asn1js.Null()]);
  if (signer.kind === 'rsassa-pss') throw new Error('The time-stamp authority does not sign with RSASSA-PSS');
  return sequence([oid(ecdsaIds[signer.hash])]);
}

function positive(bytes: Buffer): Buffer {
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes;
}

/** Parameters are absent: RFC 5754 2. */
function algorithm(id: string): asn1js.BaseBlock {
  return sequence([oid(id)]);
}
