/** Certificates, CRLs, OCSP responses and sealed messages for tests: every field can be made wrong. */
import {
  constants,
  createHash,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
} from 'node:crypto';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';

const ecdsaWith = { sha256: '1.2.840.10045.4.3.2', sha512: '1.2.840.10045.4.3.4' } as const;

export interface Identity {
  readonly name: string;
  readonly key: KeyObject;
  readonly der: Buffer;
}

export interface CertificateOptions {
  readonly issuer?: Identity;
  readonly key?: KeyObject;
  readonly notBefore?: string;
  readonly notAfter?: string;
  readonly authority?: boolean;
  readonly pathLength?: number;
  /** First octet of keyUsage; null: no such extension. */
  readonly usage?: number | null;
  readonly purposes?: readonly string[];
  readonly noCheck?: boolean;
  readonly extra?: readonly pkijs.Extension[];
  readonly serial?: number;
  /** Of the issuer's signature. Default: sha256. */
  readonly hash?: keyof typeof ecdsaWith;
}

export function newKey(
  kind: 'p256' | 'brainpoolP256r1' | 'brainpoolP384r1' | 'brainpoolP512r1' | 'rsa' | 'rsa-pss',
): KeyObject {
  if (kind === 'rsa') return generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  if (kind === 'rsa-pss') return generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).privateKey;
  const namedCurve = kind === 'p256' ? 'prime256v1' : kind;
  return generateKeyPairSync('ec', { namedCurve }).privateKey;
}

/** Issues a certificate, self-signed without `issuer`. Issuers have EC keys. */
export function issue(name: string, options: CertificateOptions = {}): Identity {
  const key = options.key ?? newKey('p256');
  const issuer = options.issuer ?? { name, key };
  const certificate = new pkijs.Certificate();
  certificate.version = 2;
  certificate.serialNumber =
    options.serial === undefined
      ? new asn1js.Integer({ valueHex: buffer(Buffer.concat([Buffer.from([0x40]), randomBytes(8)])) })
      : new asn1js.Integer({ value: options.serial });
  certificate.issuer = nameOf(issuer.name);
  certificate.subject = nameOf(name);
  certificate.notBefore.value = new Date(options.notBefore ?? '2025-01-01T00:00:00Z');
  certificate.notAfter = time(options.notAfter ?? '2035-01-01T00:00:00Z');
  const spki = createPublicKey(key).export({ type: 'spki', format: 'der' });
  certificate.subjectPublicKeyInfo = pkijs.PublicKeyInfo.fromBER(buffer(spki));
  certificate.extensions = extensionsOf(options);
  certificate.signature = algorithm(options.hash);
  certificate.signatureAlgorithm = algorithm(options.hash);
  const tbs = Buffer.from(certificate.encodeTBS().toBER());
  certificate.signatureValue = signed(tbs, issuer.key, options.hash);
  certificate.tbsView = new Uint8Array(tbs);
  return { name, key, der: Buffer.from(certificate.toSchema(true).toBER()) };
}

export function extension(extnID: string, critical: boolean, value: asn1js.BaseBlock): pkijs.Extension {
  return new pkijs.Extension({ extnID, critical, extnValue: value.toBER(false) });
}

function extensionsOf(options: CertificateOptions): pkijs.Extension[] {
  const { authority = false, pathLength, purposes, noCheck } = options;
  const usage = options.usage === undefined ? (authority ? 0x06 : 0xc0) : options.usage;
  const constraints = new pkijs.BasicConstraints({
    cA: authority,
    ...(pathLength === undefined ? {} : { pathLenConstraint: pathLength }),
  });
  return [
    extension('2.5.29.19', true, constraints.toSchema()),
    ...(usage === null
      ? []
      : [extension('2.5.29.15', true, new asn1js.BitString({ valueHex: new Uint8Array([usage]).buffer }))]),
    ...(purposes === undefined
      ? []
      : [extension('2.5.29.37', false, new pkijs.ExtKeyUsage({ keyPurposes: [...purposes] }).toSchema())]),
    ...(noCheck ? [extension('1.3.6.1.5.5.7.48.1.5', false, new asn1js.Null())] : []),
    ...(options.extra ?? []),
  ];
}

