import { createSecretKey } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createFilter, filterKey, mayHold, trigramHashes } from './text-filter.ts';

const key = filterKey(createSecretKey(Buffer.alloc(32, 1)));

function filterOf(text: string): Buffer {
  const filter = createFilter();
  filter.add(trigramHashes(key, 'body', text));
  return filter.finish();
}
const may = (filter: Buffer, text: string) => mayHold(filter, trigramHashes(key, 'body', text));

describe('the filter of a text', () => {
  it('never denies a part of the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 100 }), fc.nat(100), fc.nat(100), (text, a, b) => {
        expect(may(filterOf(text), text.slice(Math.min(a, b), Math.max(a, b)))).toBe(true);
      }),
    );
  });

  it('denies nearly everything else, each place by itself', () => {
    const filter = filterOf(Array.from({ length: 2000 }, (_, i) => (i * 7919).toString(36)).join(' '));
    const words = Array.from({ length: 500 }, (_, i) => `wort${i}nadel`);
    expect(words.filter((word) => may(filter, word)).length).toBeLessThan(5);
    expect(mayHold(filterOf('bescheid'), trigramHashes(key, 'subject', 'bescheid'))).toBe(false);
  });

  it('is as large as the text has different parts', () => {
    expect(filterOf('').length).toBe(64);
    expect(filterOf('a'.repeat(10_000)).length).toBe(64);
    let state = 1;
    const letter = () => {
      state = (state * 48_271) % 2_147_483_647;
      return String.fromCharCode(33 + (state % 90));
    };
    const large = Array.from({ length: 60_000 }, letter).join('');
    expect(filterOf(large).length).toBe(16_384);
  });

  it('tells nothing without its key', () => {
    const other = filterKey(createSecretKey(Buffer.alloc(32, 2)));
    expect(
      mayHold(filterOf('ein kurzer bescheid'), trigramHashes(other, 'body', 'ein kurzer bescheid')),
    ).toBe(false);
  });
});
