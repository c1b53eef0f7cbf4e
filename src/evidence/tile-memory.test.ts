import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { appendLeaves, emptyEdge, inclusionProof, leafHash } from './merkle.ts';
import { createTileMemory } from './tile-memory.ts';

/** A tree of tiles that grows by as many leaves as it is told. */
function growingTree() {
  const tiles = new Map<string, Buffer>();
  let edge = emptyEdge();
  let reads = 0;
  return {
    grow(count: number) {
      const leaves = Array.from({ length: count }, (_, i) => leafHash(Buffer.from(`${edge.size + i}`)));
      const step = appendLeaves(edge, leaves);
      for (const { level, n, hashes } of step.changed) tiles.set(`${level}/${n}`, Buffer.from(hashes));
      edge = step.edge;
    },
    size: () => edge.size,
    reads: () => reads,
    read(level: number, n: number) {
      reads++;
      return tiles.get(`${level}/${n}`) ?? Buffer.alloc(0);
    },
  };
}

describe('remembered nodes of tiles', () => {
  it('make the same proofs as hashing anew, while the tree grows and little is remembered', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 1, max: 700 }), fc.nat()), { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 1, max: 3 }),
        (steps, most) => {
          const tree = growingTree();
          const subtrees = createTileMemory(most, most).of('tree', tree.read);
          for (const [count, at] of steps) {
            tree.grow(count);
            const index = at % tree.size();
            for (const size of [tree.size(), index + 1])
              expect(inclusionProof(index, size, tree.read, subtrees)).toEqual(
                inclusionProof(index, size, tree.read),
              );
          }
        },
      ),
      { numRuns: 30 },
    );
  });

  it('read a tile no more where all that is asked for was hashed before', () => {
    const tree = growingTree();
    tree.grow(1024);
    const subtrees = createTileMemory().of('tree', tree.read);
    const first = subtrees(9, 1);
    const reads = tree.reads();
    expect(subtrees(9, 1)).toEqual(first);
    expect(tree.reads()).toBe(reads);
    // What was handed out is a copy: whoever changes it changes no later proof.
    subtrees(9, 1).fill(0);
    expect(subtrees(9, 1)).toEqual(first);
  });

  it('keep trees apart, and say which tile is too short', () => {
    const tree = growingTree();
    tree.grow(300);
    const memory = createTileMemory();
    const other = growingTree();
    other.grow(2);
    memory.of('tree', tree.read)(2, 0);
    expect(() => memory.of('other', other.read)(2, 0)).toThrow('tile 0/0 holds 64 bytes, 96 needed');
  });
});
