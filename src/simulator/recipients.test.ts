import fc from 'fast-check';
import { expect, test } from 'vitest';
import { addressOf, domainMatches, mailboxesOf, parseRecipients, printRecipients } from './recipients.ts';

test.each([
  ['to=a@x.de', { to: ['a@x.de'], cc: [], bcc: [] }],
  [
    'TO = A@X.de ; b@x.de;cc="Amt, Z; \\"x\\"" <c@x.de>',
    { to: ['a@x.de', 'b@x.de'], cc: ['c@x.de'], bcc: [] },
  ],
  ['bcc=<a@x.de>', { to: [], cc: [], bcc: ['a@x.de'] }],
  ['a@x.de', 'it must begin with to=, cc= or bcc='],
  ['to=a@x.de;to=b@x.de', 'to occurs twice'],
  ['to=a@x.de;', 'to has an empty address'],
  ['to=a', 'a is no address'],
  ['', 'it must begin with to=, cc= or bcc='],
])('%j', (value, expected) => {
  expect(parseRecipients(value)).toEqual(expected);
});

test.each([
  ['a@x.de', ['a@x.de']],
  ['"Doe, (John)" <a@x.de>, b@x.de (x, (y) z)', ['a@x.de', 'b@x.de']],
  ['group: a@x.de;', undefined],
  ['', undefined],
])('mailboxes of %j', (value, expected) => {
  expect(mailboxesOf(value)).toEqual(expected);
});

test('what is printed is read back', () => {
  const local = fc.stringMatching(/^[a-z0-9._+-]{1,64}$/);
  const address = fc
    .tuple(local, fc.constantFrom('x.de', 'stadt-waren.de-mail.example'))
    .map((a) => a.join('@'));
  const lists = fc.record({
    to: fc.array(address, { minLength: 1 }),
    cc: fc.array(address),
    bcc: fc.array(address),
  });
  fc.assert(
    fc.property(lists, (value) => {
      expect(parseRecipients(printRecipients(value))).toEqual(value);
    }),
  );
});

test('any text is read or refused', () => {
  fc.assert(
    fc.property(fc.string(), (value) => {
      parseRecipients(value);
      parseRecipients(`to=${value}`);
      mailboxesOf(value);
      addressOf(value);
    }),
  );
});

test('domains match by name or by suffix', () => {
  expect(domainMatches('a@x.de-mail.example', ['*.de-mail.example'])).toBe(true);
  expect(domainMatches('a@de-mail.example', ['*.de-mail.example'])).toBe(false);
  expect(domainMatches('a@evil-de-mail.example', ['*.de-mail.example'])).toBe(false);
  expect(domainMatches('a@stadt.de', ['stadt.de'])).toBe(true);
});
