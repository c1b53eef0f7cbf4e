/** A signature value against a key, on node:crypto: it knows brainpool, WebCrypto does not. */
import { constants, type KeyObject, verify } from 'node:crypto';

/** BSI TR-03116-4: no shorter RSA keys, and these curves. */
const MIN_RSA_BITS = 2_048;
const curves = [
  'prime256v1',
  'secp384r1',
  'secp521r1',
  'brainpoolP256r1',
  'brainpoolP384r1',
  'brainpoolP512r1',
];

export type SignatureHash = 'sha256' | 'sha384' | 'sha512';

export interface SignatureScheme {
  readonly scheme: 'rsa-pkcs1' | 'rsa-pss' | 'ecdsa';
  readonly hash: SignatureHash;
  /** RSASSA-PSS alone: bytes of salt. */
  readonly saltLength: number | null;
}

/**
 * Whether `value` is a signature over `data`. The key's type must be the scheme's own. `form` is that of an
 * ECDSA value: DER in CMS, `r || s` in XML (RFC 9231 2.3.6).
 */
export function fitsKey(
  { scheme, hash, saltLength }: SignatureScheme,
  key: KeyObject,
  data: Buffer,
  value: Buffer,
  form: 'der' | 'ieee-p1363',
): boolean {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (scheme === 'ecdsa') {
    if (type !== 'ec' || !curves.includes(details?.namedCurve ?? '')) return false;
    return verify(hash, data, { key, dsaEncoding: form }, value);
  }
  if ((details?.modulusLength ?? 0) < MIN_RSA_BITS) return false;
  if (scheme === 'rsa-pss') {
    if (type !== 'rsa' && type !== 'rsa-pss') return false;
    const padding = constants.RSA_PKCS1_PSS_PADDING;
    return verify(hash, data, { key, padding, saltLength: saltLength! }, value);
  }
  return type === 'rsa' && verify(hash, data, { key, padding: constants.RSA_PKCS1_PADDING }, value);
}
