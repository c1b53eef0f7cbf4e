import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { quoteLocal } from '../mime/address.ts';
import { addressesOf, parseRecipientList, printRecipientList } from './recipients.ts';

const brief = (value: string) => {
  const { to, cc, bcc } = parseRecipientList(value);
  const pairs = (list: readonly { name: string | null; address: string }[]) =>
    list.map(({ name, address }) => (name === null ? address : `${name}|${address}`));
  return [pairs(to), pairs(cc), pairs(bcc)];
};

describe('parseRecipientList', () => {
  test.each<[string, string[][]]>([
    ['to=a@x.de', [['a@x.de'], [], []]],
    ['to=a@x.de;b@y.de;cc=c@z.de', [['a@x.de', 'b@y.de'], ['c@z.de'], []]],
    [' TO = a@x.de ; Cc = c@z.de', [['a@x.de'], ['c@z.de'], []]],
    ['to=A@X.de;"B, C" <b@y.de>;bcc=d@z.de', [['a@x.de', 'B, C|b@y.de'], [], ['d@z.de']]],
    ['to="B; cc=x@y" <b@y.de>', [['B; cc=x@y|b@y.de'], [], []]],
    ['cc="Amt, Zarrentin" <poststelle@amt.de>', [[], ['Amt, Zarrentin|poststelle@amt.de'], []]],
    ['to=a@x.de, b@y.de', [['a@x.de', 'b@y.de'], [], []]],
    ['a@x.de', [['a@x.de'], [], []]],
    ['to=a@x.de;to=b@x.de', [['a@x.de', 'b@x.de'], [], []]],
    ['to=a@x.de;;', [['a@x.de'], [], []]],
    ['to=nonsense;cc=', [[], [], []]],
    ['to=a@"x y" <b@x.de>;cc=c@x.de', [['a @ x y|b@x.de'], ['c@x.de'], []]],
    ['to=a@x.de;b@"y.de;cc=c@z.de', [['a@x.de'], [], []]],
    ['', [[], [], []]],
  ])('%j', (value, expected) => {
    expect(brief(value)).toEqual(expected);
  });

  test('ends on hostile input within the time limit of a test', () => {
    for (const part of ['to=a@x;', '"', '(', '<', ';', '\\"', 'to=']) parseRecipientList(part.repeat(50_000));
  });
});

test('parse ∘ print is the identity', () => {
  const name = fc.option(
    fc
      .oneof(
        fc.stringMatching(/^(to|cc|bcc)=[ -~]{0,5}$/),
        fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }),
      )
      .map((text) =>
        text
          .replace(/\p{Cc}/gu, '')
          .replace(/\s+/g, ' ')
          .trim(),
      )
      .filter(Boolean),
  );
  const local = fc.oneof(
    fc.stringMatching(/^[a-z0-9]{1,8}(\.[a-z0-9]{1,8})?$/),
    fc.stringMatching(/^(to|cc|bcc)=[a-z]{0,5}$/),
    fc.stringMatching(/^[!#-Z^-~]{1,12}$/).map((text) => quoteLocal(text.toLowerCase())),
  );
  const recipient = fc.record({ name, address: local.map((text) => `${text}@amt.de-mail.de`) });
  const list = fc.record({ to: fc.array(recipient), cc: fc.array(recipient), bcc: fc.array(recipient) });
  fc.assert(
    fc.property(list, (input) => {
      const parsed = parseRecipientList(printRecipientList(input));
      expect(parsed).toEqual(input);
    }),
    { numRuns: 3000 },
  );
});

test('a local part with a control character stays one', () => {
  const list = parseRecipientList('to="\u0018"@x.de');
  expect(list.to).toHaveLength(1);
  expect(parseRecipientList(printRecipientList(list))).toEqual(list);
});

test('a display name opens no element', () => {
  for (const name of ['cc=C', ' cc=C', '\tbcc =C', 'to=']) {
    const list = { to: [{ name, address: 'a@x.de' }], cc: [], bcc: [] };
    const { to, cc, bcc } = parseRecipientList(printRecipientList(list));
    expect([to.length, cc.length, bcc.length], name).toEqual([1, 0, 0]);
  }
});

test('addressesOf goes through all kinds', () => {
  expect(addressesOf(parseRecipientList('bcc=c@x.de;to=a@x.de;cc=b@x.de'))).toEqual([
    'a@x.de',
    'b@x.de',
    'c@x.de',
  ]);
});
