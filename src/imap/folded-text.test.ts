import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createFold, fold } from './folded-text.ts';

describe('text as SEARCH compares it', () => {
  it.each([
    ['MÜLLER', 'mueller'],
    ['Mu\u0308ller', 'mueller'],
    ['Mueller', 'mueller'],
    ['STRASSE', 'strasse'],
    ['Straße', 'strasse'],
    ['STRAẞE', 'strasse'],
    ['ﬁnanz\u00a0Amt', 'finanz amt'],
    ['Donau\u00addampf\u200bschiff', 'donaudampfschiff'],
    ['ΟΔΟΣ οδος', 'οδοσ οδοσ'],
    ['a\r\n\t b\0c', 'a b c'],
    ['Ａｋｔｅ ①', 'akte 1'],
    ['', ''],
  ])('folds %j to %j', (text, folded) => expect(fold(text)).toBe(folded));

  it('is the same in pieces as whole, wherever they are cut', () => {
    const letter = fc.constantFrom(
      ...'aäöüßÜ \r\n\0é',
      'u',
      '\u0308',
      '\u0301',
      'ﬁ',
      '가',
      '\u1100',
      '\u1161',
      '😀',
      '\u00ad',
    );
    fc.assert(
      fc.property(
        fc.array(
          fc.array(letter).map((letters) => letters.join('')),
          { maxLength: 5 },
        ),
        (pieces) => {
          const folded = createFold();
          const text = pieces.map((piece) => folded.write(piece)).join('') + folded.end();
          expect(text).toBe(fold(pieces.join('')));
        },
      ),
    );
  });

  it('holds back no more than a letter can be long', () => {
    const folded = createFold();
    expect(folded.write(`a${'\u0301'.repeat(5000)}`).length).toBeGreaterThan(4000);
  });
});
