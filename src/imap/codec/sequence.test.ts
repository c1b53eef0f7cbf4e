import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compress, includes, parseSequenceSet, printSequenceSet, resolve, STAR } from './sequence.ts';

test.each([
  ['1', [[1, 1]]],
  ['1:3', [[1, 3]]],
  ['*', [[STAR, STAR]]],
  [
    '4:*,2',
    [
      [4, STAR],
      [2, 2],
    ],
  ],
  ['*:7', [[STAR, 7]]],
  ['4294967295', [[4294967295, 4294967295]]],
])('%s', (text, set) => {
  expect(parseSequenceSet(text)).toEqual(set);
  expect(printSequenceSet(set as [number, number][])).toBe(text);
});

test.each(['', '0', '1,', ',1', '1:', ':1', '1:2:3', '01', '4294967296', 'a', '1 2', '**', '-1'])(
  'refuses %j',
  (text) => expect(parseSequenceSet(text)).toBeNull(),
);

test('RFC 3501 9: a range to * takes in the largest number even where it starts beyond it', () => {
  expect(resolve(parseSequenceSet('5:*')!, 3)).toEqual([[3, 5]]);
  expect(resolve(parseSequenceSet('*')!, 0)).toEqual([]);
  expect(resolve(parseSequenceSet('9,1:3,2:4')!, 10)).toEqual([
    [1, 4],
    [9, 9],
  ]);
});

const ascending = fc
  .uniqueArray(fc.integer({ min: 1, max: 400 }))
  .map((numbers) => numbers.sort((a, b) => a - b));

test('compress loses and adds nothing', () => {
  fc.assert(
    fc.property(ascending, (numbers) => {
      fc.pre(numbers.length > 0);
      const set = resolve(parseSequenceSet(compress(numbers))!, 400);
      const found = Array.from({ length: 401 }, (_, n) => n).filter((n) => includes(set, n));
      expect(found).toEqual(numbers);
    }),
  );
});
