/**
 * Keys of a tenant. They lie in a folder of their own, outside the database and outside its backups: a
 * 32-byte tenant key (wraps the key of every object and entry; keys the digests) and the log's Ed25519
 * signing key. Files are 0600 in a folder 0700.
 */
import {
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

export interface TenantKeys {
  readonly tenant: string;
  /** Wraps per-object and per-entry keys (AES-256-GCM). */
  readonly wrap: KeyObject;
  /** Keys the addresses of objects and the digests of files (HMAC-SHA-256). */
  readonly address: KeyObject;
  readonly logPrivate: KeyObject;
  readonly logPublic: KeyObject;
}

/** What is wrong with a key file, where, and what to do. */
export class KeyError extends Error {
  override name = 'KeyError';
}

/**
 * Loads a tenant's keys. With `create`, missing ones are made: only right for a tenant whose log is empty.
 * @throws KeyError for a missing, short or world-readable key.
 */
export function loadTenantKeys(directory: string, tenant: string, create: boolean): TenantKeys {
  const tenantFile = join(directory, `${tenant}.key`);
  const logFile = join(directory, `${tenant}.log.key`);
  if (create) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    if (!existsSync(tenantFile)) writeSecret(directory, tenantFile, randomBytes(32));
    if (!existsSync(logFile)) {
      const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' });
      writeSecret(directory, logFile, Buffer.from(pem));
    }
  }
  const secret = readSecret(tenantFile);
  if (secret.length !== 32)
    throw new KeyError(
      `${tenantFile}: holds ${secret.length} bytes, a tenant key has 32; restore it from the recovery copy`,
    );
  const logPrivate = createPrivateKey(readSecret(logFile));
  return {
    tenant,
    wrap: derive(secret, tenant, 'wrap'),
    address: derive(secret, tenant, 'address'),
    logPrivate,
    logPublic: createPublicKey(logPrivate),
  };
}

function derive(secret: Buffer, tenant: string, purpose: string): KeyObject {
  return createSecretKey(
    Buffer.from(hkdfSync('sha256', secret, Buffer.alloc(0), `demail-gateway/v1/${tenant}/${purpose}`, 32)),
  );
}

function readSecret(file: string): Buffer {
  if (!existsSync(file))
    throw new KeyError(
      `${file}: missing; without it the tenant's evidence cannot be read: restore it from the recovery copy`,
    );
  const mode = statSync(file).mode & 0o077;
  if (mode !== 0)
    throw new KeyError(
      `${file}: readable by others (mode ${(statSync(file).mode & 0o777).toString(8)}); run: chmod 600 ${file}`,
    );
  return readFileSync(file);
}

function writeSecret(directory: string, file: string, bytes: Buffer): void {
  const handle = openSync(file, 'wx', 0o600);
  try {
    writeSync(handle, bytes);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  const folder = openSync(directory, 'r');
  fsyncSync(folder);
  closeSync(folder);
}
