/**
 * The authority's OCSP responder (RFC 6960): it signs with the root's own key. It says `good` of every serial
 * number that is not revoked, `unknown` of other issuers' certificates.
 */
import { createHash, createPublicKey, sign } from 'node:crypto';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';
import { arrayBuffer, distinguishedName, ecdsaIds, type Issuer } from './certificate.ts';
import type { Revoked } from './crl.ts';
import {
  bits,
  encode,
  generalizedTime,
  octets,
  oid,
  sequence,
  tagged,
  taggedNull,
  wholeSecond,
} from './der.ts';

const basicResponse = '1.3.6.1.5.5.7.48.1.1';
const nonceExtension = '1.3.6.1.5.5.7.48.1.2';
const digests: Readonly<Record<string, string>> = {
  '1.3.14.3.2.26': 'sha1',
  '2.16.840.1.101.3.4.2.1': 'sha256',
};
/** A request asks for one certificate, or a chain. */
const maxRequests = 16;

export interface OcspSource {
  readonly issuer: Issuer;
  readonly organization: string;
  readonly revoked: readonly Revoked[];
  readonly now: Date;
  readonly nextUpdate: Date;
}

/** The response to a request, DER; malformedRequest (1) to what is none. */
export function answerOcsp(request: Buffer, source: OcspSource): Buffer {
  const asked = parse(request);
  if (!asked) return encode(sequence([new asn1js.Enumerated({ value: 1 })]));
  const { issuer, organization } = source;
  const name = distinguishedName(issuer.name, organization).toSchema();
  const now = wholeSecond(source.now);
  const data = sequence([
    tagged(1, [name]),
    generalizedTime(now),
    sequence(asked.ids.map((id) => single(id, source, encode(name), now))),
    ...(asked.nonce ? [tagged(1, [sequence([asked.nonce.toSchema()])])] : []),
  ]);
  const signature = sign('sha256', encode(data), { key: issuer.key, dsaEncoding: 'der' });
  const basic = sequence([data, sequence([oid(ecdsaIds.sha256)]), bits(signature)]);
  const bytes = sequence([oid(basicResponse), octets(encode(basic))]);
  return encode(sequence([new asn1js.Enumerated({ value: 0 }), tagged(0, [bytes])]));
}

function parse(bytes: Buffer): { ids: pkijs.CertID[]; nonce: pkijs.Extension | undefined } | undefined {
  try {
    const { tbsRequest } = pkijs.OCSPRequest.fromBER(arrayBuffer(bytes));
    const ids = tbsRequest.requestList.map(({ reqCert }) => reqCert);
    if (ids.length === 0 || ids.length > maxRequests) return undefined;
    const nonce = tbsRequest.requestExtensions?.find(({ extnID }) => extnID === nonceExtension);
    return { ids, nonce };
  } catch {
    return undefined;
  }
}

function single(id: pkijs.CertID, source: OcspSource, name: Buffer, now: Date): asn1js.BaseBlock {
  return sequence([
    id.toSchema(),
    status(id, source, name),
    generalizedTime(now),
    tagged(0, [generalizedTime(wholeSecond(source.nextUpdate))]),
  ]);
}

function status(id: pkijs.CertID, { issuer, revoked }: OcspSource, name: Buffer): asn1js.BaseBlock {
  const algorithm = digests[id.hashAlgorithm.algorithmId];
  if (algorithm === undefined) return taggedNull(2);
  const hash = (bytes: Uint8Array) => createHash(algorithm).update(bytes).digest();
  const ours =
    hash(name).equals(id.issuerNameHash.valueBlock.valueHexView) &&
    hash(keyBits(issuer)).equals(id.issuerKeyHash.valueBlock.valueHexView);
  if (!ours) return taggedNull(2);
  const serial = Buffer.from(id.serialNumber.valueBlock.valueHexView).toString('hex').toUpperCase();
  const found = revoked.find((entry) => entry.serial === serial);
  return found ? tagged(1, [generalizedTime(wholeSecond(found.at))]) : taggedNull(0);
}

/** RFC 6960 4.1.1: the subjectPublicKey, without tag, length and number of unused bits. */
function keyBits({ key }: Issuer): Uint8Array {
  const spki = createPublicKey(key).export({ type: 'spki', format: 'der' });
  return pkijs.PublicKeyInfo.fromBER(arrayBuffer(spki)).subjectPublicKey.valueBlock.valueHexView;
}
