import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseDateTime, parseSearchDate, printDateTime } from './date.ts';

test.each([
  ['17-Jul-1996 02:44:25 -0700', '1996-07-17T09:44:25Z'],
  [' 1-Feb-2024 00:00:00 +0000', '2024-02-01T00:00:00Z'],
  ['1-feb-2024 23:59:59 +0130', '2024-02-01T22:29:59Z'],
  ['29-Feb-2024 12:00:00 +0000', '2024-02-29T12:00:00Z'],
])('%s', (text, iso) => expect(parseDateTime(text)).toBe(Date.parse(iso)));

test.each([
  '29-Feb-2023 12:00:00 +0000',
  '31-Apr-2024 12:00:00 +0000',
  '1-Foo-2024 12:00:00 +0000',
  '1-Jan-2024 24:00:00 +0000',
  '1-Jan-2024 12:00:00',
  '1-Jan-24 12:00:00 +0000',
  '',
])('refuses %j', (text) => expect(parseDateTime(text)).toBeNull());

test('search dates count days', () => {
  expect(parseSearchDate('1-Jan-1970')).toBe(0);
  expect(parseSearchDate('01-Mar-2024')).toBe(Date.UTC(2024, 2, 1) / 86_400_000);
  expect(parseSearchDate('30-Feb-2024')).toBeNull();
});

test('whole seconds survive printing', () => {
  fc.assert(
    fc.property(fc.integer({ min: -62_167_219_200, max: 253_402_300_799 }), (seconds) => {
      expect(parseDateTime(printDateTime(seconds * 1000))).toBe(seconds * 1000);
    }),
  );
});
