/**
 * The hash tree of RFC 4998 4.2, over groups of documents. Binary, so that every list of a reduced tree after the
 * first has one element: Bouncy Castle hashes longer ones otherwise than the RFC says.
 */
import { hash } from 'node:crypto';
import type { IntegrityHash } from '../../demail/integrity.ts';
import { digestLength } from '../../pki/digest-algorithm.ts';

/**
 * Lists of digests from a group up to the root. The first holds exactly the group's own; each further one what is
 * added to the value so far.
 */
export type ReducedHashTree = readonly (readonly Buffer[])[];

/** How many digests a tile has at most: eight levels of the tree. */
const TILE_WIDTH = 256;

/** Values of the tree at level 8 · `level`, from number 256 · `n` on, one after the other. */
export interface HashTreeTile {
  readonly level: number;
  readonly n: number;
  readonly hashes: Buffer;
}

/** Grows while groups are added. Holds one unfinished tile for each level, whatever the number of groups. */
export interface HashTreeBuilder {
  /** Returns the position of the group, from 0. @throws RangeError for digests of another length, none, or two alike. */
  add(digests: readonly Uint8Array[]): number;
  /** Emits what is left. @throws RangeError where no group was added. */
  finish(): { readonly root: Buffer; readonly leaves: number };
}

/**
 * Builds a tree over any number of groups in memory of 8 KiB per level (SHA-256). Its tiles, 32 bytes for each group
 * and a 255th of that above, go to `onTile` as they fill; they are all that `hashTreeReducer` needs.
 */
export function createHashTree(digest: IntegrityHash, onTile: (tile: HashTreeTile) => void): HashTreeBuilder {
  const open: { hashes: Buffer[]; n: number }[] = [];
  let leaves = 0;

  function append(level: number, value: Buffer): void {
    const tile = open[level] ?? { hashes: [], n: 0 };
    open[level] = tile;
    tile.hashes.push(value);
    if (tile.hashes.length === TILE_WIDTH) close(level);
  }

  function close(level: number): void {
    const { hashes, n } = open[level]!;
    onTile({ level, n, hashes: Buffer.concat(hashes) });
    open[level] = { hashes: [], n: n + 1 };
    append(level + 1, fold(digest, hashes));
  }

  return {
    add(digests) {
      append(0, groupValue(digest, digests));
      return leaves++;
    },
    finish() {
      if (leaves === 0) throw new RangeError('a hash tree needs at least one group');
      for (let level = 0; ; level++) {
        const { hashes, n } = open[level]!;
        // A single value with nothing before it is the root; only where it is a leaf too does it need a tile.
        const isRoot = n === 0 && hashes.length === 1;
        if (hashes.length > 0 && (!isRoot || level === 0)) close(level);
        if (isRoot) return { root: hashes[0]!, leaves };
      }
    },
  };
}

/** Reads a tile that `createHashTree` emitted. */
export type HashTreeTileReader = (level: number, n: number) => Promise<Uint8Array> | Uint8Array;

/**
 * The way from a group to the root, from one tile for each eight levels. The last tile of each level is kept with what
 * its hashes add up to, so that groups one after another cost no hashing.
 * @param digests the group's own, in any order
 * @throws RangeError where another group stands at that position, or a tile is not of that size.
 */
export type HashTreeReducer = (position: number, digests: readonly Uint8Array[]) => Promise<ReducedHashTree>;

export function hashTreeReducer(
  digest: IntegrityHash,
  leaves: number,
  readTile: HashTreeTileReader,
): HashTreeReducer {
  const kept: { n: number; layers: readonly (readonly Buffer[])[] }[] = [];

  async function layersOf(level: number, n: number, width: number): Promise<readonly (readonly Buffer[])[]> {
    if (kept[level]?.n !== n)
      kept[level] = { n, layers: layersAbove(digest, splitTile(digest, await readTile(level, n), width)) };
    return kept[level].layers;
  }

  return async (position, digests) => {
    if (!Number.isSafeInteger(position) || position < 0 || position >= leaves)
      throw new RangeError(`position ${position} in a tree of ${leaves} groups`);
    const lists: Buffer[][] = [sorted(digests).map((each) => Buffer.from(each))];
    let own = groupValue(digest, digests);
    let place = position;
    for (let level = 0, count = leaves; level === 0 || count > 1; level++) {
      const n = Math.floor(place / TILE_WIDTH);
      const layers = await layersOf(level, n, Math.min(TILE_WIDTH, count - n * TILE_WIDTH));
      if (!layers[0]![place % TILE_WIDTH]!.equals(own))
        throw new RangeError(`tile ${level}/${n} has another value for the group at position ${position}`);
      for (const sibling of pathIn(layers, place % TILE_WIDTH)) lists.push([sibling]);
      own = layers.at(-1)![0]!;
      place = n;
      count = Math.ceil(count / TILE_WIDTH);
    }
    return lists;
  };
}

