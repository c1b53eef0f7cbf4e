/**
 * X.509 certificates signed by node:crypto: WebCrypto, and with it the usual libraries, knows no brainpool
 * curve, so only the structure comes from pkijs.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  randomBytes,
  sign,
} from 'node:crypto';
import { isIPv4, isIPv6 } from 'node:net';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';
import type { HashName } from './signer.ts';

export interface Issuer {
  readonly name: string;
  readonly key: KeyObject;
  /** Digest of its signatures; default: SHA-256. */
  readonly hash?: HashName;
}

export interface CertificateRequest {
  readonly commonName: string;
  readonly organization: string;
  readonly publicKey: KeyObject;
  readonly issuer: Issuer;
  readonly purpose: Purpose;
  /** DNS names and IP addresses of a server. */
  readonly hosts?: readonly string[];
  /** URL of the issuer's revocation list, for the certificate to name. */
  readonly crlUrl?: string;
  /** URL of the issuer's OCSP responder. */
  readonly ocspUrl?: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** `timestamp-uncritical`: extended key usage not critical, which RFC 3161 2.3 demands. */
export type Purpose = keyof typeof usages;

interface Usage {
  readonly bits: number;
  readonly unusedBits: number;
  readonly extended?: string;
  readonly critical?: boolean;
}

/** Bits of keyUsage with their unused ones, and the purpose of extendedKeyUsage: RFC 5280 4.2.1.3 and 4.2.1.12. */
const usages = {
  authority: { bits: 0x06, unusedBits: 1 },
  server: { bits: 0x80, unusedBits: 7, extended: '1.3.6.1.5.5.7.3.1' },
  client: { bits: 0x80, unusedBits: 7, extended: '1.3.6.1.5.5.7.3.2' },
  signature: { bits: 0xc0, unusedBits: 6 },
  timestamp: { bits: 0xc0, unusedBits: 6, extended: '1.3.6.1.5.5.7.3.8', critical: true },
  'timestamp-uncritical': { bits: 0xc0, unusedBits: 6, extended: '1.3.6.1.5.5.7.3.8' },
} as const satisfies Record<string, Usage>;

/** Object identifiers of ECDSA with a digest (RFC 5758 3.2). */
export const ecdsaIds = {
  sha256: '1.2.840.10045.4.3.2',
  sha384: '1.2.840.10045.4.3.3',
  sha512: '1.2.840.10045.4.3.4',
};

export function signAs(issuer: Issuer, tbs: Buffer): Buffer {
  return sign(issuer.hash ?? 'sha256', tbs, { key: issuer.key, dsaEncoding: 'der' });
}

export function signatureIdOf(issuer: Issuer): string {
  return ecdsaIds[issuer.hash ?? 'sha256'];
}

/** Issues a certificate; the issuer's key must be an EC key (signature: ECDSA). */
export function issueCertificate(request: CertificateRequest): Buffer {
  const certificate = new pkijs.Certificate();
  certificate.version = 2;
  // RFC 5280 4.1.2.2: positive, at most 20 octets.
  const serial = randomBytes(16);
  serial[0] = (serial[0]! & 0x7f) | 0x40;
  certificate.serialNumber = new asn1js.Integer({ valueHex: arrayBuffer(serial) });
  certificate.issuer = distinguishedName(request.issuer.name, request.organization);
  certificate.subject = distinguishedName(request.commonName, request.organization);
  certificate.notBefore = timeOf(request.notBefore);
  certificate.notAfter = timeOf(request.notAfter);
  certificate.subjectPublicKeyInfo = pkijs.PublicKeyInfo.fromBER(arrayBuffer(spkiOf(request.publicKey)));
  certificate.extensions = extensions(request);
  const algorithm = new pkijs.AlgorithmIdentifier({ algorithmId: signatureIdOf(request.issuer) });
  certificate.signature = algorithm;
  certificate.signatureAlgorithm = algorithm;
  const tbs = Buffer.from(certificate.encodeTBS().toBER());
  const signature = signAs(request.issuer, tbs);
  certificate.signatureValue = new asn1js.BitString({ valueHex: arrayBuffer(signature) });
  certificate.tbsView = new Uint8Array(tbs);
  return Buffer.from(certificate.toSchema(true).toBER());
}

export function toPem(der: Buffer, label: string): string {
  const lines = der.toString('base64').match(/.{1,64}/g)!;
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

function extensions(request: CertificateRequest): pkijs.Extension[] {
  const { purpose } = request;
  const basic = new pkijs.BasicConstraints({ cA: purpose === 'authority' });
  const { bits, unusedBits, extended, critical = false }: Usage = usages[purpose];
  const list = [
    extension('2.5.29.19', true, basic.toSchema()),
    extension(
      '2.5.29.15',
      true,
      new asn1js.BitString({ valueHex: new Uint8Array([bits]).buffer, unusedBits }),
    ),
    extension('2.5.29.14', false, new asn1js.OctetString({ valueHex: keyIdentifier(request.publicKey) })),
    extension('2.5.29.35', false, authorityKeyIdentifier(request.issuer.key)),
  ];
  if (extended) {
    const purposes = new pkijs.ExtKeyUsage({ keyPurposes: [extended] });
    list.push(extension('2.5.29.37', critical, purposes.toSchema()));
  }
  if (request.hosts) {
    const names = new pkijs.GeneralNames({ names: request.hosts.map(generalName) });
    list.push(extension('2.5.29.17', false, names.toSchema()));
  }
  if (request.crlUrl) {
    const point = new pkijs.DistributionPoint({
      distributionPoint: [new pkijs.GeneralName({ type: 6, value: request.crlUrl })],
    });
    list.push(
      extension(
        '2.5.29.31',
        false,
        new pkijs.CRLDistributionPoints({ distributionPoints: [point] }).toSchema(),
      ),
    );
  }
  if (request.ocspUrl) {
    const location = new pkijs.GeneralName({ type: 6, value: request.ocspUrl });
    const ocsp = new pkijs.AccessDescription({
      accessMethod: '1.3.6.1.5.5.7.48.1',
      accessLocation: location,
    });
    const access = new pkijs.InfoAccess({ accessDescriptions: [ocsp] });
    list.push(extension('1.3.6.1.5.5.7.1.1', false, access.toSchema()));
  }
  return list;
}

export function authorityKeyIdentifier(issuer: KeyObject): asn1js.BaseBlock {
  return new pkijs.AuthorityKeyIdentifier({
    keyIdentifier: new asn1js.OctetString({ valueHex: keyIdentifier(issuer) }),
  }).toSchema();
}

export function extension(extnID: string, critical: boolean, schema: asn1js.BaseBlock): pkijs.Extension {
  return new pkijs.Extension({ extnID, critical, extnValue: schema.toBER(false) });
}

/** RFC 5280 4.2.1.2, method 1: SHA-1 of the subjectPublicKey bits. It is a name, not a protection. */
function keyIdentifier(key: KeyObject): ArrayBuffer {
  const spki = pkijs.PublicKeyInfo.fromBER(arrayBuffer(spkiOf(key)));
  const bits = Buffer.from(spki.subjectPublicKey.valueBlock.valueHexView);
  return arrayBuffer(createHash('sha1').update(bits).digest());
}

function spkiOf(key: KeyObject): Buffer {
  const publicKey = key.type === 'private' ? createPublicKey(createPrivateKey(pkcs8(key))) : key;
  return publicKey.export({ type: 'spki', format: 'der' });
}

function pkcs8(key: KeyObject): string {
  return key.export({ type: 'pkcs8', format: 'pem' }).toString();
}

function generalName(host: string): pkijs.GeneralName {
  if (isIPv4(host)) {
    const octets = Uint8Array.from(host.split('.').map(Number));
    return new pkijs.GeneralName({ type: 7, value: new asn1js.OctetString({ valueHex: octets.buffer }) });
  }
  if (isIPv6(host)) {
    return new pkijs.GeneralName({ type: 7, value: new asn1js.OctetString({ valueHex: ipv6Octets(host) }) });
  }
  return new pkijs.GeneralName({ type: 2, value: host });
}

function ipv6Octets(host: string): ArrayBuffer {
  const [left = '', right] = new URL(`http://[${host}]`).hostname.slice(1, -1).split('::');
  const groups = (text: string) =>
    text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
  const tail = groups(right ?? '');
  const head = groups(left);
  const all = [...head, ...Array<number>(8 - head.length - tail.length).fill(0), ...tail];
  return Uint8Array.from(all.flatMap((group) => [group >> 8, group & 0xff])).buffer;
}

/** RFC 5280 4.1.2.5: UTCTime up to 2049, GeneralizedTime from 2050, both in whole seconds. */
export function timeOf(time: Date): pkijs.Time {
  const value = new Date(Math.floor(time.getTime() / 1000) * 1000);
  return new pkijs.Time({ type: value.getUTCFullYear() < 2050 ? 0 : 1, value });
}

/** Built here: pkijs writes all attributes into one multi-valued RDN, but keeps what it has read. */
export function distinguishedName(
  commonName: string,
  organization: string,
): pkijs.RelativeDistinguishedNames {
  const attribute = (type: string, value: asn1js.BaseBlock) =>
    new asn1js.Set({
      value: [new asn1js.Sequence({ value: [new asn1js.ObjectIdentifier({ value: type }), value] })],
    });
  const name = new asn1js.Sequence({
    value: [
      attribute('2.5.4.6', new asn1js.PrintableString({ value: 'DE' })),
      attribute('2.5.4.10', new asn1js.Utf8String({ value: organization })),
      attribute('2.5.4.3', new asn1js.Utf8String({ value: commonName })),
    ],
  });
  return pkijs.RelativeDistinguishedNames.fromBER(name.toBER());
}

export function arrayBuffer(bytes: Uint8Array): ArrayBuffer {
  return Uint8Array.from(bytes).buffer;
}
