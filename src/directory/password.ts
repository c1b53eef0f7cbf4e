/** Passwords: argon2id, computed off the event loop. */
import { hash, verify } from '@node-rs/argon2';

/** OWASP's first choice for argon2id: 19 MiB, two passes, one lane. */
const COST = { memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const;

/** Longer ones are no passwords but an attempt to keep the machine busy. Bytes. */
export const MAX_PASSWORD_BYTES = 1024;

/**
 * The line for `passwordHash` in the configuration.
 * @throws RangeError where the password is empty or longer than MAX_PASSWORD_BYTES
 */
export async function hashPassword(password: string): Promise<string> {
  const bytes = Buffer.byteLength(password);
  if (bytes === 0) throw new RangeError('the password is empty');
  if (bytes > MAX_PASSWORD_BYTES)
    throw new RangeError(`the password is longer than ${MAX_PASSWORD_BYTES} bytes`);
  return hash(password, COST);
}

/** False also where the hash cannot be read. */
export async function verifyPassword(passwordHash: string, password: string): Promise<boolean> {
  if (Buffer.byteLength(password) > MAX_PASSWORD_BYTES) return false;
  try {
    return await verify(passwordHash, password);
  } catch {
    return false;
  }
}
