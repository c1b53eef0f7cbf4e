import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createLineEndCheck } from './line-ends.ts';

function check(text: string, maxLine?: number, sizes: readonly number[] = [text.length || 1]) {
  const checker = createLineEndCheck(maxLine);
  const bytes = Buffer.from(text, 'latin1');
  let at = 0;
  for (let i = 0; at < bytes.length; i += 1) {
    const size = sizes[i % sizes.length]!;
    checker.push(bytes.subarray(at, at + size));
    at += size;
  }
  return checker.finish();
}

describe('createLineEndCheck', () => {
  const x = (n: number) => 'x'.repeat(n);
  test.each([
    ['', null],
    ['a\r\nb\r\n', null],
    ['no line end', null],
    ['a\nb', { kind: 'bare-lf', offset: 1 }],
    ['a\r\n\n', { kind: 'bare-lf', offset: 3 }],
    ['a\rb', { kind: 'bare-cr', offset: 1 }],
    ['a\r\r\n', { kind: 'bare-cr', offset: 1 }],
    ['a\r', { kind: 'bare-cr', offset: 1 }],
    [`${x(998)}\r\n`, null],
    [`a\r\n${x(999)}\r\n`, { kind: 'line-too-long', offset: 1003 }],
    [x(1000), null],
    [x(1001), { kind: 'line-too-long', offset: 1000 }],
    [`${x(1500)}\r`, { kind: 'line-too-long', offset: 1000 }],
    [`${x(1500)}\n`, { kind: 'line-too-long', offset: 1000 }],
    ['\r\n.\n', { kind: 'bare-lf', offset: 3 }],
  ])('%j', (text, expected) => {
    expect(check(text)).toEqual(expected);
    expect(check(text, undefined, [1])).toEqual(expected);
  });

  test('tells the first violation at once and for ever', () => {
    const checker = createLineEndCheck();
    expect(checker.push(Buffer.from('a\r'))).toBeNull();
    expect(checker.push(Buffer.from('b'))).toEqual({ kind: 'bare-cr', offset: 1 });
    expect(checker.push(Buffer.from('\n'))).toEqual({ kind: 'bare-cr', offset: 1 });
  });

  test('the chunks do not matter, and what passes has no bare CR or LF', () => {
    const text = fc
      .array(fc.constantFrom('\r', '\n', '\r\n', 'a', 'aaaa'), { maxLength: 40 })
      .map((parts) => parts.join(''));
    fc.assert(
      fc.property(text, fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }), (input, sizes) => {
        const found = check(input, 8);
        expect(check(input, 8, sizes)).toEqual(found);
        const clean = !/(?<!\r)\n|\r(?!\n)/.test(input) && input.split(/(?<=\n)/).every((l) => l.length <= 8);
        expect(found === null).toBe(clean);
      }),
      { numRuns: 3000 },
    );
  });
});
