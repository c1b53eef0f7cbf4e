import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createDigest, decodeContent } from './digest.ts';

const decode = (text: string, encoding: string) =>
  decodeContent(Buffer.from(text, 'latin1'), encoding).toString('latin1');

describe('base64', () => {
  test.each([
    ['QUJD', 'ABC'],
    ['QUI=\r\n', 'AB'],
    ['QQ==', 'A'],
    ['Q U\r\nJ-D', 'ABC'],
    ['QQ==QUI=', 'AAB'],
    ['QUJ', 'AB'],
    ['Q', ''],
    ['', ''],
    ['////', '\xff\xff\xff'],
  ])('%j', (text, expected) => {
    expect(decode(text, 'base64')).toBe(expected);
  });

  test('agrees with what was encoded', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const text = Buffer.from(bytes).toString('base64').replace(/.{20}/g, '$&\r\n');
        expect(decodeContent(Buffer.from(text), 'base64')).toEqual(Buffer.from(bytes));
      }),
    );
  });
});

describe('quoted-printable', () => {
  test.each([
    ['a=3D=e4\r\nb', 'a=\xe4\r\nb'],
    ['soft=\r\nbreak', 'softbreak'],
    ['soft=  \r\nbreak', 'softbreak'],
    ['soft=\nbreak', 'softbreak'],
    ['trailing \t\r\nx', 'trailing\r\nx'],
    ['inner  space', 'inner  space'],
    ['end  ', 'end'],
    ['a=', 'a'],
    ['a=ZZ=4', 'a=ZZ=4'],
    ['= x', '= x'],
    ['a=\rb', 'a=\rb'],
    ['a \rb', 'a \rb'],
    [`${' '.repeat(5000)}x`, `${' '.repeat(5000)}x`],
    [`x${' '.repeat(3000)}\r\ny`, 'x\r\ny'],
    ['', ''],
  ])('%j', (text, expected) => {
    expect(decode(text, 'quoted-printable')).toBe(expected);
  });
});

test('other encodings are taken as they stand', () => {
  for (const encoding of ['7bit', '8bit', 'binary', 'x-uuencode', ''])
    expect(decode('=41 QUI=', encoding)).toBe('=41 QUI=');
});

test('the chunks do not matter', () => {
  const soup = fc
    .array(
      fc.constantFrom('=', '==', '=4', '1', 'Q', 'QUI', ' ', '\t', '\r', '\n', '\r\n', 'x', ' '.repeat(4095)),
      {
        maxLength: 25,
      },
    )
    .map((parts) => Buffer.from(parts.join('')));
  const encoding = fc.constantFrom('base64', 'quoted-printable', '7bit');
  fc.assert(
    fc.property(soup, encoding, fc.integer({ min: 1, max: 7 }), (bytes, name, step) => {
      const whole = createDigest(name);
      whole.update(bytes);
      const parts = createDigest(name);
      for (let at = 0; at < bytes.length; at += step) parts.update(bytes.subarray(at, at + step));
      const digest = parts.finish();
      expect(digest).toEqual(whole.finish());
      expect(digest.size).toBe(decodeContent(bytes, name).length);
    }),
    { numRuns: 500 },
  );
});
