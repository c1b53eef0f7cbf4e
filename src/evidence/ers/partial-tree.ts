/**
 * Part of a hash tree: the nodes that the ways of some of its groups to the root need, and no others. A tenant takes
 * this along to another store; what else stood under the time-stamp stays behind.
 */
import { digestLength } from '../../pki/digest-algorithm.ts';
import type { ArchiveDigest } from '../entry.ts';
import {
  groupValue,
  type HashTreeReducer,
  type HashTreeTileReader,
  layerAbove,
  sorted,
} from './hash-tree.ts';

/** Nodes of one binary level (0: the groups), one after the other. */
export interface NodeRun {
  readonly level: number;
  /** Number of the first one within its level. */
  readonly first: number;
  readonly hashes: Buffer;
}

/** Groups [from, to) of a tree. */
export interface Positions {
  readonly from: number;
  readonly to: number;
}

/** Value of a node; null where this part of the tree is not held. */
export type NodeReader = (level: number, n: number) => Promise<Buffer | null>;

interface Shape {
  readonly digest: ArchiveDigest;
  /** Groups of the whole tree. */
  readonly leaves: number;
}

const TILE_WIDTH = 256;
const TILE_LEVELS = 8;

/** Nodes of a tree whose tiles are all there. */
export function nodesOfTiles({ digest, leaves }: Shape, readTile: HashTreeTileReader): NodeReader {
  const width = digestLength[digest];
  let known = { name: '', layers: [] as Buffer[][] };
  return async (level, n) => {
    const tileLevel = Math.floor(level / TILE_LEVELS);
    const within = level % TILE_LEVELS;
    const start = n * 2 ** within;
    const tile = Math.floor(start / TILE_WIDTH);
    const name = `${tileLevel}/${tile}`;
    if (known.name !== name) {
      const bytes = Buffer.from(await readTile(tileLevel, tile));
      const count = Math.min(TILE_WIDTH, countAt(leaves, tileLevel * TILE_LEVELS) - tile * TILE_WIDTH);
      if (count < 1 || bytes.length !== count * width) return null;
      known = { name, layers: [split(bytes, width)] };
    }
    while (known.layers.length <= within) known.layers.push(layerAbove(digest, known.layers.at(-1)!));
    return known.layers[within]![(start % TILE_WIDTH) / 2 ** within] ?? null;
  };
}

/** Nodes as `growPart` gives them. */
export function nodesOfRuns({ digest }: Pick<Shape, 'digest'>, runs: readonly NodeRun[]): NodeReader {
  const width = digestLength[digest];
  const inTile = Map.groupBy(runs, ({ level, first }) => `${level}/${Math.floor(first / TILE_WIDTH)}`);
  return async (level, n) => {
    for (const { first, hashes } of inTile.get(`${level}/${Math.floor(n / TILE_WIDTH)}`) ?? []) {
      const at = (n - first) * width;
      if (at >= 0 && at < hashes.length) return hashes.subarray(at, at + width);
    }
    return null;
  };
}

/**
 * The nodes that these groups need: their own values, and what stands beside their ways to the root.
 * @param positions ascending, apart from each other
 * @throws Error where the reader does not hold one of them
 */
export async function* partOfTree(
  { leaves }: Shape,
  positions: readonly Positions[],
  readNode: NodeReader,
): AsyncGenerator<NodeRun> {
  let ranges = joined(positions);
  if (ranges.some(({ from, to }) => from < 0 || to > leaves || from >= to))
    throw new RangeError('groups that the tree does not have');
  for (let level = 0, count = leaves; ; level++, count = Math.ceil(count / 2)) {
    const wider = joined(
      count === 1
        ? ranges
        : ranges.map(({ from, to }) => ({ from: from & ~1, to: Math.min(count, to + (to & 1)) })),
    );
    // Above the groups, what follows from below is left out: only what stands beside it is needed.
    for (const { from, to } of level === 0 ? wider : without(wider, ranges)) {
      for (let first = from; first < to; first += TILE_WIDTH) {
        const hashes: Buffer[] = [];
        for (let n = first; n < Math.min(to, first + TILE_WIDTH); n++) {
          const node = await readNode(level, n);
          if (node === null) throw new Error(`node ${level}/${n} of the tree is missing`);
          hashes.push(node);
        }
        yield { level, first, hashes: Buffer.concat(hashes) };
      }
    }
    if (count === 1) return;
    ranges = joined(wider.map(({ from, to }) => ({ from: from >> 1, to: (to + 1) >> 1 })));
  }
}

/**
 * All nodes that follow from those of a part, up to the root, each level in runs that end with a tile's width.
 * @param runs as `partOfTree` gives them
 * @throws Error where one is missing, too many, or of another length
 */
