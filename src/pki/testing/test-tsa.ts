/** Time-stamp tokens for tests, in every form that authorities send and in many that none should. */
import { constants, createHash, type KeyObject, sign } from 'node:crypto';
import * as pkijs from 'pkijs';
import type { IntegrityHash } from '../../demail/integrity.ts';
import {
  contextTag,
  der,
  derOid,
  derSequence,
  derSetOf,
  derUnsigned,
  fieldsOf,
  readSingle,
  TAG,
} from '../der.ts';
import { derDigestAlgorithm } from '../digest-algorithm.ts';
import { type CertificateOptions, extension, type Identity, issue } from './test-pki.ts';

const TIME_STAMPING = '1.3.6.1.5.5.7.3.8';

export interface TestAuthority {
  readonly root: Identity;
  readonly authority: Identity;
  readonly tsa: Identity;
}

/** A root, an authority below it, and a TSA certificate; keys as given. */
export function makeTsa(options: CertificateOptions = {}): TestAuthority {
  const root = issue('TSA root', { authority: true, notAfter: '2070-01-01T00:00:00Z' });
  const authority = issue('TSA authority', {
    authority: true,
    issuer: root,
    notAfter: '2070-01-01T00:00:00Z',
    ...(options.hash === undefined ? {} : { hash: options.hash }),
  });
  return { root, authority, tsa: issueTsa(authority, options) };
}

/** A certificate for time-stamps alone. */
export function issueTsa(authority: Identity, options: CertificateOptions = {}): Identity {
  const purpose = new pkijs.ExtKeyUsage({ keyPurposes: [TIME_STAMPING] });
  const extra = [extension('2.5.29.37', true, purpose.toSchema())];
  return issue('TSA 1', { issuer: authority, extra, ...options });
}

export interface TokenOptions {
  readonly hash?: IntegrityHash;
  readonly digest: Buffer;
  readonly genTime?: string;
  readonly nonce?: Buffer;
  readonly policy?: string;
  /** Digest of the signature. */
  readonly signatureHash?: IntegrityHash;
  /** Which attributes name the certificate; `wrong` names another. */
  readonly names?: readonly ('v1' | 'v2' | 'v2-sha512' | 'wrong')[];
  /** Certificates that come along; default: the TSA's own. */
  readonly certificates?: readonly Buffer[];
  readonly crls?: readonly Buffer[];
  readonly unsigned?: boolean;
  /** Salt of RSASSA-PSS; without it RSA keys sign PKCS #1. */
  readonly pss?: boolean;
  readonly contentType?: string;
  /** Key that signs in the place of the TSA's. */
  readonly key?: KeyObject;
  /** Lengths indefinite, strings in pieces. */
  readonly ber?: boolean;
  /** Fields of TSTInfo behind genTime. */
  readonly more?: readonly Buffer[];
  readonly version?: number;
}

/** A token signed by that identity. */
export function makeToken(signer: Identity, options: TokenOptions): Buffer {
  const { hash = 'sha256', signatureHash = 'sha256', names = ['v2'], policy = '1.2.3.4.1' } = options;
  const info = derSequence(
    derUnsigned(Buffer.from([options.version ?? 1])),
    derOid(policy),
    derSequence(derDigestAlgorithm(hash), der(TAG.octetString, options.digest)),
    derUnsigned(createHash('sha256').update(options.digest).digest().subarray(0, 8)),
    generalizedTime(options.genTime ?? '2026-06-01T12:00:00Z'),
    ...(options.more ?? []),
    ...(options.nonce === undefined ? [] : [derUnsigned(options.nonce)]),
  );
  const contentType = derOid(options.contentType ?? '1.2.840.113549.1.9.16.1.4');
  const attribute = (oid: string, value: Buffer) => derSequence(derOid(oid), der(TAG.set, value));
  const attributes = [
    attribute('1.2.840.113549.1.9.3', contentType),
    attribute('1.2.840.113549.1.9.4', der(TAG.octetString, createHash(signatureHash).update(info).digest())),
    ...names.map((name) => attribute(...namingAttribute(name, signer.der))),
  ];
  const signed = derSetOf(TAG.set, attributes);
  const { algorithm, value } = signature(
    options.key ?? signer.key,
    signatureHash,
    signed,
    options.pss === true,
  );
  const { issuer, serial } = identifierOf(signer.der);
  const signerInfo = derSequence(
    derUnsigned(Buffer.from([1])),
    derSequence(issuer, serial),
    derDigestAlgorithm(signatureHash),
    der(contextTag(0), readSingle(signed).content),
    algorithm,
    der(TAG.octetString, value),
    ...(options.unsigned
      ? [der(contextTag(1), attribute('1.2.3.4.5.6', der(TAG.octetString, Buffer.from('unsigned'))))]
      : []),
  );
  const wrap = options.ber ? indefinite : der;
  const content = options.ber
    ? indefinite(0x24, der(TAG.octetString, info.subarray(0, 10)), der(TAG.octetString, info.subarray(10)))
    : der(TAG.octetString, info);
  return wrap(
    TAG.sequence,
    derOid('1.2.840.113549.1.7.2'),
    wrap(
      contextTag(0),
      wrap(
        TAG.sequence,
        derUnsigned(Buffer.from([3])),
        der(TAG.set, derDigestAlgorithm(signatureHash)),
        wrap(TAG.sequence, contentType, wrap(contextTag(0), content)),
        wrap(contextTag(0), ...(options.certificates ?? [signer.der])),
        ...(options.crls === undefined ? [] : [derSetOf(contextTag(1), options.crls)]),
        der(TAG.set, signerInfo),
      ),
    ),
  );
}