function splitTile(digest: IntegrityHash, tile: Uint8Array, width: number): Buffer[] {
  const size = digestLength[digest];
  if (tile.length !== width * size) {
    throw new RangeError(`a tile of ${tile.length} bytes where ${width * size} belong`);
  }
  // A copy: what the reader gave stays its own.
  const bytes = Buffer.from(tile);
  return Array.from({ length: width }, (_, index) => bytes.subarray(index * size, (index + 1) * size));
}

/** The values of a tile, and those above up to the value of the whole. */
function layersAbove(digest: IntegrityHash, hashes: readonly Buffer[]): (readonly Buffer[])[] {
  const layers = [hashes];
  for (let layer = hashes; layer.length > 1; layers.push(layer)) layer = layerAbove(digest, layer);
  return layers;
}

/** What is added on the way from one value of a tile to the value of the whole. */
function pathIn(layers: readonly (readonly Buffer[])[], place: number): Buffer[] {
  return layers.flatMap((layer, height) => {
    const at = place >>> height;
    const sibling = layer[at ^ 1];
    return sibling === undefined || sibling.equals(layer[at]!) ? [] : [sibling];
  });
}

function fold(digest: IntegrityHash, hashes: readonly Buffer[]): Buffer {
  return layersAbove(digest, hashes).at(-1)![0]!;
}

/** `listValue` of two, which is what almost all the work is. */
function pairValue(digest: IntegrityHash, left: Buffer, right: Buffer | undefined): Buffer {
  const order = right === undefined ? 0 : Buffer.compare(left, right);
  if (right === undefined || order === 0) return left;
  return hash(digest, Buffer.concat(order < 0 ? [left, right] : [right, left]), 'buffer');
}

/** Pairs; the last of an odd number goes up alone, for a single element is not hashed again. */
export function layerAbove(digest: IntegrityHash, layer: readonly Buffer[]): Buffer[] {
  const above: Buffer[] = [];
  for (let index = 0; index < layer.length; index += 2) {
    above.push(pairValue(digest, layer[index]!, layer[index + 1]));
  }
  return above;
}

/** The root that a reduced tree leads to. @throws RangeError for a tree or list without elements. */
export function rootOf(digest: IntegrityHash, tree: ReducedHashTree): Buffer {
  let value: Buffer | null = null;
  for (const list of tree) value = listValue(digest, value === null ? list : [...list, value]);
  if (value === null) throw new RangeError('a reduced hash tree needs at least one list');
  return value;
}

/** Value of a group of documents. @throws RangeError for digests of another length, or none, or two alike. */
export function groupValue(digest: IntegrityHash, digests: readonly Uint8Array[]): Buffer {
  const width = digestLength[digest];
  if (digests.some(({ length }) => length !== width)) {
    throw new RangeError(`a ${digest} digest has ${width} bytes`);
  }
  const list = sorted(digests);
  if (list.some((each, index) => index > 0 && each.equals(list[index - 1]!))) {
    throw new RangeError('a group has the same digest twice');
  }
  return sortedValue(digest, list);
}

/**
 * RFC 4998 4.2: sorted as bytes, concatenated, hashed; a single element stands for itself. Lists are sets: the same
 * digest twice is one element, since verifiers differ on what to do with two.
 */
function listValue(digest: IntegrityHash, list: readonly Uint8Array[]): Buffer {
  const all = sorted(list);
  return sortedValue(
    digest,
    all.filter((each, index) => index === 0 || !each.equals(all[index - 1]!)),
  );
}

function sortedValue(digest: IntegrityHash, list: readonly Buffer[]): Buffer {
  const [first, ...rest] = list;
  if (first === undefined) throw new RangeError('a list of digests needs at least one');
  return rest.length === 0 ? Buffer.from(first) : hash(digest, Buffer.concat(list), 'buffer');
}

/** As bytes, ascending. */
export function sorted(digests: readonly Uint8Array[]): Buffer[] {
  return digests.map(asBuffer).sort(Buffer.compare);
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
