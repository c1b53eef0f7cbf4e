/** OCSP responses (RFC 6960), as they are kept and read again: no nonce, the dates count. */
import { createHash } from 'node:crypto';
import * as asn1js from 'asn1js';
import * as pkijs from 'pkijs';
import {
  type Certificate,
  isNamedIssuer,
  isSignedBy,
  isSignedByKey,
  OID,
  purposesOf,
  readCertificate,
} from './certificate.ts';
import { CERTIFICATE_HOLD, type RevocationStatus } from './revocation-status.ts';

const BASIC_RESPONSE = '1.3.6.1.5.5.7.48.1.1';
const OCSP_SIGNING = '1.3.6.1.5.5.7.3.9';
const MAX_RESPONSES = 64;
const MAX_CERTIFICATES = 8;

const digests: Record<string, string> = {
  '1.3.14.3.2.26': 'sha1',
  '2.16.840.1.101.3.4.2.1': 'sha256',
  '2.16.840.1.101.3.4.2.2': 'sha384',
  '2.16.840.1.101.3.4.2.3': 'sha512',
};

/** Reads DER; null where it is no successful basic response. */
export function readOcsp(der: Buffer): pkijs.BasicOCSPResponse | null {
  try {
    const response = pkijs.OCSPResponse.fromBER(der);
    if (response.responseStatus.valueBlock.valueDec !== 0) return null;
    if (response.responseBytes?.responseType !== BASIC_RESPONSE) return null;
    return pkijs.BasicOCSPResponse.fromBER(response.responseBytes.response.valueBlock.valueHexView);
  } catch {
    return null;
  }
}

/** What the response says about a certificate of that issuer. Total. */
export function ocspStatus(
  response: pkijs.BasicOCSPResponse,
  certificate: Certificate,
  issuer: Certificate,
): RevocationStatus {
  try {
    return read(response, certificate, issuer);
  } catch (error) {
    return refuse(`it cannot be read: ${String((error as Error).message).slice(0, 100)}`);
  }
}

function read(
  response: pkijs.BasicOCSPResponse,
  certificate: Certificate,
  issuer: Certificate,
): RevocationStatus {
  const { tbsResponseData: data } = response;
  const single = data.responses
    .slice(0, MAX_RESPONSES)
    .filter(({ certID }) => isAbout(certID, certificate, issuer))
    .sort((a, b) => b.thisUpdate.getTime() - a.thisUpdate.getTime())[0];
  if (single === undefined) return { kind: 'other' };
  for (const { extnID, critical } of [
    ...(data.responseExtensions ?? []),
    ...(single.singleExtensions ?? []),
  ]) {
    if (critical) return refuse(`it has a critical extension that is not understood (${extnID})`);
  }
  const problem = wrongResponder(response, issuer);
  if (problem !== null) return refuse(problem);
  const issuedAt = single.thisUpdate;
  const nextAt = single.nextUpdate ?? null;
  if (Number.isNaN(issuedAt.getTime()) || Number.isNaN(nextAt?.getTime() ?? 0))
    return refuse('its dates are none');
  if (data.producedAt < issuedAt) return refuse('it was produced before the moment it speaks of');
  const status = single.certStatus as asn1js.BaseBlock;
  switch (status.idBlock.tagNumber) {
    case 0:
      // A responder need not know what has expired: RFC 6960 4.4.4 (archive cutoff) is not relied on.
      if (issuedAt > certificate.notAfter) return refuse('the certificate had expired when it was made');
      return { kind: 'good', issuedAt, nextAt, revokedAt: null, onHold: false };
    case 1: {
      const [time, reason] = (status as asn1js.Constructed).valueBlock.value;
      if (!(time instanceof asn1js.GeneralizedTime)) return refuse('it says revoked, but not when');
      const code = (reason as asn1js.Constructed | undefined)?.valueBlock.value[0];
      const onHold = code instanceof asn1js.Enumerated && code.valueBlock.valueDec === CERTIFICATE_HOLD;
      return { kind: 'revoked', issuedAt, nextAt, revokedAt: time.toDate(), onHold };
    }
    default:
      return refuse('the responder does not know the certificate');
  }
}

