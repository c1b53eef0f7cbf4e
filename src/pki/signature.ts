/** Signature values, checked by OpenSSL through node:crypto: RSA, RSASSA-PSS, ECDSA on NIST and brainpool curves. */
import { constants, type KeyObject, verify } from 'node:crypto';
import type { IntegrityHash, SignatureScheme } from '../demail/integrity.ts';

/** Bits. Old signatures are judged too, so not the 3000 that BSI TR-02102-1 asks of new keys. */
const SHORTEST_RSA = 2048;
/** Longer ones only cost time, whose certificate anyone may send. */
const LONGEST_RSA = 16_384;
/** BSI TR-03116-4, RFC 5639: names as OpenSSL has them. Whatever else a certificate brings is refused. */
const curves: ReadonlySet<string> = new Set([
  'prime256v1',
  'secp384r1',
  'secp521r1',
  'brainpoolP256r1',
  'brainpoolP384r1',
  'brainpoolP512r1',
]);

export type SignatureResult = { readonly ok: true } | { readonly ok: false; readonly reason: string };

/** Is `signature` over `data` by that key? Never throws. */
export function verifySignature(
  scheme: SignatureScheme,
  hash: IntegrityHash,
  key: KeyObject,
  data: Uint8Array,
  signature: Uint8Array,
): SignatureResult {
  const type = key.asymmetricKeyType;
  const details = key.asymmetricKeyDetails;
  try {
    if (scheme === 'ec-dsa') {
      if (type !== 'ec')
        return { ok: false, reason: `the certificate holds a ${type} key, the signature is ECDSA` };
      if (!curves.has(details?.namedCurve ?? ''))
        return {
          ok: false,
          reason: `curve ${details?.namedCurve ?? '(explicit parameters)'} is not permitted`,
        };
      // RFC 5754 means DER; some sign plain r‖s.
      const fits =
        verify(hash, data, { key, dsaEncoding: 'der' }, signature) ||
        verify(hash, data, { key, dsaEncoding: 'ieee-p1363' }, signature);
      return fits ? { ok: true } : broken;
    }
    if (type !== 'rsa' && type !== 'rsa-pss')
      return { ok: false, reason: `the certificate holds a ${type} key, the signature is RSA` };
    const bits = details?.modulusLength ?? 0;
    if (bits < SHORTEST_RSA) return { ok: false, reason: `an RSA key of ${bits} bits is too short` };
    if (bits > LONGEST_RSA) return { ok: false, reason: `an RSA key of ${bits} bits is too long` };
    if (scheme === 'rsa' && type === 'rsa-pss')
      return { ok: false, reason: 'the key is for RSASSA-PSS only' };
    const padding =
      scheme === 'rsassa-pss'
        ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_AUTO }
        : { padding: constants.RSA_PKCS1_PADDING };
    return verify(hash, data, { key, ...padding }, signature) ? { ok: true } : broken;
  } catch (error) {
    return { ok: false, reason: `the signature cannot be checked: ${(error as Error).message}` };
  }
}

const broken: SignatureResult = {
  ok: false,
  reason: "the signature was not made by the certificate's key, or not over these bytes",
};
