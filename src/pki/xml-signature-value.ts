/** The value of an XML signature against a key, on node:crypto: it knows brainpool, WebCrypto does not. */
import { constants, type KeyObject, verify } from 'node:crypto';
import type { XmlSignatureMethod } from './xml-algorithms.ts';

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

/** Whether `value` is a signature over `data`. The key's type must be the method's own. */
export function fitsKey(method: XmlSignatureMethod, key: KeyObject, data: Buffer, value: Buffer): boolean {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (method.scheme === 'ecdsa') {
    if (type !== 'ec' || !curves.includes(details?.namedCurve ?? '')) return false;
    // RFC 9231 2.3.6: r || s, each as long as the order of the curve.
    return verify(method.hash, data, { key, dsaEncoding: 'ieee-p1363' }, value);
  }
  if ((details?.modulusLength ?? 0) < MIN_RSA_BITS) return false;
  if (method.scheme === 'rsa-pss') {
    if (type !== 'rsa' && type !== 'rsa-pss') return false;
    const padding = constants.RSA_PKCS1_PSS_PADDING;
    return verify(method.hash, data, { key, padding, saltLength: method.saltLength! }, value);
  }
  return type === 'rsa' && verify(method.hash, data, { key, padding: constants.RSA_PKCS1_PADDING }, value);
}
