/**
 * Which texts can a message not contain? A Bloom filter of its trigrams with one keyed hash: a text can occur only
 * where all its trigrams do. Far smaller than an inverted index, written once and deleted with one row; a search
 * reads one filter per message of the mailbox.
 */
import { createHmac, type KeyObject } from 'node:crypto';
import { type TextPlace, textPlaces } from '../search-text.ts';

/** Secrets of the hash: without them a filter says only which messages resemble each other. */
export type FilterKey = Int32Array;

const LARGEST_BITS = 2 ** 17;
const LEAST_BITS = 2 ** 9;

export function filterKey(secret: KeyObject): FilterKey {
  const bytes = createHmac('sha256', secret).update('search filter').digest();
  return Int32Array.from({ length: 4 }, (_, i) => bytes.readInt32LE(4 * i) | 1);
}

/** Hashes of the trigrams (of UTF-16 units) of a text; none where it is shorter. */
export function trigramHashes(key: FilterKey, where: TextPlace, text: string): Uint32Array {
  const hashes = new Uint32Array(Math.max(0, text.length - 2));
  const place = Math.imul(textPlaces.indexOf(where) + 1, key[3]!);
  let a = text.charCodeAt(0);
  let b = text.charCodeAt(1);
  for (let i = 0; i < hashes.length; i++) {
    const c = text.charCodeAt(i + 2);
    let hash = Math.imul(a ^ place, key[0]!);
    hash = Math.imul((hash ^ (hash >>> 15)) + b, key[1]!);
    hash = Math.imul((hash ^ (hash >>> 15)) + c, key[2]!);
    hashes[i] = hash ^ (hash >>> 16);
    a = b;
    b = c;
  }
  return hashes;
}

/** Made large, then folded to half again and again as long as at most a quarter of the bits is set. */
export function createFilter(): { add(hashes: Uint32Array): void; finish(): Buffer } {
  let bits = Buffer.alloc(LARGEST_BITS / 8);
  return {
    add(hashes) {
      for (const hash of hashes) {
        const at = hash & (LARGEST_BITS - 1);
        bits[at >>> 3]! |= 1 << (at & 7);
      }
    },
    finish() {
      while (bits.length * 8 > LEAST_BITS) {
        const half = Buffer.from(bits.subarray(0, bits.length / 2));
        for (let i = 0; i < half.length; i++) half[i]! |= bits[half.length + i]!;
        if (onesOf(half) > half.length * 2) break;
        bits = half;
      }
      return bits;
    },
  };
}

/** False only where the text that the hashes are of was never added. */
export function mayHold(filter: Uint8Array, hashes: Uint32Array): boolean {
  const mask = filter.length * 8 - 1;
  // By index: this runs for every message of a mailbox.
  for (let i = 0; i < hashes.length; i++) {
    const at = hashes[i]! & mask;
    if ((filter[at >>> 3]! & (1 << (at & 7))) === 0) return false;
  }
  return true;
}

const ones = Uint8Array.from({ length: 256 }, (_, byte) => byte.toString(2).replaceAll('0', '').length);

function onesOf(bytes: Uint8Array): number {
  let count = 0;
  for (const byte of bytes) count += ones[byte]!;
  return count;
}
