import { hash, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { IntegrityHash } from '../../demail/integrity.ts';
import { createHashTree, groupValue, hashTreeReducer, rootOf } from './hash-tree.ts';

const sha256 = (...parts: readonly Buffer[]) => hash('sha256', Buffer.concat(parts), 'buffer');
const [a, b, c] = ['a', 'b', 'c'].map((text) => sha256(Buffer.from(text))) as [Buffer, Buffer, Buffer];

function treeOf(digest: IntegrityHash, groups: readonly (readonly Buffer[])[]) {
  const tiles = new Map<string, Buffer>();
  const builder = createHashTree(digest, ({ level, n, hashes }) => tiles.set(`${level}/${n}`, hashes));
  for (const group of groups) builder.add(group);
  const { root, leaves } = builder.finish();
  const readTile = (level: number, n: number) => tiles.get(`${level}/${n}`) ?? Buffer.alloc(0);
  const again = () => hashTreeReducer(digest, leaves, readTile);
  return { root, tiles, again, reduce: again() };
}

describe('values (RFC 4998 4.2)', () => {
  test('of one document is its digest', () => expect(groupValue('sha256', [a]).equals(a)).toBe(true));

  test('of several is the digest of the sorted digests', () => {
    const ascending = [a, b, c].sort(Buffer.compare);
    expect(groupValue('sha256', [c, a, b]).equals(sha256(...ascending))).toBe(true);
  });

  test('of three groups: the third goes up alone', () => {
    const { root } = treeOf('sha256', [[a], [b], [c]]);
    const left = sha256(...[a, b].sort(Buffer.compare));
    expect(root.equals(sha256(...[left, c].sort(Buffer.compare)))).toBe(true);
  });

  test.each<[string, Buffer[]]>([
    ['no digest', []],
    ['the same digest twice', [a, a]],
    ['a digest of another length', [randomBytes(48)]],
  ])('%s is refused', (_name, digests) => {
    expect(() => createHashTree('sha256', () => {}).add(digests)).toThrow(RangeError);
  });

  test('no group is refused', () =>
    expect(() => createHashTree('sha256', () => {}).finish()).toThrow(RangeError));
});

/** The whole tree by the words of the RFC: pairs, and the last of an odd number alone. */
function plainRoot(digest: IntegrityHash, values: readonly Buffer[]): Buffer {
  if (values.length === 1) return values[0]!;
  const above: Buffer[] = [];
  for (let index = 0; index < values.length; index += 2) {
    const pair = values.slice(index, index + 2).sort(Buffer.compare);
    above.push(pair.length === 1 ? pair[0]! : hash(digest, Buffer.concat(pair), 'buffer'));
  }
  return plainRoot(digest, above);
}

describe('reduced trees', () => {
  test('begin with the group, have one digest a list, and lead to the root', async () => {
    const digests = fc.constantFrom<IntegrityHash>('sha256', 'sha384', 'sha512');
    await fc.assert(
      fc.asyncProperty(digests, fc.integer({ min: 1, max: 700 }), fc.nat(), async (digest, count, pick) => {
        const groups = Array.from({ length: count }, (_, index) =>
          Array.from({ length: 1 + (index % 3) }, (_, part) => hash(digest, `${index}.${part}`, 'buffer')),
        );
        const tree = treeOf(digest, groups);
        expect(
          tree.root.equals(
            plainRoot(
              digest,
              groups.map((group) => groupValue(digest, group)),
            ),
          ),
        ).toBe(true);
        for (const position of [0, count - 1, pick % count]) {
          const group = groups[position]!;
          const reduced = await tree.reduce(position, [...group].reverse());
          expect(reduced[0]).toEqual([...group].sort(Buffer.compare));
          expect(reduced.slice(1).every((list) => list.length === 1)).toBe(true);
          expect(reduced.length).toBeLessThanOrEqual(1 + Math.ceil(Math.log2(count)));
          expect(rootOf(digest, reduced).equals(tree.root)).toBe(true);
        }
      }),
      { numRuns: 25 },
    );
  });

  test('two groups alike are one element', async () => {
    const tree = treeOf('sha256', [[a], [a], [b]]);
    expect(await tree.reduce(0, [a])).toEqual([[a], [b]]);
    expect(tree.root.equals(sha256(...[a, b].sort(Buffer.compare)))).toBe(true);
  });

  test('of another group, or of tiles that were changed, are refused', async () => {
    const tree = treeOf('sha256', [[a], [b]]);
    for (const [position, digest] of [
      [0, b],
      [2, a],
      [-1, a],
      [0.5, a],
    ] as const) {
      await expect(tree.reduce(position, [digest])).rejects.toThrow(RangeError);
    }
    tree.tiles.set('0/0', a);
    await expect(treeOf('sha256', [[a], [b]]).reduce(1, [a])).rejects.toThrow('has another value');
    await expect(tree.again()(0, [a])).rejects.toThrow('a tile of 32 bytes where 64 belong');
  });

  test('of 66,000 groups: three levels of tiles, 17 lists on the way', async () => {
    const groups = Array.from({ length: 66_000 }, (_, index) => [sha256(Buffer.from(String(index)))]);
    const tree = treeOf('sha256', groups);
    expect([...tree.tiles.keys()].filter((name) => name.startsWith('0/'))).toHaveLength(258);
    expect(
      [...tree.tiles].filter(([name]) => !name.startsWith('0/')).map(([name, t]) => [name, t.length / 32]),
    ).toEqual([
      ['1/0', 256],
      ['1/1', 2],
      ['2/0', 2],
    ]);
    for (const position of [0, 255, 256, 65_535, 65_536, 65_999]) {
      const reduced = await tree.reduce(position, groups[position]!);
      expect(reduced.length).toBeLessThanOrEqual(18);
      expect(rootOf('sha256', reduced).equals(tree.root)).toBe(true);
    }
  });

  test.each([1, 2, 255, 256, 257, 512])(
    'of %d groups need no tile more than there are values',
    async (count) => {
      const tree = treeOf(
        'sha256',
        Array.from({ length: count }, (_, index) => [sha256(Buffer.from(String(index)))]),
      );
      const sizes = [...tree.tiles.values()].map(({ length }) => length / 32);
      const upper = count > 256 ? Math.ceil(count / 256) : 0;
      expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(count + upper);
    },
  );
});
