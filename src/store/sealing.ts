/**
 * Encryption of what the store holds. Each object and each entry has a key of its own, wrapped by the
 * tenant's key: deleting the wrapped key erases the content, rotating the tenant's key rewrites no content.
 *
 * An object is a run of chunks, 64 KiB of plain bytes each, AES-256-GCM. The nonce is the chunk's index and
 * a last-flag, the additional data its object: chunks cannot be swapped, dropped, repeated or moved to
 * another object unnoticed (the STREAM construction).
 */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  createSecretKey,
  type KeyObject,
  randomFillSync,
} from 'node:crypto';

export const CHUNK = 65_536;
export const TAG = 16;
/** Bytes of an object's random name. */
export const UID = 16;
/** Bytes of a wrapped key: nonce, key, tag. */
export const WRAPPED = 12 + 32 + TAG;

const pool = Buffer.allocUnsafe(16_384);
let poolAt = pool.length;

/** Random bytes out of a pool: one call to the system's generator serves many small requests. */
export function random(length: number): Buffer {
  if (length > pool.length) throw new RangeError('too many random bytes asked for at once');
  if (poolAt + length > pool.length) {
    randomFillSync(pool);
    poolAt = 0;
  }
  const bytes = Buffer.from(pool.subarray(poolAt, poolAt + length));
  pool.fill(0, poolAt, poolAt + length);
  poolAt += length;
  return bytes;
}

/** A new key, as bytes (to be wrapped) and as Node uses it fastest: a raw key costs four times as much per use. */
export function newKey(): { readonly bytes: Buffer; readonly key: KeyObject } {
  const bytes = random(32);
  return { bytes, key: createSecretKey(bytes) };
}

export function wrapKey(wrap: KeyObject, key: Buffer, context: string): Buffer {
  const nonce = random(12);
  const cipher = createCipheriv('aes-256-gcm', wrap, nonce);
  cipher.setAAD(Buffer.from(context));
  return Buffer.concat([nonce, cipher.update(key), cipher.final(), cipher.getAuthTag()]);
}

/**
 * Opens a wrapped key. While a tenant's key is rotated there are two that may have wrapped it.
 * @param wraps the one in use first
 * @throws Error where the wrapped key was changed or belongs to another context.
 */
export function unwrapKey(wraps: readonly KeyObject[], wrapped: Uint8Array, context: string): KeyObject {
  return createSecretKey(unwrapBytes(wraps, wrapped, context));
}

/** The same key wrapped by the first of `wraps`; null where it already is. @throws as unwrapKey */
export function rewrapKey(wraps: readonly KeyObject[], wrapped: Uint8Array, context: string): Buffer | null {
  const [current, ...earlier] = wraps;
  try {
    unwrapBytes([current!], wrapped, context);
    return null;
  } catch (error) {
    if (earlier.length === 0) throw error;
    return wrapKey(current!, unwrapBytes(earlier, wrapped, context), context);
  }
}

function unwrapBytes(wraps: readonly KeyObject[], wrapped: Uint8Array, context: string): Buffer {
  const [wrap, ...others] = wraps;
  try {
    return unwrapWith(wrap!, wrapped, context);
  } catch (error) {
    if (others.length === 0) throw error;
    return unwrapBytes(others, wrapped, context);
  }
}

function unwrapWith(wrap: KeyObject, wrapped: Uint8Array, context: string): Buffer {
  const bytes = Buffer.from(wrapped);
  if (bytes.length !== WRAPPED) throw new Error('wrapped key has a wrong length');
  const decipher = createDecipheriv('aes-256-gcm', wrap, bytes.subarray(0, 12));
  decipher.setAAD(Buffer.from(context));
  decipher.setAuthTag(bytes.subarray(44));
  return Buffer.concat([decipher.update(bytes.subarray(12, 44)), decipher.final()]);
}

/** Nonce of a chunk: 11 bytes of index, one byte of last-flag. */
function chunkNonce(index: number, last: boolean): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeUIntBE(index, 5, 6);
  nonce[11] = last ? 1 : 0;
  return nonce;
}

export function sealChunk(
  key: KeyObject,
  uid: Buffer,
  index: number,
  last: boolean,
  plain: Uint8Array,
): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, chunkNonce(index, last));
  cipher.setAAD(uid);
  return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

/** @throws Error where the chunk was changed, moved, or its last-flag does not fit. */
export function openChunk(
  key: KeyObject,
  uid: Buffer,
  index: number,
  last: boolean,
  sealed: Uint8Array,
): Buffer {
  if (sealed.length < TAG) throw new Error('chunk is shorter than its tag');
  const body = sealed.subarray(0, sealed.length - TAG);
  const decipher = createDecipheriv('aes-256-gcm', key, chunkNonce(index, last));
  decipher.setAAD(uid);
  decipher.setAuthTag(sealed.subarray(sealed.length - TAG));
  // GCM keeps nothing back: what `final` adds is empty, and a copy of 64 KiB costs more than opening them.
  const plain = decipher.update(body);
  decipher.final();
  return plain;
}

/** Number of chunks of an object of `size` plain bytes; an empty object has one empty chunk. */
export function chunkCount(size: number): number {
  return Math.max(1, Math.ceil(size / CHUNK));
}

/** The address of content within a tenant: HMAC-SHA-256 of its SHA-256, hex. */
export function keyedDigest(addressKey: KeyObject, sha256Hex: string): string {
  return createHmac('sha256', addressKey).update(sha256Hex, 'hex').digest('hex');
}
