/** From an entry to its leaf: RFC 8785 bytes, salted commitment, RFC 6962 leaf hash. */
import { hash } from 'node:crypto';
import canonicalize from 'canonicalize';
import type { Entry } from './entry.ts';

/** Bytes of a salt. */
export const SALT_LENGTH = 32;

/** RFC 8785 form of an entry. @throws TypeError for what JSON cannot say (NaN, cycles). */
export function entryBytes(entry: Entry): Buffer {
  const text = canonicalize(entry);
  if (text === undefined) throw new TypeError('entry has no canonical form');
  return Buffer.from(text, 'utf8');
}

/** Reads what `entryBytes` wrote. @throws SyntaxError where the bytes are no JSON object. */
export function parseEntry(bytes: Uint8Array): Entry {
  const value: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'));
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new SyntaxError('entry is no JSON object');
  return value as Entry;
}

/**
 * What the log holds of an entry: `SHA-256(salt || bytes)`. The salt keeps guessable content (an address,
 * a date) from being guessed out of the public log.
 */
export function commitmentOf(salt: Uint8Array, bytes: Uint8Array): Buffer {
  return commitmentOfSalted(Buffer.concat([salt, bytes]));
}

/** The same, of salt and bytes that already lie in one piece. */
export function commitmentOfSalted(salted: Uint8Array): Buffer {
  return hash('sha256', salted, 'buffer');
}