export interface CrlOptions {
  readonly issued: string;
  readonly next?: string;
  readonly revoked?: readonly {
    readonly certificate: Buffer;
    readonly at: string;
    readonly reason?: number;
  }[];
  readonly extensions?: readonly pkijs.Extension[];
  /** Signs in the issuer's place. */
  readonly key?: KeyObject;
}

export function makeCrl(issuer: Identity, options: CrlOptions): Buffer {
  const crl = new pkijs.CertificateRevocationList();
  crl.version = 1;
  crl.issuer = nameOf(issuer.name);
  crl.thisUpdate = time(options.issued);
  if (options.next) crl.nextUpdate = time(options.next);
  if (options.revoked) {
    crl.revokedCertificates = options.revoked.map(({ certificate, at, reason }) => {
      const entry = new pkijs.RevokedCertificate();
      entry.userCertificate = pkijs.Certificate.fromBER(buffer(certificate)).serialNumber;
      entry.revocationDate = time(at);
      if (reason !== undefined) {
        entry.crlEntryExtensions = new pkijs.Extensions({
          extensions: [extension('2.5.29.21', false, new asn1js.Enumerated({ value: reason }))],
        });
      }
      return entry;
    });
  }
  if (options.extensions) crl.crlExtensions = new pkijs.Extensions({ extensions: [...options.extensions] });
  crl.signature = algorithm();
  crl.signatureAlgorithm = algorithm();
  const tbs = Buffer.from((crl as unknown as { encodeTBS(): asn1js.Sequence }).encodeTBS().toBER());
  crl.signatureValue = signed(tbs, options.key ?? issuer.key);
  crl.tbsView = new Uint8Array(tbs);
  return Buffer.from(crl.toSchema(true).toBER());
}

export interface OcspOptions {
  readonly issued: string;
  readonly next?: string;
  readonly revokedAt?: string;
  readonly unknown?: boolean;
}

/** A response about `certificate` of `issuer`, signed by `responder`, whose certificate comes along. */
export function makeOcsp(
  certificate: Buffer,
  issuer: Identity,
  responder: Identity,
  options: OcspOptions,
): Buffer {
  const parsed = pkijs.Certificate.fromBER(buffer(issuer.der));
  const sha1 = (bytes: Uint8Array) =>
    new asn1js.OctetString({ valueHex: buffer(createHash('sha1').update(bytes).digest()) });
  const basic = new pkijs.BasicOCSPResponse();
  const data = basic.tbsResponseData;
  data.responderID = nameOf(responder.name);
  data.producedAt = new Date(options.issued);
  const response = new pkijs.SingleResponse();
  response.certID = new pkijs.CertID({
    hashAlgorithm: new pkijs.AlgorithmIdentifier({ algorithmId: '1.3.14.3.2.26' }),
    issuerNameHash: sha1(new Uint8Array(parsed.subject.valueBeforeDecode)),
    issuerKeyHash: sha1(parsed.subjectPublicKeyInfo.subjectPublicKey.valueBlock.valueHexView),
    serialNumber: pkijs.Certificate.fromBER(buffer(certificate)).serialNumber,
  });
  response.certStatus = options.revokedAt
    ? new asn1js.Constructed({
        idBlock: { tagClass: 3, tagNumber: 1 },
        value: [new asn1js.GeneralizedTime({ valueDate: new Date(options.revokedAt) })],
      })
    : new asn1js.Primitive({
        idBlock: { tagClass: 3, tagNumber: options.unknown ? 2 : 0 },
        lenBlock: { length: 1 },
      } as never);
  response.thisUpdate = new Date(options.issued);
  if (options.next) response.nextUpdate = new Date(options.next);
  data.responses = [response];
  basic.signatureAlgorithm = algorithm();
  const tbs = Buffer.from(data.toSchema(true).toBER());
  data.tbsView = new Uint8Array(tbs);
  basic.signature = signed(tbs, responder.key);
  basic.certs = [pkijs.Certificate.fromBER(buffer(responder.der))];
  const outer = new pkijs.OCSPResponse();
  outer.responseStatus = new asn1js.Enumerated({ value: 0 });
  outer.responseBytes = new pkijs.ResponseBytes({
    responseType: '1.3.6.1.5.5.7.48.1.1',
    response: new asn1js.OctetString({ valueHex: basic.toSchema().toBER() }),
  });
  return Buffer.from(outer.toSchema().toBER());
}