function isAbout(id: pkijs.CertID, certificate: Certificate, issuer: Certificate): boolean {
  const algorithm = digests[id.hashAlgorithm.algorithmId];
  if (algorithm === undefined || !id.serialNumber.isEqual(certificate.parsed.serialNumber)) return false;
  const name = createHash(algorithm).update(nameBytes(issuer.parsed.subject)).digest();
  const key = createHash(algorithm).update(keyBits(issuer)).digest();
  return (
    name.equals(id.issuerNameHash.valueBlock.valueHexView) &&
    key.equals(id.issuerKeyHash.valueBlock.valueHexView)
  );
}

/** RFC 6960 4.2.2.2: the issuer itself, or whom it made a responder directly. Null where all is well. */
function wrongResponder(response: pkijs.BasicOCSPResponse, issuer: Certificate): string | null {
  const { tbsResponseData: data, signatureAlgorithm, signature } = response;
  const isMeant = (candidate: Certificate) => {
    const id = data.responderID as unknown;
    if (id instanceof pkijs.RelativeDistinguishedNames) return id.isEqual(candidate.parsed.subject);
    const hash = (id as asn1js.OctetString).valueBlock.valueHexView;
    return createHash('sha1').update(keyBits(candidate)).digest().equals(hash);
  };
  const isSigner = (candidate: Certificate) =>
    isMeant(candidate) && isSignedByKey(signatureAlgorithm, candidate, data.tbsView, signature).ok;
  if (isSigner(issuer)) return null;
  for (const parsed of (response.certs ?? []).slice(0, MAX_CERTIFICATES)) {
    const candidate = readCertificate(Buffer.from(parsed.toSchema().toBER()));
    if (candidate === null || !isSigner(candidate)) continue;
    if (!isNamedIssuer(candidate, issuer) || !isSignedBy(candidate, issuer).ok) {
      return 'its responder was not appointed by the issuer of the certificate';
    }
    if (purposesOf(candidate)?.includes(OCSP_SIGNING) !== true) {
      return 'its responder has a certificate for something else than OCSP';
    }
    if (data.producedAt < candidate.notBefore || data.producedAt > candidate.notAfter) {
      return 'the certificate of its responder was not valid then';
    }
    if (!candidate.extensions.has(OID.ocspNoCheck)) {
      return 'nothing shows that the certificate of its responder was not itself revoked';
    }
    return null;
  }
  return 'it was signed by none that may speak for the issuer of the certificate';
}

/** A request without nonce: what comes back is kept, and may come from a cache. */
export function ocspRequest(certificate: Certificate, issuer: Certificate): Buffer {
  const sha1 = (bytes: Uint8Array) => {
    const digest = createHash('sha1').update(bytes).digest();
    return new asn1js.OctetString({ valueHex: Uint8Array.from(digest).buffer });
  };
  // RFC 5019 2.1.1: SHA-1 is what responders look up by. It names, it does not protect.
  const reqCert = new pkijs.CertID({
    hashAlgorithm: new pkijs.AlgorithmIdentifier({
      algorithmId: '1.3.14.3.2.26',
      algorithmParams: new asn1js.Null(),
    }),
    issuerNameHash: sha1(nameBytes(issuer.parsed.subject)),
    issuerKeyHash: sha1(keyBits(issuer)),
    serialNumber: certificate.parsed.serialNumber,
  });
  const request = new pkijs.OCSPRequest();
  request.tbsRequest.requestList = [new pkijs.Request({ reqCert })];
  return Buffer.from(request.toSchema(true).toBER());
}

function nameBytes(name: pkijs.RelativeDistinguishedNames): Buffer {
  return Buffer.from(name.valueBeforeDecode);
}

function keyBits(certificate: Certificate): Uint8Array {
  return certificate.parsed.subjectPublicKeyInfo.subjectPublicKey.valueBlock.valueHexView;
}

function refuse(reason: string): RevocationStatus {
  return { kind: 'refused', reason };
}