export function growPart(
  { digest, leaves }: Shape,
  runs: Iterable<NodeRun>,
): { readonly nodes: readonly NodeRun[]; readonly root: Buffer } {
  const width = digestLength[digest];
  const given = Map.groupBy(runs, ({ level }) => level);
  const nodes: NodeRun[] = [];
  let below: NodeRun[] = [];
  for (let level = 0, count = leaves; ; level++, count = Math.ceil(count / 2)) {
    const own = (given.get(level) ?? []).flatMap((run) => {
      if (run.hashes.length === 0 || run.hashes.length % width !== 0)
        throw new Error(`level ${level} of the tree: a run is of another length`);
      return [run];
    });
    given.delete(level);
    const all = merged(level, width, [
      ...parents(digest, width, level, below, countAt(leaves, level - 1)),
      ...own,
    ]);
    const last = all.at(-1);
    if (last === undefined || last.first + last.hashes.length / width > count)
      throw new Error(`level ${level} of the tree: nodes are missing, or there are too many`);
    for (const run of all) nodes.push(...cut(run, width));
    if (count === 1) {
      if (given.size > 0) throw new Error('there are nodes above the root of the tree');
      return { nodes, root: last.hashes };
    }
    below = all;
  }
}

/** The ways of groups to the root, as from the tiles of the whole tree. */
export function nodeReducer({ digest, leaves }: Shape, readNode: NodeReader): HashTreeReducer {
  return async (position, digests) => {
    const lists: Buffer[][] = [sorted(digests).map((each) => Buffer.from(each))];
    let value = groupValue(digest, digests);
    if ((await readNode(0, position))?.equals(value) !== true)
      throw new RangeError(`the tree has another value for the group at position ${position}`);
    for (let level = 0, count = leaves, n = position; count > 1; level++) {
      const beside = n ^ 1;
      if (beside < count) {
        const sibling = await readNode(level, beside);
        if (sibling === null) throw new RangeError(`node ${level}/${beside} of the tree is missing`);
        if (!sibling.equals(value)) lists.push([sibling]);
        value = layerAbove(digest, [value, sibling])[0]!;
      }
      n >>= 1;
      count = Math.ceil(count / 2);
    }
    return lists;
  };
}

/** Nodes of a level. */
function countAt(leaves: number, level: number): number {
  return Math.ceil(leaves / 2 ** Math.max(0, level));
}

/** What a level's runs give of the next one. */
function parents(
  digest: ArchiveDigest,
  width: number,
  level: number,
  below: readonly NodeRun[],
  count: number,
): NodeRun[] {
  return below.map(({ first, hashes }) => {
    const end = first + hashes.length / width;
    if (first % 2 === 1 || (end % 2 === 1 && end !== count))
      throw new Error(
        `level ${level - 1} of the tree: the node beside ${first % 2 === 1 ? first : end - 1} is missing`,
      );
    return { level, first: first / 2, hashes: Buffer.concat(layerAbove(digest, split(hashes, width))) };
  });
}

/** Runs in order, those that touch as one. @throws Error where two overlap */
function merged(level: number, width: number, runs: NodeRun[]): NodeRun[] {
  const groups: { first: number; end: number; parts: Buffer[] }[] = [];
  for (const { first, hashes } of runs.sort((a, b) => a.first - b.first)) {
    const last = groups.at(-1);
    const end = first + hashes.length / width;
    if (last !== undefined && first < last.end)
      throw new Error(`level ${level} of the tree: node ${first} stands twice`);
    if (last !== undefined && first === last.end) {
      last.parts.push(hashes);
      last.end = end;
    } else groups.push({ first, end, parts: [hashes] });
  }
  return groups.map(({ first, parts }) => ({ level, first, hashes: Buffer.concat(parts) }));
}

function* cut({ level, first, hashes }: NodeRun, width: number): Generator<NodeRun> {
  const end = first + hashes.length / width;
  for (let from = first; from < end; ) {
    const to = Math.min(end, (Math.floor(from / TILE_WIDTH) + 1) * TILE_WIDTH);
    yield { level, first: from, hashes: hashes.subarray((from - first) * width, (to - first) * width) };
    from = to;
  }
}

function joined(ranges: readonly Positions[]): Positions[] {
  const all: { from: number; to: number }[] = [];
  for (const { from, to } of [...ranges].sort((a, b) => a.from - b.from)) {
    const last = all.at(-1);
    if (last !== undefined && from <= last.to) last.to = Math.max(last.to, to);
    else all.push({ from, to });
  }
  return all;
}

/** What of `wider` is not in `inner`. */
function without(wider: readonly Positions[], inner: readonly Positions[]): Positions[] {
  return wider.flatMap(({ from, to }) => {
    const rest: Positions[] = [];
    let at = from;
    for (const one of inner) {
      if (one.to <= at || one.from >= to) continue;
      if (one.from > at) rest.push({ from: at, to: one.from });
      at = Math.max(at, one.to);
    }
    if (at < to) rest.push({ from: at, to });
    return rest;
  });
}

function split(bytes: Buffer, width: number): Buffer[] {
  return Array.from({ length: bytes.length / width }, (_, n) => bytes.subarray(n * width, (n + 1) * width));
}
