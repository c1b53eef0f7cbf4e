import { createHash, hash, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { IntegrityHash } from '../../demail/integrity.ts';
import { createHashTree, groupValue, rootOf } from './hash-tree.ts';

const sha256 = (...parts: readonly Buffer[]) => hash('sha256', Buffer.concat(parts), 'buffer');
const [a, b, c] = ['a', 'b', 'c'].map((text) => sha256(Buffer.from(text))) as [Buffer, Buffer, Buffer];

function treeOf(digest: IntegrityHash, groups: readonly (readonly Buffer[])[]) {
  const builder = createHashTree(digest);
  for (const group of groups) builder.add(group);
  return builder.finish();
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
    expect(() => createHashTree('sha256').add(digests)).toThrow(RangeError);
  });

  test('no group is refused', () => expect(() => createHashTree('sha256').finish()).toThrow(RangeError));
});

describe('reduced trees', () => {
  test('begin with the group, have one digest a list, and lead to the root', () => {
    const digests = fc.constantFrom<IntegrityHash>('sha256', 'sha384', 'sha512');
    const groups = fc.array(fc.uniqueArray(fc.nat(50), { minLength: 1, maxLength: 4 }), {
      minLength: 1,
      maxLength: 40,
    });
    fc.assert(
      fc.property(digests, groups, (digest, names) => {
        const made = names.map((group) =>
          group.map((name) => createHash(digest).update(String(name)).digest()),
        );
        const tree = treeOf(digest, made);
        for (const [index, group] of made.entries()) {
          const reduced = tree.reduce(index, group);
          expect(reduced[0]).toEqual([...group].sort(Buffer.compare));
          expect(reduced.slice(1).every((list) => list.length === 1)).toBe(true);
          expect(reduced.length).toBeLessThanOrEqual(2 + Math.ceil(Math.log2(made.length)));
          expect(rootOf(digest, reduced).equals(tree.root)).toBe(true);
        }
      }),
      { numRuns: 40 },
    );
  });

  test('two groups alike are one element', () => {
    const tree = treeOf('sha256', [[a], [a], [b]]);
    expect(tree.reduce(0, [a])).toEqual([[a], [b]]);
    expect(tree.root.equals(sha256(...[a, b].sort(Buffer.compare)))).toBe(true);
  });

  test('of another group are refused', () => {
    const tree = treeOf('sha256', [[a], [b]]);
    expect(() => tree.reduce(0, [b])).toThrow(RangeError);
    expect(() => tree.reduce(2, [a])).toThrow(RangeError);
    expect(() => tree.reduce(-1, [a])).toThrow(RangeError);
  });

  test('of a tree of 50,000 groups have 17 lists at most', () => {
    const groups = Array.from({ length: 50_000 }, (_, index) => [sha256(Buffer.from(String(index)))]);
    const tree = treeOf('sha256', groups);
    expect(tree.size).toBe(50_000);
    for (const index of [0, 16_383, 16_384, 31_337, 49_999]) {
      const reduced = tree.reduce(index, groups[index]!);
      expect(reduced.length).toBeLessThanOrEqual(17);
      expect(rootOf('sha256', reduced).equals(tree.root)).toBe(true);
    }
  });
});
