import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findField, headerEnd, parseHeader } from './header.ts';

const bytes = (text: string) => Buffer.from(text, 'latin1');

describe('headerEnd', () => {
  test.each([
    ['A: 1\r\n\r\nbody', 8],
    ['A: 1\n\nbody', 6],
    ['A: 1\r\n\nbody', 7],
    ['\r\nbody', 2],
    ['A: 1\r\n', 6],
    ['A: 1', 4],
    ['A: 1\r\n \r\nB: 2\r\n\r\n', 17],
    ['A: 1\r\r\n\r\nbody', 9],
    ['', 0],
  ])('%j ends at %i', (text, end) => {
    expect(headerEnd(bytes(text))).toBe(end);
  });
});

describe('parseHeader', () => {
  test('keeps bytes, unfolds values', () => {
    const fields = parseHeader(
      bytes('Subject: eins\r\n zwei\r\n\tdrei \r\nX-Empty:\r\nobs : v\r\nTO:a@b\n\nbody: no'),
    );
    expect(fields.map(({ name, lower, value }) => [name, lower, value])).toEqual([
      ['Subject', 'subject', 'eins zwei\tdrei'],
      ['X-Empty', 'x-empty', ''],
      ['obs', 'obs', 'v'],
      ['TO', 'to', 'a@b'],
    ]);
    expect(fields[0]!.raw.toString()).toBe('Subject: eins\r\n zwei\r\n\tdrei \r\n');
  });

  test('keeps what is no field, without a name', () => {
    const fields = parseHeader(
      bytes('From erika Mon Jan 1 10:00:00\r\n stray\r\nno colon\r\n: x\r\nA: 1\r\n'),
    );
    expect(fields.map((field) => [field.name, field.raw.toString()])).toEqual([
      ['', 'From erika Mon Jan 1 10:00:00\r\n stray\r\n'],
      ['', 'no colon\r\n'],
      ['', ': x\r\n'],
      ['A', 'A: 1\r\n'],
    ]);
  });

  test('reads UTF-8 as such, other bytes as ISO-8859-1', () => {
    expect(parseHeader(Buffer.from('S: Grüße\r\n'))[0]!.value).toBe('Grüße');
    expect(parseHeader(bytes('S: Grüße\r\n'))[0]!.value).toBe('Grüße');
  });

  test('the topmost field counts', () => {
    expect(findField(parseHeader(bytes('a: 1\r\nA: 2\r\n')), 'a')?.value).toBe('1');
  });

  test('on any bytes the fields cover the header, gapless and in order', () => {
    const line = fc.constantFrom('A: 1', ' cont', '\tx', 'junk', '', '\r', ':', 'ä: 1', '\r\n', '\n', '\0');
    const soup = fc.oneof(
      fc.array(line, { maxLength: 20 }).map((parts) => Buffer.from(parts.join('\n'))),
      fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array)),
    );
    fc.assert(
      fc.property(soup, (input) => {
        const fields = parseHeader(input);
        const end = headerEnd(input);
        const covered = Buffer.concat(fields.map((field) => field.raw));
        expect(input.subarray(0, covered.length).equals(covered)).toBe(true);
        expect(input.toString('latin1', covered.length, end)).toMatch(/^(\r?\n)?$/);
        for (const field of fields) {
          expect(input.subarray(field.start, field.end).equals(field.raw)).toBe(true);
          expect(field.value).not.toMatch(/\n/);
        }
      }),
      { numRuns: 3000 },
    );
  });
});
