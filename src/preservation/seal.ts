/** A seal: one tree over the entries of all tenants since the last one, and one time-stamp over its root. */
import { randomBytes } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import type { ArchiveDigest } from '../evidence/entry.ts';
import { createHashTree, type HashTreeBuilder } from '../evidence/ers/hash-tree.ts';
import { checkpointGroup, entryGroup } from '../evidence/groups.ts';
import { digestLength } from '../pki/digest-algorithm.ts';
import type { ArchiveTile, SealRange, Store } from '../store/store.ts';
import type { Authorities } from './authorities.ts';

/** An entry that did not verify: it is not covered, and operators are told. */
export interface Excluded {
  readonly tenant: string;
  readonly index: number;
  readonly reason: string;
}

export interface Sealing {
  readonly id: number;
  readonly entries: number;
  readonly authority: string;
  readonly genTime: string;
  readonly ranges: readonly SealRange[];
  readonly excluded: readonly Excluded[];
  /** Authorities that failed before one answered, and why. */
  readonly failures: readonly { readonly url: string; readonly reason: string }[];
}

export interface SealDeps {
  readonly store: Store;
  readonly authorities: Authorities;
  readonly digest: ArchiveDigest;
}

/** Groups hashed at a stretch, before mail gets its turn. */
const STRETCH = 64;

/**
 * Seals what no seal covers yet.
 * @param force also where there are only entries that seals themselves made
 * @returns null where there is nothing to seal
 * @throws Error where no authority gives a time-stamp: nothing is recorded then
 */
export async function seal(deps: SealDeps, force = false): Promise<Sealing | null> {
  const { store, authorities, digest } = deps;
  const unsealed = await store.unsealed();
  if (unsealed.length === 0 || !(force || unsealed.some(({ worthSealing }) => worthSealing))) return null;
  const tiles: ArchiveTile[] = [];
  const tree = createHashTree(digest, (tile) => tiles.push(tile));
  const ranges: SealRange[] = [];
  const excluded: Excluded[] = [];
  let position = 0;
  for (const { tenant, from, to, checkpoint } of unsealed) {
    ranges.push({ tenant, from, to, position, checkpoint });
    for (let index = from; index < to; index++) {
      const reason = await addEntry(tree, deps, tenant, index);
      if (reason !== null) excluded.push({ tenant, index, reason });
      if (index % STRETCH === 0) await setImmediate();
    }
    tree.add(checkpointGroup(checkpoint, digest).map((document) => document.digest));
    position += to - from + 1;
  }
  const finished = tree.finish();
  const stamp = await authorities.stamp(digest, finished.root);
  const { id } = await store.recordArchiveTimestamp({
    kind: 'seal',
    digest,
    genTime: stamp.genTime,
    authority: stamp.authority,
    leaves: finished.leaves,
    final: false,
    token: stamp.token,
    response: stamp.response,
    tiles,
    ranges,
    covers: [],
    leafLists: [],
    excluded,
  });
  const entries = ranges.reduce((sum, { from, to }) => sum + to - from, 0);
  return {
    id,
    entries,
    authority: stamp.authority,
    genTime: stamp.genTime,
    ranges,
    excluded,
    failures: stamp.failures,
  };
}

/** @returns why the entry is not covered; null where it is, or was erased */
async function addEntry(
  tree: HashTreeBuilder,
  { store, digest }: SealDeps,
  tenant: string,
  index: number,
): Promise<string | null> {
  try {
    const group = await entryGroup(store, tenant, index, digest);
    if (group !== null) {
      tree.add(group.map((document) => document.digest));
      return null;
    }
    tree.add([blank(digest)]);
    return null;
  } catch (error) {
    tree.add([blank(digest)]);
    return (error as Error).message;
  }
}

/** Keeps the places of the others: random bytes that no document has as its digest. */
export function blank(digest: ArchiveDigest): Buffer {
  return randomBytes(digestLength[digest]);
}