/** TimeStampResp around a token, or a refusal. */
export function makeResponse(status: number, token?: Buffer, text?: string, failureBit?: number): Buffer {
  const bits = Buffer.alloc(5);
  if (failureBit !== undefined) bits[1 + (failureBit >> 3)] = 0x80 >> (failureBit & 7);
  return derSequence(
    derSequence(
      derUnsigned(Buffer.from([status])),
      ...(text === undefined ? [] : [derSequence(der(TAG.utf8String, Buffer.from(text)))]),
      ...(failureBit === undefined ? [] : [der(TAG.bitString, bits)]),
    ),
    ...(token === undefined ? [] : [token]),
  );
}

function indefinite(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat([Buffer.from([tag, 0x80]), ...parts, Buffer.from([0, 0])]);
}

function generalizedTime(iso: string): Buffer {
  return der(TAG.generalizedTime, Buffer.from(`${iso.replace(/[-:TZ]/g, '')}Z`));
}

function namingAttribute(name: 'v1' | 'v2' | 'v2-sha512' | 'wrong', certificate: Buffer): [string, Buffer] {
  const hashName = name === 'v1' ? 'sha1' : name === 'v2-sha512' ? 'sha512' : 'sha256';
  const digest = createHash(hashName)
    .update(name === 'wrong' ? 'another' : certificate)
    .digest();
  const { issuer, serial } = identifierOf(certificate);
  const identifier = derSequence(
    ...(hashName === 'sha512' ? [derDigestAlgorithm('sha512')] : []),
    der(TAG.octetString, digest),
    derSequence(derSequence(der(contextTag(4), issuer)), serial),
  );
  const oid = name === 'v1' ? '1.2.840.113549.1.9.16.2.12' : '1.2.840.113549.1.9.16.2.47';
  return [oid, derSequence(derSequence(identifier))];
}

function identifierOf(certificate: Buffer): { issuer: Buffer; serial: Buffer } {
  const fields = fieldsOf(fieldsOf(readSingle(certificate).content).take(TAG.sequence).content);
  fields.maybe(contextTag(0));
  const serial = fields.take(TAG.integer).der;
  fields.take(TAG.sequence);
  return { serial, issuer: fields.take(TAG.sequence).der };
}

const ecdsa = { sha256: '1.2.840.10045.4.3.2', sha384: '1.2.840.10045.4.3.3', sha512: '1.2.840.10045.4.3.4' };
const rsa = {
  sha256: '1.2.840.113549.1.1.11',
  sha384: '1.2.840.113549.1.1.12',
  sha512: '1.2.840.113549.1.1.13',
};

function signature(key: KeyObject, hash: IntegrityHash, data: Buffer, pss: boolean) {
  if (key.asymmetricKeyType === 'ec') {
    return { algorithm: derSequence(derOid(ecdsa[hash])), value: sign(hash, data, key) };
  }
  if (!pss) {
    return { algorithm: derSequence(derOid(rsa[hash]), der(TAG.null)), value: sign(hash, data, key) };
  }
  const saltLength = 32;
  const digest = derDigestAlgorithm(hash);
  const parameters = derSequence(
    der(contextTag(0), digest),
    der(contextTag(1), derSequence(derOid('1.2.840.113549.1.1.8'), digest)),
    der(contextTag(2), derUnsigned(Buffer.from([saltLength]))),
  );
  const value = sign(hash, data, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength });
  return { algorithm: derSequence(derOid('1.2.840.113549.1.1.10'), parameters), value };
}