export interface SealOptions {
  readonly hash?: 'sha256' | 'sha384' | 'sha512';
  readonly scheme?: 'rsa' | 'ec-dsa' | 'rsassa-pss' | null;
  /** Names in `h=`; default: all of the fields. */
  readonly names?: readonly string[];
  readonly saltLength?: number;
  readonly form?: 'der' | 'ieee-p1363';
  /** `bh=` in the place of the body's own. */
  readonly bodyHash?: string;
}

/** A message of normal type with an integrity header; `fields` are lines without their line end. */
export function sealMessage(
  fields: readonly string[],
  body: string,
  signer: Identity | null,
  options: SealOptions = {},
): Buffer {
  const { hash = 'sha256', form = 'der', saltLength } = options;
  const scheme = signer === null ? null : (options.scheme ?? 'ec-dsa');
  const names = options.names ?? fields.map((field) => field.slice(0, field.indexOf(':')));
  const bodyHash =
    options.bodyHash ??
    createHash(hash)
      .update(`${body.replace(/(?:\r\n)+$/, '')}\r\n`, 'latin1')
      .digest('base64');
  const empty = `X-de-mail-integrity: a=${hash}${scheme === null ? '' : `/${scheme}`}; h=${names.join(':')}; bh=${bodyHash}; b=`;
  const covered = names
    .map((name) => fields.find((field) => field.toLowerCase().startsWith(`${name.toLowerCase()}:`)))
    .filter((field) => field !== undefined);
  const bytes = Buffer.from([...covered, empty].join('\r\n'), 'latin1');
  const value =
    signer === null
      ? createHash(hash).update(bytes).digest()
      : sign(hash, bytes, {
          key: signer.key,
          ...(scheme === 'ec-dsa' ? { dsaEncoding: form } : {}),
          ...(scheme === 'rsassa-pss'
            ? {
                padding: constants.RSA_PKCS1_PSS_PADDING,
                saltLength: saltLength ?? constants.RSA_PSS_SALTLEN_DIGEST,
              }
            : {}),
        });
  const certificate =
    signer === null ? [] : [`X-de-mail-signature-certificate: ${signer.der.toString('base64')}`];
  const header = [empty + value.toString('base64'), ...certificate, ...fields].join('\r\n');
  return Buffer.from(`${header}\r\n\r\n${body}`, 'latin1');
}

/** RFC 5280 4.1.2.5: UTCTime to the end of 2049. */
function time(iso: string): pkijs.Time {
  const value = new Date(iso);
  return new pkijs.Time({ type: value.getUTCFullYear() < 2050 ? 0 : 1, value });
}

function algorithm(hash: keyof typeof ecdsaWith = 'sha256'): pkijs.AlgorithmIdentifier {
  return new pkijs.AlgorithmIdentifier({ algorithmId: ecdsaWith[hash] });
}

function signed(tbs: Buffer, key: KeyObject, hash = 'sha256'): asn1js.BitString {
  return new asn1js.BitString({ valueHex: buffer(sign(hash, tbs, { key, dsaEncoding: 'der' })) });
}

function nameOf(commonName: string): pkijs.RelativeDistinguishedNames {
  const value = new asn1js.Utf8String({ value: commonName });
  const name = new pkijs.RelativeDistinguishedNames({
    typesAndValues: [new pkijs.AttributeTypeAndValue({ type: '2.5.4.3', value })],
  });
  return name;
}

function buffer(bytes: Uint8Array): ArrayBuffer {
  return Uint8Array.from(bytes).buffer;
}
