/** The offline recovery key: RSA, since CMS key transport opens with every tool, and its certificate. */
import 'reflect-metadata';
import { createPrivateKey, webcrypto } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  BasicConstraintsExtension,
  cryptoProvider,
  KeyUsageFlags,
  KeyUsagesExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';

cryptoProvider.set(webcrypto);

/**
 * Writes `recovery-key.pem` (PKCS#8, AES-256 under the passphrase) and `recovery.pem` (certificate).
 * @throws Error where one of them exists
 */
export async function createRecoveryIdentity(folder: string, passphrase: string): Promise<void> {
  const algorithm = {
    name: 'RSASSA-PKCS1-v1_5',
    hash: 'SHA-256',
    publicExponent: new Uint8Array([1, 0, 1]),
    modulusLength: 4096,
  };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: [{ CN: ['De-Mail gateway recovery key'] }],
    notBefore: new Date(),
    // It is looked at by nobody but this gateway; what it seals must open for as long as evidence is kept.
    notAfter: new Date(Date.UTC(2199, 11, 31)),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.keyEncipherment, true),
    ],
  });
  const pkcs8 = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
  const pem = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' }).export({
    type: 'pkcs8',
    format: 'pem',
    cipher: 'aes-256-cbc',
    passphrase,
  });
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  writeFileSync(join(folder, 'recovery-key.pem'), pem, { mode: 0o600, flag: 'wx', flush: true });
  writeFileSync(join(folder, 'recovery.pem'), `${certificate.toString('pem')}\n`, {
    flag: 'wx',
    flush: true,
  });
}
