import fc from 'fast-check';
import { expect, test } from 'vitest';
import { codePoint } from '../../mime/testing/code-points.ts';
import { decodeUtf7, encodeUtf7 } from './utf7.ts';

test.each([
  ['INBOX', 'INBOX'],
  ['Entwürfe', 'Entw&APw-rfe'],
  ['De-Mail-Bestätigungen', 'De-Mail-Best&AOQ-tigungen'],
  ['Müll & Mehr', 'M&APw-ll &- Mehr'],
  ['~peter/mail/台北/日本語', '~peter/mail/&U,BTFw-/&ZeVnLIqe-'],
  ['😀', '&2D3eAA-'],
  ['', ''],
])('%s is %s', (name, wire) => {
  expect(encodeUtf7(name)).toBe(wire);
  expect(decodeUtf7(wire)).toBe(name);
});

test.each([
  ['a shift that is never closed', 'Entw&APw'],
  ['printable ASCII in base64', '&AGE-'],
  ['two runs where one is enough', '&APw-&APw-'],
  ['raw eight-bit bytes', 'Entw\xfcrfe'],
  ['the standard alphabet', '&U/BTFw-'],
  ['an unpaired surrogate', '&2D0-'],
  ['half a character', '&AP-'],
  ['an ampersand in base64', '&ACY-'],
  ['a control character', 'a\tb'],
])('refuses %s', (_, wire) => expect(decodeUtf7(wire)).toBeNull());

test('decode undoes encode', () => {
  fc.assert(
    fc.property(fc.string({ unit: codePoint }), (name) => {
      expect(decodeUtf7(encodeUtf7(name))).toBe(name.toWellFormed());
    }),
  );
});

test('whatever decodes is the one spelling of its name', () => {
  fc.assert(
    fc.property(fc.string(), (wire) => {
      const name = decodeUtf7(wire);
      if (name !== null) expect(encodeUtf7(name)).toBe(wire);
    }),
  );
});
