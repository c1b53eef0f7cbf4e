import fc from 'fast-check';
import libmime from 'libmime';
import { expect, test } from 'vitest';
import { encodeText, headerBytes, headerValue, makeField, splitMessage, unfoldedValue } from './header.ts';

test.each([
  ['A: 1\r\nB: 2\r\n\r\nbody', ['A', 'B'], 'body'],
  ['A: 1\r\n 2\r\n\r\n\r\nbody', ['A'], '\r\nbody'],
  ['\r\nbody', [], 'body'],
  ['A: 1', ['A'], ''],
  ['no field\r\nA:\r\n\r\n', ['', 'A'], ''],
  ['', [], ''],
])('%j', (text, names, body) => {
  const message = splitMessage(Buffer.from(text));
  expect(message.fields.map(({ name }) => name)).toEqual(names);
  expect(message.body.toString()).toBe(body);
});

test('the topmost of two counts, in any case, unfolded', () => {
  const { fields } = splitMessage(Buffer.from('subject:  a\r\n\tb \r\nSubject: c\r\n\r\n'));
  expect(headerValue(fields, 'SUBJECT')).toBe('a\tb');
});

test('header bytes survive splitting and joining', () => {
  const line = fc.stringMatching(/^[A-Za-z-]{1,20}:[ -~\x80-\xff]{0,200}$/);
  fc.assert(
    fc.property(fc.array(line, { minLength: 1 }), fc.uint8Array(), (lines, body) => {
      const bytes = Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), body]);
      const message = splitMessage(bytes);
      expect(Buffer.concat([headerBytes(message.fields), message.body]).equals(bytes)).toBe(true);
    }),
  );
});

test('made fields fold within 78 where they can, and unfold to their value', () => {
  const words = fc.array(fc.stringMatching(/^[!-~äß€]{1,40}$/), { minLength: 1, maxLength: 30 });
  fc.assert(
    fc.property(words, (parts) => {
      const field = makeField('X-de-mail-account-holder', parts.join(' '));
      expect(unfoldedValue(field)).toBe(parts.join(' '));
      const lines = field.raw.split('\r\n');
      expect(lines.slice(1).every((text) => text.length <= 78 || !text.slice(1).includes(' '))).toBe(true);
    }),
  );
});

test('encoded text decodes to itself, in words of at most 75', () => {
  // fast-check's own unit for this, 'binary', takes seconds to set up.
  const unit = fc.integer({ min: 0, max: 0x10ffff }).map((code) => String.fromCodePoint(code));
  fc.assert(
    fc.property(fc.string({ unit, maxLength: 80 }), (text) => {
      const encoded = encodeText(text);
      expect(encoded).toMatch(/^[\x20-\x7e]*$/);
      if (encoded !== text) expect(encoded.split(' ').every((word) => word.length <= 75)).toBe(true);
      if (!text.isWellFormed()) return;
      expect(libmime.decodeWords(encoded)).toBe(text);
    }),
  );
});
