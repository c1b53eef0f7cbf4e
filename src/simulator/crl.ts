/** The authority's list of revoked certificates (RFC 5280 5). */
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';
import {
  arrayBuffer,
  authorityKeyIdentifier,
  distinguishedName,
  extension,
  type Issuer,
  signAs,
  signatureIdOf,
  timeOf,
} from './certificate.ts';

export interface Revoked {
  /** Hexadecimal. */
  readonly serial: string;
  readonly at: Date;
}

export interface CrlRequest {
  readonly issuer: Issuer;
  readonly organization: string;
  readonly revoked: readonly Revoked[];
  readonly thisUpdate: Date;
  readonly nextUpdate: Date;
}

/** A version 2 list, DER, with CRL number and authority key identifier; ECDSA. */
export function issueCrl(request: CrlRequest): Buffer {
  const list = new pkijs.CertificateRevocationList();
  const algorithm = new pkijs.AlgorithmIdentifier({ algorithmId: signatureIdOf(request.issuer) });
  list.version = 1;
  list.issuer = distinguishedName(request.issuer.name, request.organization);
  list.thisUpdate = timeOf(request.thisUpdate);
  list.nextUpdate = timeOf(request.nextUpdate);
  list.signature = algorithm;
  list.signatureAlgorithm = algorithm;
  if (request.revoked.length > 0) {
    list.revokedCertificates = request.revoked.map(
      ({ serial, at }) =>
        new pkijs.RevokedCertificate({
          userCertificate: new asn1js.Integer({ valueHex: arrayBuffer(Buffer.from(serial, 'hex')) }),
          revocationDate: timeOf(at),
        }),
    );
  }
  const number = new asn1js.Integer({ value: Math.floor(request.thisUpdate.getTime() / 1000) });
  list.crlExtensions = new pkijs.Extensions({
    extensions: [
      extension('2.5.29.20', false, number),
      extension('2.5.29.35', false, authorityKeyIdentifier(request.issuer.key)),
    ],
  });
  // What is signed is the first element of the sequence; its last, the signature, is still empty.
  const [tbsSchema] = list.toSchema(true).valueBlock.value;
  const tbs = Buffer.from(tbsSchema!.toBER());
  const signature = signAs(request.issuer, tbs);
  list.signatureValue = new asn1js.BitString({ valueHex: arrayBuffer(signature) });
  return Buffer.from(list.toSchema(true).toBER());
}
