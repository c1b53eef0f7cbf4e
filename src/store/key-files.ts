/**
 * Files that hold secrets: 0600, synced with their folder, never overwritten. Where the folder names a hardware
 * security module (`hsm.json`), a secret is a file `NAME.p11`, encrypted to a key that never leaves the module.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { decryptWithModule, encryptToModule, moduleOf, type SecurityModule } from './hsm.ts';
import { KeyError } from './key-error.ts';

export function secretExists(file: string): boolean {
  return existsSync(file) || existsSync(`${file}.p11`);
}

/** @throws KeyError for a missing or world-readable file, or a module that does not open it. */
export function readSecret(file: string): Buffer {
  if (!existsSync(file) && existsSync(`${file}.p11`)) {
    const module = moduleOf(dirname(file));
    if (module === null)
      throw new KeyError(`${file}.p11: its folder has no hsm.json that says which module opens it`);
    try {
      return decryptWithModule(module, `${file}.p11`);
    } catch (error) {
      throw new KeyError(`${file}.p11: ${(error as Error).message}`, { cause: error });
    }
  }
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

/** Durable before it returns. @throws KeyError where the folder cannot be written; Error where the file exists. */
export function writeSecret(file: string, secret: Buffer): void {
  const module = moduleOf(dirname(file));
  const [name, bytes] = module === null ? [file, secret] : [`${file}.p11`, encryptToModule(module, secret)];
  const handle = openNew(name);
  try {
    writeSync(handle, bytes);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  syncFolder(dirname(file));
}

const unwritable: readonly unknown[] = ['EROFS', 'EACCES', 'EPERM'];

function openNew(file: string): number {
  try {
    return openSync(file, 'wx', 0o600);
  } catch (error) {
    if (!unwritable.includes((error as NodeJS.ErrnoException).code)) throw error;
    throw new KeyError(
      `${file}: a new key cannot be written there (${(error as Error).message}). Credentials of systemd are read-only: stop the gateway, run this command with keys.directory naming the folder that LoadCredential= reads, and start the gateway again (docs/operations.md, The key of a log)`,
      { cause: error },
    );
  }
}

/**
 * Puts every secret of a folder under a module, and makes sure that each opens before its plain file goes.
 * @returns the files that were protected
 */
export function protectFolder(directory: string, module: SecurityModule): string[] {
  const description = join(directory, 'hsm.json');
  if (existsSync(description))
    throw new KeyError(`${description}: exists; these keys are under a module already`);
  const plain = readdirSync(directory)
    .filter((name) => name.endsWith('.key'))
    .map((name) => join(directory, name));
  writeFileSync(description, `${JSON.stringify(module, null, 2)}\n`, {
    mode: 0o600,
    flag: 'wx',
    flush: true,
  });
  for (const file of plain) {
    const secret = readSecret(file);
    writeSecret(file, secret);
    if (!decryptWithModule(module, `${file}.p11`).equals(secret))
      throw new KeyError(`${file}.p11: the module gives back something else`);
  }
  for (const file of plain) rmSync(file);
  syncFolder(directory);
  return plain;
}

export function syncFolder(directory: string): void {
  const folder = openSync(directory, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
