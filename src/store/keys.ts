/**
 * Keys of a tenant. They lie in a folder of their own, outside the database and outside its backups: a
 * 32-byte tenant key (wraps the key of every object and entry; keys the digests) and the Ed25519 keys that sign its
 * log. Files are 0600 in a folder 0700.
 *
 * The tenant key can be rotated: `<tenant>.next.key` exists while the wrapped keys are wrapped anew. The key of
 * digests never changes, since addresses stand in entries: the first rotation puts it into a file of its own.
 */
import {
  createHmac,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseVerifierKey, verifierKey } from '../evidence/note.ts';
import { KeyError } from './key-error.ts';
import { readSecret, secretExists, syncFolder, writeSecret } from './key-files.ts';

export interface TenantKeys {
  readonly tenant: string;
  /** Wraps per-object and per-entry keys (AES-256-GCM). */
  readonly wrap: KeyObject;
  /** What a stored key may be wrapped by: `wrap`, and during a rotation the one before. */
  readonly wraps: readonly KeyObject[];
  /** Tells `wrap` from others without telling anything of it. */
  readonly wrapId: string;
  /** Keys the addresses of objects and the digests of files (HMAC-SHA-256). */
  readonly address: KeyObject;
}

/** A key that signs a log. */
export interface LogKey {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

/** What a recovery needs to make the key files again. */
export interface TenantSecrets {
  readonly tenant: string;
  /** 32 bytes each: the tenant key, and during a rotation after it the one before. */
  readonly secrets: readonly Buffer[];
  /** 32 bytes, where a rotation has put it into a file of its own. */
  readonly address: Buffer | null;
  /** PKCS#8 PEM of the first key that signed its log. */
  readonly log: string;
  /** PEM of the keys that signed later, by the id of their verifier key. */
  readonly laterLogs?: Readonly<Record<string, string>>;
}

function files(directory: string, tenant: string) {
  return {
    secret: join(directory, `${tenant}.key`),
    next: join(directory, `${tenant}.next.key`),
    address: join(directory, `${tenant}.address.key`),
    log: join(directory, `${tenant}.log.key`),
  };
}

/**
 * Loads a tenant's keys. With `create`, missing ones are made, and the first one that signs its log: only right for a tenant whose log is empty.
 * @throws KeyError for a missing, short or world-readable key.
 */
export function loadTenantKeys(directory: string, tenant: string, create: boolean): TenantKeys {
  const at = files(directory, tenant);
  if (create) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    if (!secretExists(at.secret)) writeSecret(at.secret, randomBytes(32));
    if (!secretExists(at.log)) createLogKey(directory, () => at.log);
  }
  const wraps = secretsIn(at).map((file) => derive(read32(file), tenant, 'wrap'));
  return {
    tenant,
    wrap: wraps[0]!,
    wraps,
    wrapId: idOf(wraps[0]!),
    address: secretExists(at.address)
      ? createSecretKey(read32(at.address))
      : derive(read32(at.secret), tenant, 'address'),
  };
}

/** Files of the tenant key, the one in use first. One that is missing is named all the same. */
function secretsIn(at: ReturnType<typeof files>): string[] {
  const found = [at.next, at.secret].filter(secretExists);
  return found.length === 0 ? [at.secret] : found;
}

/**
 * File of a log key: `<tenant>.log.key` for the first key of a tenant, later ones carry the id of their verifier
 * key (`name+id+key`), so that nothing is ever overwritten.
 */
export function logKeyFile(directory: string, tenant: string, key: string | null): string {
  const id = key === null ? null : /\+([0-9a-f]{8})\+/.exec(key)?.[1];
  return join(directory, id === null ? `${tenant}.log.key` : `${tenant}.log-${id}.key`);
}

/** The file that holds this key of a log: one of its own, or that of the tenant's first key, where the log began by an import. */
export function logKeyFileOf(directory: string, tenant: string, key: string): string {
  const own = logKeyFile(directory, tenant, key);
  const first = logKeyFile(directory, tenant, null);
  return secretExists(own) || !secretExists(first) || keyIn(first, key) !== key ? own : first;
}

function keyIn(file: string, key: string): string {
  return verifierKey(parseVerifierKey(key).name, readLogKey(file).publicKey);
}

/** @throws KeyError for a missing or world-readable key. */
export function readLogKey(file: string): LogKey {
  const privateKey = createPrivateKey(readSecret(file));
  return { privateKey, publicKey: createPublicKey(privateKey) };
}

