import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ascending, createNumberList, placeIn } from './number-list.ts';

const numbers = fc.array(fc.nat(500), { maxLength: 300 });

function listOf(values: readonly number[]): Float64Array {
  const list = createNumberList();
  for (const value of values) list.push(value);
  return list.values();
}

describe('a list of numbers', () => {
  it('holds what was put in, in order, and sorts positions stably', () => {
    fc.assert(
      fc.property(numbers, (values) => {
        const list = listOf(values);
        expect([...list]).toEqual(values);
        const expected = values.map((value, at) => ({ value, at })).sort((a, b) => a.value - b.value);
        expect([...ascending(list)]).toEqual(expected.map(({ at }) => at));
      }),
      { numRuns: 50 },
    );
  });

  it('finds the first place of a value in an ascending list', () => {
    fc.assert(
      fc.property(numbers, fc.nat(500), (values, value) => {
        const sorted = values.toSorted((a, b) => a - b);
        expect(placeIn(listOf(sorted), value)).toBe(sorted.indexOf(value));
      }),
      { numRuns: 50 },
    );
  });
});
