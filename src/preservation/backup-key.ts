/**
 * The key of backups and of the second copy. It lies beside the tenants' keys, so that increments need nobody; and it
 * lies in the backup itself, encrypted to the offline recovery keys, so that a backup opens where the host is gone.
 */
import { createHmac, createSecretKey, type KeyObject, randomBytes, X509Certificate } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { envelop, openEnvelope } from '../pki/envelope.ts';
import { readSecret, secretExists, syncFolder, writeSecret } from '../store/key-files.ts';

/** No tenant has a dot in its name. */
export function backupKeyFile(keysDirectory: string): string {
  return join(keysDirectory, 'gateway.backup.key');
}

/** The local key; made where there is none. @throws KeyError */
export function localBackupKey(keysDirectory: string): KeyObject {
  const file = backupKeyFile(keysDirectory);
  if (!secretExists(file)) {
    mkdirSync(keysDirectory, { recursive: true, mode: 0o700 });
    writeSecret(file, randomBytes(32));
  }
  return asKey(readSecret(file), file);
}

/** @throws Error for a file that holds no such key */
export function asKey(bytes: Buffer, from: string): KeyObject {
  if (bytes.length !== 32) throw new Error(`${from}: is no backup key: it has ${bytes.length} bytes, not 32`);
  return createSecretKey(bytes);
}

/** Tells keys apart without telling anything of them. */
export function keyIdOf(key: KeyObject): string {
  return createHmac('sha256', key).update('demail-gateway/backup/v1/id').digest('hex').slice(0, 16);
}

const noteFile = 'key.json';
const envelopeFile = 'key.cms';

/**
 * Makes sure that a folder is one of this key, and that the recovery keys open it.
 * @param certificates PEM files of recovery certificates
 * @throws Error where it belongs to another key
 */
export async function claimFolder(
  folder: string,
  key: KeyObject,
  certificates: readonly string[],
): Promise<void> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const recipients = certificates.map((file) => new X509Certificate(readFileSync(file)));
  const fingerprints = recipients.map((c) => c.fingerprint256.replaceAll(':', '').toLowerCase()).sort();
  const note = JSON.stringify({ v: 1, key: keyIdOf(key), recipients: fingerprints });
  const file = join(folder, noteFile);
  if (existsSync(file)) {
    const known = readFileSync(file, 'utf8').trim();
    if (known === note) return;
    if ((JSON.parse(known) as { key?: string }).key !== keyIdOf(key))
      throw new Error(`${folder}: holds backups under another key; use an empty folder`);
  }
  // Without certificates the local key is the only one; the configuration asks for some.
  if (recipients.length > 0) await put(join(folder, envelopeFile), await envelop(key.export(), recipients));
  await put(file, Buffer.from(`${note}\n`));
  syncFolder(folder);
}

/** Opens the key of a backup by a recovery key. @throws Error naming the file */
export async function openFolderKey(folder: string, recoveryKey: KeyObject): Promise<KeyObject> {
  const file = join(folder, envelopeFile);
  if (!existsSync(file)) throw new Error(`${folder}: there is no ${envelopeFile}: this is no backup`);
  try {
    return asKey(await openEnvelope(readFileSync(file), recoveryKey), file);
  } catch (error) {
    throw new Error(`${file}: ${(error as Error).message}`);
  }
}

async function put(file: string, bytes: Uint8Array): Promise<void> {
  writeFileSync(`${file}.new`, bytes, { mode: 0o600, flush: true });
  await rename(`${file}.new`, file);
}
