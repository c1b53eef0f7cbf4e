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

export interface Issuer {
  readonly name: string;
  readonly key: KeyObject;
}

export interface CertificateRequest {
  readonly commonName: string;
  readonly organization: string;
  readonly publicKey: KeyObject;
  readonly issuer: Issuer;
  readonly purpose: 'authority' | 'server' | 'client' | 'signature';
  /** DNS names and IP addresses of a server. */
  readonly hosts?: readonly string[];
  /** URL of the issuer's revocation list, for the certificate to name. */
  readonly crlUrl?: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

export const ecdsaWithSha256 = '1.2.840.10045.4.3.2';

/** Issues a certificate; the issuer's key must be an EC key (signature: ECDSA with SHA-256). */
export function issueCertificate(request: CertificateRequest): Buffer {
  const certificate = new pkijs.Certificate();
  certificate.version = 2;
  // RFC 5280 4.1.2.2: positive, at most 20 octets.
  const serial = randomBytes(16);
  serial[0] = (serial[0]! & 0x7f) | 0x40;
  certificate.serialNumber = new asn1js.Integer({ valueHex: arrayBuffer(serial) });
  certificate.issuer = distinguishedName(request.issuer.name, request.organization);
  certificate.subject = distinguishedName(request.commonName, request.organization);
  certificate.notBefore.value = request.notBefore;
  certificate.notAfter.value = request.notAfter;
  certificate.subjectPublicKeyInfo = pkijs.PublicKeyInfo.fromBER(arrayBuffer(spkiOf(request.publicKey)));
  certificate.extensions = extensions(request);
  const algorithm = new pkijs.AlgorithmIdentifier({ algorithmId: ecdsaWithSha256 });
  certificate.signature = algorithm;
  certificate.signatureAlgorithm = algorithm;
  const tbs = Buffer.from(certificate.encodeTBS().toBER());
  const signature = sign('sha256', tbs, { key: request.issuer.key, dsaEncoding: 'der' });
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
  const usage = { authority: [0x06, 1], server: [0x80, 7], client: [0x80, 7], signature: [0xc0, 6] } as const;
  const [bits, unusedBits] = usage[purpose];
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
  const keyPurpose = { server: '1.3.6.1.5.5.7.3.1', client: '1.3.6.1.5.5.7.3.2' }[purpose as string];
  if (keyPurpose) {
    list.push(extension('2.5.29.37', false, new pkijs.ExtKeyUsage({ keyPurposes: [keyPurpose] }).toSchema()));
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
