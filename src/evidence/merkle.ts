/**
 * The RFC 6962 hash tree over commitments, kept as C2SP tiles: 256 hashes wide, eight binary levels high.
 * Everything here is pure; tiles come from a `TileReader`. All proofs cost O(log n) hashes.
 */
import { hash } from 'node:crypto';

export const HASH_LENGTH = 32;
export const TILE_WIDTH = 256;
const TILE_BYTES = TILE_WIDTH * HASH_LENGTH;

/** The hashes of tile `n` at tile level `level` as far as they exist: at most 256 × 32 bytes. */
export type TileReader = (level: number, n: number) => Uint8Array;

const LEAF = Buffer.from([0]);
const NODE = Buffer.from([1]);

/** Root of the empty tree: SHA-256 of nothing (RFC 6962 2.1). */
export const EMPTY_ROOT = sha256();

export function leafHash(data: Uint8Array): Buffer {
  return sha256(LEAF, data);
}

/** What a node's hash is taken of: prefix and two hashes. One buffer for all, for proofs hash hundreds of nodes. */
const nodeInput = Buffer.alloc(1 + 2 * HASH_LENGTH, 1);

/** @param left 32 bytes, as `right` */
export function nodeHash(left: Uint8Array, right: Uint8Array): Buffer {
  if (left.length !== HASH_LENGTH || right.length !== HASH_LENGTH) return sha256(NODE, left, right);
  nodeInput.set(left, 1);
  nodeInput.set(right, 1 + HASH_LENGTH);
  return hash('sha256', nodeInput, 'buffer');
}

/** In one call: for inputs this small the hash object would cost more than the hashing. */
function sha256(...parts: Uint8Array[]): Buffer {
  return hash('sha256', Buffer.concat(parts), 'buffer');
}

/**
 * The growing edge of a tree: for each tile level the hashes of the tile that is not full yet. Appending
 * touches O(1) tiles; `changed` collects those to be written.
 */
export interface TreeEdge {
  size: number;
  readonly tails: Buffer[];
}

export interface ChangedTile {
  readonly level: number;
  readonly n: number;
  readonly hashes: Buffer;
}

export function emptyEdge(): TreeEdge {
  return { size: 0, tails: [] };
}

/** Rebuilds the edge of a tree of `size` leaves from its tiles. @throws Error where a tile is short. */
export function loadEdge(size: number, readTile: TileReader): TreeEdge {
  const tails: Buffer[] = [];
  for (let level = 0, count = size; count > 0; level++, count = Math.floor(count / TILE_WIDTH)) {
    const width = count % TILE_WIDTH;
    tails.push(
      width === 0 ? Buffer.alloc(0) : tileSlice(readTile, level, Math.floor(count / TILE_WIDTH), 0, width),
    );
  }
  return { size, tails };
}

/** Appends leaf hashes; returns the edge after it and every tile that changed. The given edge stays as it was. */
export function appendLeaves(
  edge: TreeEdge,
  leaves: readonly Uint8Array[],
): { edge: TreeEdge; changed: ChangedTile[] } {
  const tails: Buffer[] = [...edge.tails];
  const changed: ChangedTile[] = [];
  let additions: readonly Uint8Array[] = leaves;
  let before = edge.size;
  for (let level = 0; additions.length > 0; level++) {
    let n = Math.floor(before / TILE_WIDTH);
    let all = Buffer.concat([tails[level] ?? Buffer.alloc(0), ...additions]);
    const upper: Uint8Array[] = [];
    while (all.length >= TILE_BYTES) {
      const full = all.subarray(0, TILE_BYTES);
      changed.push({ level, n, hashes: full });
      upper.push(foldComplete(full));
      all = all.subarray(TILE_BYTES);
      n++;
    }
    if (all.length > 0) changed.push({ level, n, hashes: all });
    tails[level] = all;
    before = Math.floor(before / TILE_WIDTH);
    additions = upper;
  }
  return { edge: { size: edge.size + leaves.length, tails }, changed };
}

