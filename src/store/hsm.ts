/**
 * Secrets under a key in a hardware security module (PKCS#11), by OpenSC's `pkcs11-tool`: a program that every
 * maker's module is tried with, and that keeps foreign native code out of this process.
 *
 * A secret is encrypted with AES-256-GCM under a fresh key, and that key to the module's RSA key (RSAES-OAEP).
 * Encrypting needs the public half alone.
 */
import { execFileSync } from 'node:child_process';
import {
  constants,
  createCipheriv,
  createDecipheriv,
  createPublicKey,
  publicEncrypt,
  randomBytes,
} from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface SecurityModule {
  /** The PKCS#11 library, such as `/usr/lib/softhsm/libsofthsm2.so`. */
  readonly module: string;
  /** Label of the token. */
  readonly token: string;
  /** Hex id of the RSA key pair. */
  readonly key: string;
  /** File with the PIN, 0600. */
  readonly pinFile: string;
  /** Public half of the key pair, PEM. */
  readonly publicKey: string;
}

/** By hand: the writer thread, which every start waits for, does without the schema library. @throws Error */
function readDescription(value: unknown): SecurityModule {
  const names = ['module', 'token', 'key', 'pinFile', 'publicKey'] as const;
  const given = value as Record<string, unknown> | null;
  if (typeof given !== 'object' || given === null) throw new Error('is no object');
  for (const name of names) if (typeof given[name] !== 'string') throw new Error(`${name} has to be text`);
  for (const name of Object.keys(given))
    if (!names.some((known) => known === name)) throw new Error(`${name} is not known here`);
  if (!/^[0-9a-f]{2,64}$/i.test(given.key as string))
    throw new Error('key has to be the hex id of the key pair');
  return given as unknown as SecurityModule;
}

const magic = Buffer.from('demail-gateway/p11/v1\n');
const commandTimeoutMs = 30_000;

/** The module that a key folder names in `hsm.json`; null where it names none. @throws Error naming the file. */
export function moduleOf(directory: string): SecurityModule | null {
  const file = join(directory, 'hsm.json');
  if (!existsSync(file)) return null;
  try {
    return readDescription(JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    throw new Error(`${file}: ${(error as Error).message}`);
  }
}

/** Reads the public half, so that `hsm.json` can be written. @throws Error with what the tool said. */
export function describeModule(module: Omit<SecurityModule, 'publicKey'>): SecurityModule {
  const der = tool(module, ['--read-object', '--type', 'pubkey', '--id', module.key]);
  const publicKey = createPublicKey({ key: der, format: 'der', type: 'spki' });
  if (publicKey.asymmetricKeyType !== 'rsa' || (publicKey.asymmetricKeyDetails?.modulusLength ?? 0) < 3072)
    throw new Error(`key ${module.key}: an RSA key of at least 3072 bits is needed`);
  return { ...module, publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString() };
}

export function encryptToModule(module: SecurityModule, secret: Buffer): Buffer {
  const key = randomBytes(32);
  const nonce = randomBytes(12);
  // SHA-1 inside OAEP is no weakness (no collision matters there), and the only digest that every module offers.
  const wrapped = publicEncrypt(
    { key: module.publicKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha1' },
    key,
  );
  const cipher = createCipheriv('aes-256-gcm', key, nonce);
  cipher.setAAD(magic);
  const body = Buffer.concat([cipher.update(secret), cipher.final(), cipher.getAuthTag()]);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(wrapped.length);
  return Buffer.concat([magic, length, wrapped, nonce, body]);
}

/** @throws Error where the module cannot be reached, refuses, or the file was changed. */
export function decryptWithModule(module: SecurityModule, file: string): Buffer {
  const bytes = readFileSync(file);
  if (bytes.length < magic.length + 2 || !bytes.subarray(0, magic.length).equals(magic))
    throw new Error('not a secret under a security module');
  const at = magic.length + 2;
  const end = at + bytes.readUInt16BE(magic.length);
  if (bytes.length < end + 12 + 16) throw new Error('cut off');
  const key = unwrap(module, bytes.subarray(at, end));
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(end, end + 12));
  decipher.setAAD(magic);
  decipher.setAuthTag(bytes.subarray(bytes.length - 16));
  return Buffer.concat([decipher.update(bytes.subarray(end + 12, bytes.length - 16)), decipher.final()]);
}

function unwrap(module: SecurityModule, wrapped: Buffer): Buffer {
  const folder = mkdtempSync(join(tmpdir(), 'demail-p11-'));
  try {
    const input = join(folder, 'in');
    writeFileSync(input, wrapped, { mode: 0o600 });
    return tool(module, [
      '--decrypt',
      '--mechanism',
      'RSA-PKCS-OAEP',
      '--hash-algorithm',
      'SHA-1',
      '--mgf',
      'MGF1-SHA1',
      '--id',
      module.key,
      '--input-file',
      input,
    ]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function tool(module: Omit<SecurityModule, 'publicKey'>, args: readonly string[]): Buffer {
  const { PATH, SOFTHSM2_CONF } = process.env;
  try {
    return execFileSync(
      'pkcs11-tool',
      [
        '--module',
        module.module,
        '--token-label',
        module.token,
        '--login',
        '--pin',
        'env:DEMAIL_PIN',
        ...args,
      ],
      {
        timeout: commandTimeoutMs,
        maxBuffer: 1 << 20,
        stdio: ['ignore', 'pipe', 'pipe'],
        // By environment: a command line can be read by everyone on the host.
        env: {
          ...(PATH !== undefined && { PATH }),
          ...(SOFTHSM2_CONF !== undefined && { SOFTHSM2_CONF }),
          DEMAIL_PIN: readFileSync(module.pinFile, 'utf8').replace(/\r?\n$/, ''),
        },
      },
    );
  } catch (error) {
    const said = (error as { stderr?: Buffer }).stderr?.toString().trim() || (error as Error).message;
    throw new Error(`pkcs11-tool: ${said}`);
  }
}