/** Makes a log key; its file is named by what `fileOf` makes of its public half. @returns it, durable. */
export function createLogKey(directory: string, fileOf: (publicKey: KeyObject) => string): LogKey {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  writeSecret(fileOf(publicKey), Buffer.from(privateKey.export({ type: 'pkcs8', format: 'pem' })));
  return { privateKey, publicKey };
}

/** First step of a rotation: the new key is there, and new content is wrapped by it. Idempotent. */
export function beginRotation(directory: string, tenant: string): void {
  const at = files(directory, tenant);
  if (secretExists(at.next)) return;
  if (!secretExists(at.address))
    writeSecret(at.address, derive(read32(at.secret), tenant, 'address').export());
  writeSecret(at.next, randomBytes(32));
}

/** Last step: the new key takes the old one's place. Nothing may be wrapped by the old one any more. */
export function endRotation(directory: string, tenant: string): void {
  const at = files(directory, tenant);
  if (!secretExists(at.next)) throw new KeyError(`${at.next}: no rotation of this tenant's key has begun`);
  for (const suffix of ['', '.p11']) {
    if (!existsSync(at.next + suffix)) continue;
    renameSync(at.next + suffix, at.secret + suffix);
    rmSync(at.secret + (suffix === '' ? '.p11' : ''), { force: true });
  }
  syncFolder(directory);
}

/** What must be kept where no fire, thief or fault that takes the folder can take it too. @throws KeyError */
export function exportSecrets(directory: string, tenant: string): TenantSecrets {
  const at = files(directory, tenant);
  return {
    tenant,
    secrets: secretsIn(at).map(read32),
    address: secretExists(at.address) ? read32(at.address) : null,
    log: readSecret(at.log).toString(),
    laterLogs: Object.fromEntries(
      laterLogKeys(directory, tenant).map(({ id, file }) => [id, readSecret(file).toString()]),
    ),
  };
}

function laterLogKeys(directory: string, tenant: string): { id: string; file: string }[] {
  const name = new RegExp(`^${tenant}\\.log-([0-9a-f]{8})\\.key(?:\\.p11)?$`);
  return readdirSync(directory).flatMap((entry) => {
    const id = name.exec(entry)?.[1];
    return id === undefined ? [] : [{ id, file: join(directory, `${tenant}.log-${id}.key`) }];
  });
}

/**
 * Makes the key files again. @throws KeyError where a file is there already: a key is never overwritten.
 */
export function importSecrets(
  directory: string,
  { tenant, secrets, address, log, laterLogs = {} }: TenantSecrets,
): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const at = files(directory, tenant);
  for (const file of Object.values(at)) {
    if (secretExists(file))
      throw new KeyError(`${file}: exists; a key is never overwritten: move it away first`);
  }
  if (address !== null) writeSecret(at.address, address);
  writeSecret(at.log, Buffer.from(log));
  for (const [id, pem] of Object.entries(laterLogs)) {
    const file = join(directory, `${tenant}.log-${id}.key`);
    if (!/^[0-9a-f]{8}$/.test(id) || secretExists(file))
      throw new KeyError(`${file}: exists, or is no name of a key; a key is never overwritten`);
    writeSecret(file, Buffer.from(pem));
  }
  const [current, before] = secrets;
  if (before === undefined) writeSecret(at.secret, current!);
  else {
    writeSecret(at.secret, before);
    writeSecret(at.next, current!);
  }
}

/** The keys that these secrets give, without any file. */
export function keysOf({ tenant, secrets, address }: TenantSecrets): TenantKeys {
  const wraps = secrets.map((secret) => derive(secret, tenant, 'wrap'));
  return {
    tenant,
    wrap: wraps[0]!,
    wraps,
    wrapId: idOf(wraps[0]!),
    address: address === null ? derive(secrets.at(-1)!, tenant, 'address') : createSecretKey(address),
  };
}

function idOf(wrap: KeyObject): string {
  return createHmac('sha256', wrap).update('id').digest('hex').slice(0, 16);
}

function derive(secret: Buffer, tenant: string, purpose: string): KeyObject {
  return createSecretKey(
    Buffer.from(hkdfSync('sha256', secret, Buffer.alloc(0), `demail-gateway/v1/${tenant}/${purpose}`, 32)),
  );
}

function read32(file: string): Buffer {
  const secret = readSecret(file);
  if (secret.length !== 32)
    throw new KeyError(
      `${file}: holds ${secret.length} bytes, a tenant key has 32; restore it from the recovery copy`,
    );
  return secret;
}
