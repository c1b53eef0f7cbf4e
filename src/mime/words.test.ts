import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { codePoint } from './testing/code-points.ts';
import { decodeParameter, decodeWords, encodePhrase, encodeWords } from './words.ts';

describe('decodeWords', () => {
  test.each([
    ['plain', 'plain'],
    ['=?utf-8?Q?Gr=C3=BC=C3=9Fe?=', 'Grüße'],
    ['=?ISO-8859-1?B?R3L832U=?= an alle', 'Grüße an alle'],
    ['=?utf-8?Q?a?= =?utf-8?Q?b?=', 'ab'],
    ['=?utf-8?Q?a?= b =?utf-8?Q?c_d?=', 'a b c d'],
    ['=?utf-8?B?w7w=?= =?iso-8859-1?Q?=FC?=', 'üü'],
    ['=?utf-8?Q?=C3?= =?utf-8?Q?=BC?=', 'ü'],
    ['=?utf-8*de?Q?=C3=BC?=', 'ü'],
    ['=?windows-1252?Q?=80?=', '€'],
    ['=?x-unknown?Q?=FC?=', 'ü'],
    ['=?utf-8?X?abc?=', '=?utf-8?X?abc?='],
    ['=?utf-8?Q?a=ZZ?=', 'a=ZZ'],
    ['*Abhol=?utf-8?Q?best=C3=A4tigung?=* Bescheid', '*Abholbestätigung* Bescheid'],
  ])('%j → %j', (value, text) => {
    expect(decodeWords(value)).toBe(text);
  });
});

test('decodeWords ∘ encodeWords is the identity; words keep to 75 characters', () => {
  const text = fc.oneof(fc.string({ unit: codePoint, maxLength: 200 }), fc.stringMatching(/^[ -~]{0,80}$/));
  fc.assert(
    fc.property(text, (input) => {
      const well = input.toWellFormed();
      const encoded = encodeWords(well);
      expect(decodeWords(encoded)).toBe(well);
      if (encoded !== well) {
        for (const part of encoded.split(' ')) expect(part.length).toBeLessThanOrEqual(75);
        expect(encoded).toMatch(/^[ -~]*$/);
      }
    }),
    { numRuns: 3000 },
  );
});

test('encodePhrase quotes what is no atom', () => {
  expect(encodePhrase('Amt für Ordnung')).toBe('=?utf-8?B?QW10IGbDvHIgT3JkbnVuZw==?=');
  expect(encodePhrase('a "b" \\')).toBe('"a \\"b\\" \\\\"');
});

describe('decodeParameter', () => {
  test.each<[[string, string][], string | undefined]>([
    [[['filename', 'a.pdf']], 'a.pdf'],
    [[['filename*', "utf-8''M%C3%A4rz.pdf"]], 'März.pdf'],
    [
      [
        ['filename', 'a.pdf'],
        ['filename*', "utf-8'de'b.pdf"],
      ],
      'b.pdf',
    ],
    [
      [
        ['filename*0*', "utf-8''M%C3"],
        ['filename*1*', '%A4rz'],
        ['filename*2', '.pdf'],
      ],
      'März.pdf',
    ],
    [
      [
        ['filename*1', 'b'],
        ['filename*0', 'a'],
      ],
      'ab',
    ],
    [
      [
        ['filename*0', 'a'],
        ['filename*2', 'c'],
      ],
      'a',
    ],
    [[['filename', '=?utf-8?Q?M=C3=A4rz=2Epdf?=']], 'März.pdf'],
    [[['filename*', 'no quotes%20here']], 'no quotes here'],
    [[['name', 'x']], undefined],
  ])('%j → %j', (params, expected) => {
    expect(decodeParameter(params, 'filename')).toBe(expected);
  });
});

test('ends on hostile input within the time limit of a test', () => {
  for (const part of ['=?', '=?a?B?', '=?a?Q?=', '?=', '=?a*']) decodeWords(part.repeat(10_000));
});
