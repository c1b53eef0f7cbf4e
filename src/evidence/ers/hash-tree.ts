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

/** Grows while groups are added; `finish` makes the tree. */
export interface HashTreeBuilder {
  /** The number of the group, counted from 0. @throws RangeError for digests of another length, or none, or two alike. */
  add(digests: readonly Uint8Array[]): number;
  /** @throws RangeError where no group was added. */
  finish(): HashTree;
}

export interface HashTree {
  readonly digest: IntegrityHash;
  readonly root: Buffer;
  /** Groups. */
  readonly size: number;
  /** The way from group `index`, whose digests are given again, to the root. @throws RangeError where it is another group. */
  reduce(index: number, digests: readonly Uint8Array[]): ReducedHashTree;
}

const CHUNK_DIGESTS = 16_384;

/**
 * Builds a tree over any number of groups. Of each group its value alone is kept: while groups are added one
 * digest per group, in the finished tree two (64 MB for a million groups with SHA-256).
 */
export function createHashTree(digest: IntegrityHash): HashTreeBuilder {
  const width = digestLength[digest];
  const chunks: Buffer[] = [];
  let size = 0;
  return {
    add(digests) {
      const value = groupValue(digest, digests);
      const place = size % CHUNK_DIGESTS;
      if (place === 0) chunks.push(Buffer.allocUnsafe(CHUNK_DIGESTS * width));
      value.copy(chunks.at(-1)!, place * width);
      return size++;
    },
    finish() {
      if (size === 0) throw new RangeError('a hash tree needs at least one group');
      return finishTree(digest, Buffer.concat(chunks, size * width));
    },
  };
}

function finishTree(digest: IntegrityHash, leaves: Buffer): HashTree {
  const width = digestLength[digest];
  const levels = [leaves];
  while (levels.at(-1)!.length > width) levels.push(levelAbove(digest, levels.at(-1)!));
  const root = levels.at(-1)!;
  return {
    digest,
    root,
    size: leaves.length / width,
    reduce(index, digests) {
      const value = groupValue(digest, digests);
      if (!Number.isInteger(index) || !nodeAt(leaves, index, width)?.equals(value)) {
        throw new RangeError(`group ${index} of the tree has other digests`);
      }
      const lists: Buffer[][] = [sorted(digests).map((each) => Buffer.from(each))];
      let place = index;
      for (const level of levels.slice(0, -1)) {
        const sibling = nodeAt(level, place ^ 1, width);
        const own = nodeAt(level, place, width)!;
        if (sibling !== null && !sibling.equals(own)) lists.push([Buffer.from(sibling)]);
        place >>>= 1;
      }
      return lists;
    },
  };
}

function levelAbove(digest: IntegrityHash, level: Buffer): Buffer {
  const width = digestLength[digest];
  const count = level.length / width;
  const above = Buffer.allocUnsafe(Math.ceil(count / 2) * width);
  for (let index = 0; index < count; index += 2) {
    const left = nodeAt(level, index, width)!;
    const right = nodeAt(level, index + 1, width);
    const parent = right === null ? left : listValue(digest, [left, right]);
    parent.copy(above, (index / 2) * width);
  }
  return above;
}

function nodeAt(level: Buffer, index: number, width: number): Buffer | null {
  const start = index * width;
  return start >= 0 && start + width <= level.length ? level.subarray(start, start + width) : null;
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
  return listValue(digest, list);
}

/**
 * RFC 4998 4.2: sorted as bytes, concatenated, hashed; a single element stands for itself. Lists are sets: the same
 * digest twice is one element, since verifiers differ on what to do with two.
 */
function listValue(digest: IntegrityHash, list: readonly Uint8Array[]): Buffer {
  const [first, ...rest] = sorted(list);
  if (first === undefined) throw new RangeError('a list of digests needs at least one');
  const distinct = [first];
  for (const each of rest) if (!each.equals(distinct.at(-1)!)) distinct.push(each);
  return distinct.length === 1 ? Buffer.from(first) : hash(digest, Buffer.concat(distinct), 'buffer');
}

function sorted(digests: readonly Uint8Array[]): Buffer[] {
  return digests
    .map((each) => Buffer.from(each.buffer, each.byteOffset, each.byteLength))
    .sort(Buffer.compare);
}
