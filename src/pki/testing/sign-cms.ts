/** CMS signatures for tests, with certificates and revocation lists as they are given. EC keys and SHA-256. */
import { createHash, sign } from 'node:crypto';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';
import type { Identity } from './test-pki.ts';

export interface CmsOptions {
  /** Null: none is claimed. */
  readonly signedAt: string | null;
  readonly crls?: readonly Buffer[];
  readonly others?: readonly Identity[];
  /** SHA-256 of content that is not at hand. */
  readonly digest?: Buffer;
}

/** A detached signature over `content`, as DER. */
export function signCms(content: Buffer, signer: Identity, options: CmsOptions): Buffer {
  const certificate = pkijs.Certificate.fromBER(signer.der);
  const attribute = (type: string, value: asn1js.BaseBlock) => new pkijs.Attribute({ type, values: [value] });
  const digest = options.digest ?? createHash('sha256').update(content).digest();
  const attributes = [
    attribute('1.2.840.113549.1.9.3', new asn1js.ObjectIdentifier({ value: '1.2.840.113549.1.7.1' })),
    attribute('1.2.840.113549.1.9.4', new asn1js.OctetString({ valueHex: digest })),
    ...(options.signedAt === null
      ? []
      : [attribute('1.2.840.113549.1.9.5', new asn1js.UTCTime({ valueDate: new Date(options.signedAt) }))]),
  ];
  const signedBytes = Buffer.from(
    new asn1js.Set({ value: attributes.map((item) => item.toSchema()) }).toBER(),
  );
  const sha256 = new pkijs.AlgorithmIdentifier({ algorithmId: '2.16.840.1.101.3.4.2.1' });
  const signedData = new pkijs.SignedData({
    version: 1,
    digestAlgorithms: [sha256],
    encapContentInfo: new pkijs.EncapsulatedContentInfo({ eContentType: '1.2.840.113549.1.7.1' }),
    certificates: [certificate, ...(options.others ?? []).map(({ der }) => pkijs.Certificate.fromBER(der))],
    ...(options.crls === undefined
      ? {}
      : { crls: options.crls.map((der) => pkijs.CertificateRevocationList.fromBER(der)) }),
    signerInfos: [
      new pkijs.SignerInfo({
        version: 1,
        sid: new pkijs.IssuerAndSerialNumber({
          issuer: certificate.issuer,
          serialNumber: certificate.serialNumber,
        }),
        digestAlgorithm: sha256,
        signedAttrs: new pkijs.SignedAndUnsignedAttributes({ type: 0, attributes }),
        signatureAlgorithm: new pkijs.AlgorithmIdentifier({ algorithmId: '1.2.840.10045.4.3.2' }),
        signature: new asn1js.OctetString({ valueHex: sign('sha256', signedBytes, signer.key) }),
      }),
    ],
  });
  const info = new pkijs.ContentInfo({
    contentType: '1.2.840.113549.1.7.2',
    content: signedData.toSchema(true),
  });
  return Buffer.from(info.toSchema().toBER());
}
