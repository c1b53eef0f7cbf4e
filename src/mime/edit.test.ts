import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { editHeader } from './edit.ts';
import { writeField } from './fold.ts';
import { findField, parseHeader } from './header.ts';

const raw = Buffer.from('A: eins\r\n zwei  \r\njunk line\r\nb : 2\r\nA: drei\r\n\r\n', 'latin1');
const fields = parseHeader(raw);

describe('editHeader', () => {
  test('without changes gives back the same bytes', () => {
    expect(editHeader(fields, [])).toEqual({ bytes: raw, edits: [] });
  });

  test('adds on top, removes, replaces in place, and says so', () => {
    const { bytes, edits } = editHeader(fields, [
      { op: 'add', name: 'X-New', value: 'value' },
      { op: 'remove', field: fields[0]! },
      { op: 'replace', field: fields[2]!, value: 'zwei' },
      { op: 'rewrite', field: fields[3]!, raw: Buffer.from('A: d\r\n rei\r\n') },
    ]);
    expect(bytes.toString()).toBe('X-New: value\r\njunk line\r\nb: zwei\r\nA: d\r\n rei\r\n\r\n');
    expect(edits).toEqual([
      { op: 'add', name: 'X-New', after: 'value' },
      { op: 'remove', name: 'A', before: 'eins zwei' },
      { op: 'replace', name: 'b', before: '2', after: 'zwei' },
      { op: 'replace', name: 'A', before: 'drei', after: 'd rei' },
    ]);
  });

  test('a stray continuation at the start does not become part of an added field', () => {
    const stray = parseHeader(Buffer.from(' evil\r\nA: 1\r\n'));
    const { bytes, edits } = editHeader(stray, [{ op: 'add', name: 'X', value: 'v' }]);
    expect(bytes.toString()).toBe('X: v\r\nA: 1\r\n\r\n');
    expect(edits).toContainEqual({ op: 'remove', name: '', before: 'evil' });
  });

  test('a last field without line end gets one', () => {
    expect(editHeader(parseHeader(Buffer.from('A: 1')), []).bytes.toString()).toBe('A: 1\r\n\r\n');
  });

  test.each([['a\r\nB: x'], ['a\nb'], ['a\rb'], ['a\0b'], ['a\u0085b']])('refuses %j', (value) => {
    expect(() => editHeader(fields, [{ op: 'add', name: 'X', value }])).toThrow(RangeError);
    expect(() => editHeader(fields, [{ op: 'replace', field: fields[0]!, value }])).toThrow(RangeError);
  });

  test('refuses a rewritten field that is none, or two', () => {
    for (const text of ['A: 1\r\nB: 2\r\n', 'B: 1\r\n', 'A: 1\r\n\r\n', '']) {
      const change = { op: 'rewrite', field: fields[0]!, raw: Buffer.from(text) } as const;
      expect(() => editHeader(fields, [change])).toThrow(RangeError);
    }
  });

  test('refuses names that are none', () => {
    for (const name of ['', 'a b', 'a:', 'ä', 'a\r\n'])
      expect(() => writeField(name, 'x')).toThrow(RangeError);
  });
});

describe('writeField', () => {
  test('folds at white space to 78, keeps unbroken words', () => {
    const text = writeField('Subject', Array.from({ length: 40 }, (_, i) => `wort${i}`).join(' '));
    for (const line of text.split('\r\n')) expect(line.length).toBeLessThanOrEqual(78);
    expect(writeField('X', { unfolded: 'a '.repeat(300) })).toBe(`X: ${'a '.repeat(300).trim()}\r\n`);
  });

  test('folds between pieces', () => {
    const text = writeField(
      'X',
      Array.from({ length: 9 }, (_, i) => `recipient${i}@x.de;`),
    );
    expect(text).toMatch(/^X: (recipient\d@x\.de;)+\r\n (recipient\d@x\.de;)+/);
  });

  test('never writes a line of more than 998 bytes', () => {
    expect(writeField('X', 'a'.repeat(997))).toBe(`X:\r\n ${'a'.repeat(997)}\r\n`);
    expect(() => writeField('X', 'a'.repeat(998))).toThrow(RangeError);
    expect(() => writeField('X', { unfolded: 'a '.repeat(600) })).toThrow(RangeError);
  });

  test('what it writes is one field that reads as the value', () => {
    const value = fc.oneof(
      fc.stringMatching(/^[ -~\t]{0,400}$/),
      fc.array(fc.stringMatching(/^[!-~]{1,60}$/), { maxLength: 30 }).map((words) => words.join(' ')),
    );
    fc.assert(
      fc.property(value, (text) => {
        const written = Buffer.from(`${writeField('X-Name', text)}Next: 1\r\n`);
        const parsed = parseHeader(written);
        expect(parsed.map((field) => field.name)).toEqual(['X-Name', 'Next']);
        expect(findField(parsed, 'x-name')?.value).toBe(text.trim());
      }),
      { numRuns: 3000 },
    );
  });
});
