/**
 * Files that hold secrets: 0600, synced with their folder, never overwritten. Where the folder names a hardware
 * security module (`hsm.json`), a secret is a file `NAME.p11`, encrypted to a key that never leaves the module.
 */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { decryptWithModule, encryptToModule, moduleOf } from './hsm.ts';

/** What is wrong with a key file, where, and what to do. */
export class KeyError extends Error {
  override name = 'KeyError';
}

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

/** Durable before it returns. @throws Error where the file exists. */
export function writeSecret(file: string, secret: Buffer): void {
  const module = moduleOf(dirname(file));
  const [name, bytes] = module === null ? [file, secret] : [`${file}.p11`, encryptToModule(module, secret)];
  const handle = openSync(name, 'wx', 0o600);
  try {
    writeSync(handle, bytes);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  syncFolder(dirname(file));
}

export function syncFolder(directory: string): void {
  const folder = openSync(directory, 'r');
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
