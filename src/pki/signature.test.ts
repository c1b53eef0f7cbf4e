import { generateKeyPairSync, sign } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { verifySignature } from './signature.ts';

const data = Buffer.from('Guten Tag');

describe('curves', () => {
  it.each(['prime256v1', 'secp384r1', 'secp521r1', 'brainpoolP256r1', 'brainpoolP384r1', 'brainpoolP512r1'])(
    '%s is permitted',
    (namedCurve) => {
      const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve });
      expect(verifySignature('ec-dsa', 'sha256', publicKey, data, sign('sha256', data, privateKey)).ok).toBe(
        true,
      );
    },
  );

  // A good signature all the same: the curve alone is the reason.
  it.each([
    'secp256k1',
    'secp224r1',
    'prime192v1',
    'brainpoolP224r1',
    'brainpoolP256t1',
    'sect283r1',
    'sect571k1',
  ])('%s is not', (namedCurve) => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve });
    expect(verifySignature('ec-dsa', 'sha256', publicKey, data, sign('sha256', data, privateKey))).toEqual({
      ok: false,
      reason: `curve ${namedCurve} is not permitted`,
    });
  });
});

it('RSA of 1024 bits is too short, whatever the scheme', () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 1024 });
  for (const scheme of ['rsa', 'rsassa-pss'] as const)
    expect(
      verifySignature(scheme, 'sha256', publicKey, data, sign('sha256', data, privateKey)),
    ).toMatchObject({
      reason: 'an RSA key of 1024 bits is too short',
    });
});

it('keys of other kinds are no ECDSA and no RSA', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const signature = sign(null, data, privateKey);
  expect(verifySignature('ec-dsa', 'sha256', publicKey, data, signature).ok).toBe(false);
  expect(verifySignature('rsa', 'sha256', publicKey, data, signature).ok).toBe(false);
});
