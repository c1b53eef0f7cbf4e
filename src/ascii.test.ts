import fc from 'fast-check';
import { expect, it } from 'vitest';
import { toAscii } from './ascii.ts';
import { codePoint } from './mime/testing/code-points.ts';

it.each([
  ['Eingangsbestätigung', 'Eingangsbestaetigung'],
  ['Äußerst ÖDE Übung', 'Aeusserst OeDE Uebung'],
  ['a\u0308rgerlich', 'aergerlich'],
  ['„Łódź“ – café, ﬁn…', '"?odz" - cafe, fin...'],
  ['one\r\n250 two\0three', 'one 250 two three'],
  ['日本 😀', '?? ?'],
])('%s', (text, expected) => {
  expect(toAscii(text)).toBe(expected);
});

it('gives printable ASCII for anything, and leaves that as it is', () => {
  fc.assert(
    fc.property(fc.string({ unit: codePoint }), (text) => {
      const ascii = toAscii(text);
      expect(ascii).toMatch(/^[ -~]*$/);
      expect(toAscii(ascii)).toBe(ascii);
    }),
    { numRuns: 200 },
  );
});