/** Root hash of the edge's tree. */
export function edgeRoot(edge: TreeEdge): Buffer {
  // Right to left: within a tail the hashes form complete subtrees by the bits of their count.
  let root: Buffer | null = null;
  for (const tail of edge.tails) {
    const parts = completeSubtrees(tail);
    for (const part of parts.reverse()) root = root === null ? part : nodeHash(part, root);
  }
  return root ?? EMPTY_ROOT;
}

/** Hashes of the maximal complete subtrees of a run of hashes, left to right. */
function completeSubtrees(hashes: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  let offset = 0;
  let count = hashes.length / HASH_LENGTH;
  for (let width = TILE_WIDTH / 2; width >= 1; width /= 2) {
    if (count >= width) {
      parts.push(foldComplete(hashes.subarray(offset, offset + width * HASH_LENGTH)));
      offset += width * HASH_LENGTH;
      count -= width;
    }
  }
  return parts;
}

/** Root of a complete run of 2^k hashes. */
function foldComplete(hashes: Uint8Array): Buffer {
  let layer: Uint8Array[] = [];
  for (let at = 0; at < hashes.length; at += HASH_LENGTH) layer.push(hashes.subarray(at, at + HASH_LENGTH));
  while (layer.length > 1) {
    const next: Uint8Array[] = [];
    for (let i = 0; i < layer.length; i += 2) next.push(nodeHash(layer[i]!, layer[i + 1]!));
    layer = next;
  }
  return Buffer.from(layer[0]!);
}

/** Hash of the complete subtree of 2^level leaves that starts at leaf index · 2^level. */
export type SubtreeReader = (level: number, index: number) => Buffer;

/** Folds anew what it is asked for; tile-memory.ts remembers. */
function foldingSubtrees(readTile: TileReader): SubtreeReader {
  return (level, index) => {
    const tileLevel = Math.floor(level / 8);
    const width = 2 ** (level % 8);
    const start = index * width;
    return foldComplete(
      tileSlice(readTile, tileLevel, Math.floor(start / TILE_WIDTH), start % TILE_WIDTH, width),
    );
  };
}

function tileSlice(readTile: TileReader, level: number, n: number, from: number, width: number): Buffer {
  const tile = readTile(level, n);
  if (tile.length < (from + width) * HASH_LENGTH)
    throw new Error(`tile ${level}/${n} holds ${tile.length} bytes, ${(from + width) * HASH_LENGTH} needed`);
  return Buffer.from(tile.subarray(from * HASH_LENGTH, (from + width) * HASH_LENGTH));
}

/** Hash of leaves [start, end): MTH of RFC 6962 2.1 where start is aligned as recursion leaves it. */
function rangeHash(start: number, end: number, subtree: SubtreeReader): Buffer {
  const size = end - start;
  const level = Math.floor(Math.log2(size));
  if (2 ** level === size && start % size === 0) return subtree(level, start / size);
  const split = start + largestPowerBelow(size);
  return nodeHash(rangeHash(start, split, subtree), rangeHash(split, end, subtree));
}

/** The largest power of two smaller than n (n ≥ 2). */
function largestPowerBelow(n: number): number {
  let power = 1;
  while (power * 2 < n) power *= 2;
  return power;
}

/** Root hash of the first `size` leaves. */
export function rootAt(size: number, readTile: TileReader): Buffer {
  return size === 0 ? EMPTY_ROOT : rangeHash(0, size, foldingSubtrees(readTile));
}

