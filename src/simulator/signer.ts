/** The signature algorithms of TR-01201 IO 3.1.21 and their XMLDSig names, on node:crypto alone. */
import { constants, type KeyObject, sign } from 'node:crypto';

export const signatureKinds = ['rsa', 'rsassa-pss', 'p256', 'brainpoolP256r1'] as const;
export type SignatureKind = (typeof signatureKinds)[number];

export const hashNames = ['sha256', 'sha384', 'sha512'] as const;
export type HashName = (typeof hashNames)[number];

export interface Signer {
  readonly kind: SignatureKind;
  readonly hash: HashName;
  readonly key: KeyObject;
  readonly certificatePem: string;
  readonly certificateDer: Buffer;
}

/** The value of `a=` for a signed message: IO 3.1.21. */
export function integrityAlgorithm(signer: Signer): string {
  const names = { rsa: 'rsa', 'rsassa-pss': 'rsassa-pss', p256: 'ec-dsa', brainpoolP256r1: 'ec-dsa' };
  return `${signer.hash}/${names[signer.kind]}`;
}

/**
 * Signs bytes. ECDSA in DER for the integrity header, `r || s` for XMLDSig (RFC 4051 2.3.6); the salt of
 * PSS is as long as the digest (RFC 4056 2.2).
 */
export function signBytes(signer: Signer, data: Uint8Array, form: 'der' | 'ieee-p1363'): Buffer {
  if (signer.kind === 'rsassa-pss') {
    const padding = constants.RSA_PKCS1_PSS_PADDING;
    return sign(signer.hash, data, {
      key: signer.key,
      padding,
      saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
    });
  }
  return sign(signer.hash, data, { key: signer.key, dsaEncoding: form });
}

/** Identifiers of RFC 6931 for ds:SignatureMethod. */
export function xmlSignatureMethod(signer: Signer): string {
  if (signer.kind === 'rsa') return `http://www.w3.org/2001/04/xmldsig-more#rsa-${signer.hash}`;
  if (signer.kind === 'rsassa-pss') return `http://www.w3.org/2007/05/xmldsig-more#${signer.hash}-rsa-MGF1`;
  return `http://www.w3.org/2001/04/xmldsig-more#ecdsa-${signer.hash}`;
}

export function xmlDigestMethod(hash: HashName): string {
  return hash === 'sha384'
    ? 'http://www.w3.org/2001/04/xmldsig-more#sha384'
    : `http://www.w3.org/2001/04/xmlenc#${hash}`;
}
