/** Signature values, checked by OpenSSL through node:crypto: RSA, RSASSA-PSS, ECDSA on NIST and brainpool curves. */
import { constants, type KeyObject, verify } from 'node:crypto';
import type { IntegrityHash, SignatureScheme } from '../demail/integrity.ts';

/** Shortest keys accepted (TR-03116-4, BSI TR-02102-1): what is shorter proves nothing. Bits. */
const SHORTEST = { rsa: 2048, ec: 224 } as const;

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
      if (curveBits(details?.namedCurve) < SHORTEST.ec)
        return { ok: false, reason: `curve ${details?.namedCurve} is too weak` };
      // RFC 5754 means DER; some sign plain r‖s.
      const fits =
        verify(hash, data, { key, dsaEncoding: 'der' }, signature) ||
        verify(hash, data, { key, dsaEncoding: 'ieee-p1363' }, signature);
      return fits ? { ok: true } : broken;
    }
    if (type !== 'rsa' && type !== 'rsa-pss')
      return { ok: false, reason: `the certificate holds a ${type} key, the signature is RSA` };
    if ((details?.modulusLength ?? 0) < SHORTEST.rsa)
      return { ok: false, reason: `an RSA key of ${details?.modulusLength} bits is too short` };
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

/** Bits of a curve by the number in its name: prime256v1, secp384r1, brainpoolP512r1. */
function curveBits(name: string | undefined): number {
  return Number(/\d{3}/.exec(name ?? '')?.[0] ?? 0);
}
