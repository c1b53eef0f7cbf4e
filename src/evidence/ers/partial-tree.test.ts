import { hash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createHashTree, hashTreeReducer, rootOf } from './hash-tree.ts';
import {
  growPart,
  type NodeRun,
  nodeReducer,
  nodesOfRuns,
  nodesOfTiles,
  partOfTree,
} from './partial-tree.ts';

const digest = 'sha256';
const group = (n: number) => [hash(digest, `entry ${n}`, 'buffer'), hash(digest, `salt ${n}`, 'buffer')];

function treeOf(leaves: number) {
  const tiles = new Map<string, Buffer>();
  const tree = createHashTree(digest, ({ level, n, hashes }) => tiles.set(`${level}/${n}`, hashes));
  for (let n = 0; n < leaves; n++) tree.add(group(n));
  const readTile = (level: number, n: number) => tiles.get(`${level}/${n}`) ?? Buffer.alloc(0);
  return { ...tree.finish(), shape: { digest, leaves } as const, readTile };
}

async function partOf(tree: ReturnType<typeof treeOf>, ...positions: { from: number; to: number }[]) {
  const runs: NodeRun[] = [];
  for await (const run of partOfTree(tree.shape, positions, nodesOfTiles(tree.shape, tree.readTile)))
    runs.push(run);
  return runs;
}

describe('a part of a hash tree', () => {
  it('leads each of its groups to the root, by the same way as the whole tree', async () => {
    const trees = new Map<number, ReturnType<typeof treeOf>>();
    const shape = fc
      .constantFrom(1, 2, 3, 5, 64, 255, 256, 257, 511, 700)
      .chain((leaves) =>
        fc.tuple(fc.constant(leaves), fc.uniqueArray(fc.nat(leaves - 1), { minLength: 1, maxLength: 6 })),
      );
    await fc.assert(
      fc.asyncProperty(shape, async ([leaves, edges]) => {
        const tree = trees.get(leaves) ?? treeOf(leaves);
        trees.set(leaves, tree);
        const bounds = [...edges, leaves].sort((a, b) => a - b);
        const ranges = bounds
          .slice(0, -1)
          .flatMap((from, i) => (i % 2 === 0 ? [{ from, to: bounds[i + 1]! }] : []));
        const { nodes, root } = growPart(tree.shape, await partOf(tree, ...ranges));
        expect(root).toEqual(tree.root);
        for (const position of [ranges[0]!.from, ranges.at(-1)!.to - 1]) {
          const own = { position, digests: group(position) };
          const way = await nodeReducer(tree.shape, nodesOfRuns(tree.shape, nodes))(
            own.position,
            own.digests,
          );
          expect(way).toEqual(
            await hashTreeReducer(digest, leaves, tree.readTile)(own.position, own.digests),
          );
          expect(rootOf(digest, way)).toEqual(tree.root);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('holds little beside its own groups', async () => {
    const runs = await partOf(treeOf(700), { from: 300, to: 400 });
    const nodes = runs.reduce((sum, { hashes }) => sum + hashes.length / 32, 0);
    expect(nodes).toBeLessThan(100 + 2 * 10);
  });

  it('is found out for a node that is missing, too many, or another', async () => {
    const tree = treeOf(300);
    const runs = await partOf(tree, { from: 100, to: 103 });
    for (const at of runs.keys()) {
      expect(() => growPart(tree.shape, runs.toSpliced(at, 1))).toThrow();
      const run = runs[at]!;
      expect(() => growPart(tree.shape, [...runs, run])).toThrow();
      const hashes = Buffer.from(run.hashes);
      hashes[0]! ^= 1;
      expect(growPart(tree.shape, runs.with(at, { ...run, hashes })).root).not.toEqual(tree.root);
    }
    expect(() =>
      growPart(tree.shape, [...runs, { level: 20, first: 0, hashes: Buffer.alloc(32) }]),
    ).toThrow();
  });

  it('does not give a group that it does not hold', async () => {
    const tree = treeOf(300);
    const { nodes } = growPart(tree.shape, await partOf(tree, { from: 100, to: 103 }));
    const reduce = nodeReducer(tree.shape, nodesOfRuns(tree.shape, nodes));
    await expect(reduce(200, group(200))).rejects.toThrow(RangeError);
    await expect(reduce(101, group(7))).rejects.toThrow(RangeError);
  });
});
