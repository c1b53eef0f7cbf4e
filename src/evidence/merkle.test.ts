import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  appendLeaves,
  type ChangedTile,
  consistencyProof,
  EMPTY_ROOT,
  edgeRoot,
  emptyEdge,
  inclusionProof,
  leafHash,
  loadEdge,
  rootAt,
  type TreeEdge,
  verifyConsistency,
  verifyInclusion,
} from './merkle.ts';

/** RFC 6962 2.1, word for word. */
function mth(leaves: readonly Buffer[]): Buffer {
  const sha = (...parts: Buffer[]) => createHash('sha256').update(Buffer.concat(parts)).digest();
  if (leaves.length === 0) return sha();
  if (leaves.length === 1) return leaves[0]!;
  let k = 1;
  while (k * 2 < leaves.length) k *= 2;
  return sha(Buffer.from([1]), mth(leaves.slice(0, k)), mth(leaves.slice(k)));
}

function leavesOf(count: number): Buffer[] {
  return Array.from({ length: count }, (_, i) => leafHash(Buffer.from(`leaf ${i}`)));
}

function grow(batches: readonly number[]): { edge: TreeEdge; tiles: Map<string, Buffer>; leaves: Buffer[] } {
  const leaves = leavesOf(batches.reduce((a, b) => a + b, 0));
  const tiles = new Map<string, Buffer>();
  const put = (changed: readonly ChangedTile[]) => {
    for (const t of changed) tiles.set(`${t.level}/${t.n}`, Buffer.from(t.hashes));
  };
  let edge = emptyEdge();
  let from = 0;
  for (const batch of batches) {
    const step = appendLeaves(edge, leaves.slice(from, from + batch));
    put(step.changed);
    edge = step.edge;
    from += batch;
  }
  return { edge, tiles, leaves };
}

const batches = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 6 });

describe('the hash tree of RFC 6962', () => {
  it('has the published roots of the test vector of RFC 6962 implementations', () => {
    // Leaves and roots of the certificate-transparency reference test (8 leaves).
    const inputs = [
      '',
      '00',
      '10',
      '2021',
      '3031',
      '40414243',
      '5051525354555657',
      '606162636465666768696a6b6c6d6e6f',
    ];
    const leaves = inputs.map((hex) => leafHash(Buffer.from(hex, 'hex')));
    const { edge } = appendLeaves(emptyEdge(), leaves);
    expect(edgeRoot(edge).toString('hex')).toBe(
      '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
    );
    expect(EMPTY_ROOT.toString('hex')).toBe(
      'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    );
  });

  it('grows in any batches to the root that the definition gives', () => {
    fc.assert(
      fc.property(batches, (sizes) => {
        const { edge, tiles, leaves } = grow(sizes);
        const read = (level: number, n: number) => tiles.get(`${level}/${n}`) ?? Buffer.alloc(0);
        const root = mth(leaves);
        expect(edgeRoot(edge)).toEqual(root);
        expect(rootAt(leaves.length, read)).toEqual(root);
        expect(edgeRoot(loadEdge(leaves.length, read))).toEqual(root);
      }),
      { numRuns: 30 },
    );
  });

  it('proves every leaf and every earlier size, and nothing else', () => {
    fc.assert(
      fc.property(batches, fc.nat(), fc.nat(), (sizes, a, b) => {
        const { tiles, leaves } = grow(sizes);
        const read = (level: number, n: number) => tiles.get(`${level}/${n}`) ?? Buffer.alloc(0);
        const size = (a % leaves.length) + 1;
        const root = rootAt(size, read);
        const index = b % size;
        const path = inclusionProof(index, size, read);
        expect(verifyInclusion(index, size, leaves[index]!, path, root)).toBe(true);
        expect(verifyInclusion(index, size, leafHash(Buffer.from('other')), path, root)).toBe(false);
        if (size > 1)
          expect(verifyInclusion((index + 1) % size, size, leaves[index]!, path, root)).toBe(false);
        const first = b % (size + 1);
        const proof = consistencyProof(first, size, read);
        expect(verifyConsistency(first, size, rootAt(first, read), root, proof)).toBe(true);
        if (first > 0) {
          const forged = Buffer.from(rootAt(first, read));
          forged[0]! ^= 1;
          expect(verifyConsistency(first, size, forged, root, proof)).toBe(false);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('refuses proofs outside the tree', () => {
    const { tiles } = grow([3]);
    const read = (level: number, n: number) => tiles.get(`${level}/${n}`) ?? Buffer.alloc(0);
    expect(() => inclusionProof(3, 3, read)).toThrow(RangeError);
    expect(() => consistencyProof(4, 3, read)).toThrow(RangeError);
    expect(() => rootAt(4, read)).toThrow(/tile 0\/0 holds 96 bytes/);
  });
});