/** RFC 6962 2.1.1 audit path of leaf `index` in the tree of `size` leaves. @throws RangeError outside the tree. */
export function inclusionProof(
  index: number,
  size: number,
  readTile: TileReader,
  subtree = foldingSubtrees(readTile),
): Buffer[] {
  if (!(Number.isInteger(index) && index >= 0 && index < size))
    throw new RangeError(`leaf ${index} is not in a tree of ${size}`);
  const path: Buffer[] = [];
  let start = 0;
  let end = size;
  while (end - start > 1) {
    const split = start + largestPowerBelow(end - start);
    if (index < split) {
      path.push(rangeHash(split, end, subtree));
      end = split;
    } else {
      path.push(rangeHash(start, split, subtree));
      start = split;
    }
  }
  return path.reverse();
}

/** RFC 6962 2.1.2 consistency proof between the trees of `first` and `second` leaves, 0 ≤ first ≤ second. */
export function consistencyProof(
  first: number,
  second: number,
  readTile: TileReader,
  subtree = foldingSubtrees(readTile),
): Buffer[] {
  if (first < 0 || first > second) throw new RangeError(`no consistency proof from ${first} to ${second}`);
  if (first === 0 || first === second) return [];
  const path: Buffer[] = [];
  let start = 0;
  let end = second;
  let whole = true;
  while (first !== end) {
    const split = start + largestPowerBelow(end - start);
    if (first <= split) {
      path.push(rangeHash(split, end, subtree));
      end = split;
    } else {
      path.push(rangeHash(start, split, subtree));
      start = split;
      whole = false;
    }
  }
  if (!whole) path.push(rangeHash(start, end, subtree));
  return path.reverse();
}

/** RFC 9162 2.1.3.2: does the path lead from the leaf to the root? */
export function verifyInclusion(
  index: number,
  size: number,
  leaf: Uint8Array,
  path: readonly Uint8Array[],
  root: Uint8Array,
): boolean {
  if (!(Number.isInteger(index) && index >= 0 && index < size)) return false;
  let fn = index;
  let sn = size - 1;
  let hash: Buffer = Buffer.from(leaf);
  for (const step of path) {
    if (sn === 0) return false;
    if (fn % 2 === 1 || fn === sn) {
      hash = nodeHash(step, hash);
      while (fn % 2 === 0 && fn !== 0) {
        fn = Math.floor(fn / 2);
        sn = Math.floor(sn / 2);
      }
    } else {
      hash = nodeHash(hash, step);
    }
    fn = Math.floor(fn / 2);
    sn = Math.floor(sn / 2);
  }
  return sn === 0 && hash.equals(root);
}

/** RFC 9162 2.1.4.2: is the tree of `second` leaves an extension of that of `first`? */
export function verifyConsistency(
  first: number,
  second: number,
  firstRoot: Uint8Array,
  secondRoot: Uint8Array,
  path: readonly Uint8Array[],
): boolean {
  if (first > second || first < 0) return false;
  if (first === second) return path.length === 0 && Buffer.from(firstRoot).equals(secondRoot);
  if (first === 0) return path.length === 0 && EMPTY_ROOT.equals(firstRoot);
  const steps = isPowerOfTwo(first) ? [firstRoot, ...path] : [...path];
  if (steps.length === 0) return false;
  let fn = first - 1;
  let sn = second - 1;
  while (fn % 2 === 1) {
    fn = Math.floor(fn / 2);
    sn = Math.floor(sn / 2);
  }
  let fr: Buffer = Buffer.from(steps[0]!);
  let sr: Buffer = Buffer.from(steps[0]!);
  for (const step of steps.slice(1)) {
    if (sn === 0) return false;
    if (fn % 2 === 1 || fn === sn) {
      fr = nodeHash(step, fr);
      sr = nodeHash(step, sr);
      while (fn % 2 === 0 && fn !== 0) {
        fn = Math.floor(fn / 2);
        sn = Math.floor(sn / 2);
      }
    } else {
      sr = nodeHash(sr, step);
    }
    fn = Math.floor(fn / 2);
    sn = Math.floor(sn / 2);
  }
  return sn === 0 && fr.equals(firstRoot) && sr.equals(secondRoot);
}

function isPowerOfTwo(n: number): boolean {
  return Number.isInteger(Math.log2(n));
}
