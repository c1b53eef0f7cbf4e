import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatMailbox, normaliseAddress, parseAddresses, parseAddressList } from './address.ts';

const brief = (value: string) => parseAddressList(value).map(({ name, address }) => [name, address]);

describe('parseAddressList', () => {
  test.each<[string, [string | null, string][]]>([
    ['a@x.de', [[null, 'a@x.de']]],
    ['<a@x.de>', [[null, 'a@x.de']]],
    ['Erika Mustermann <a@x.de>', [['Erika Mustermann', 'a@x.de']]],
    [
      '"Mustermann, Erika" <a@x.de>, b@y.de',
      [
        ['Mustermann, Erika', 'a@x.de'],
        [null, 'b@y.de'],
      ],
    ],
    ['"a \\"quoted\\" name" <a@x.de>', [['a "quoted" name', 'a@x.de']]],
    ['a@x.de (Erika (Amt))', [['Erika (Amt)', 'a@x.de']]],
    ['Erika (Amt) <a@x.de>', [['Erika', 'a@x.de']]],
    ['"erika.m@amt"@x.de', [[null, '"erika.m@amt"@x.de']]],
    ['<"a b"@x.de>', [[null, '"a b"@x.de']]],
    ['=?utf-8?Q?Gr=C3=BC=C3=9Fe?= <a@x.de>', [['=?utf-8?Q?Gr=C3=BC=C3=9Fe?=', 'a@x.de']]],
    [
      'Team: a@x.de, B <b@y.de>; c@z.de',
      [
        [null, 'a@x.de'],
        ['B', 'b@y.de'],
        [null, 'c@z.de'],
      ],
    ],
    ['undisclosed-recipients:;', []],
    [' , ,a@x.de,, ', [[null, 'a@x.de']]],
    ['erika . m @ x . de', [[null, 'erika.m@x.de']]],
    ['<@relay.de,@b.de:a@x.de>', [[null, 'a@x.de']]],
    ['a@[192.0.2.1]', [[null, 'a@[192.0.2.1]']]],
    ['Erika a@x.de', [['Erika', 'a@x.de']]],
    ['root', [[null, 'root']]],
    [
      'a@x.de; b@y.de',
      [
        [null, 'a@x.de'],
        [null, 'b@y.de'],
      ],
    ],
    ['"unclosed <a@x.de>', [[null, '"unclosed <a@x.de>"']]],
    ['a@x.de <b@y.de>', [['a @ x.de', 'b@y.de']]],
    ['a@x.de@evil.de', [[null, '"a@x.de"@evil.de']]],
    ['<a@x.de> <b@y.de>', [[null, 'a@x.de']]],
    ['', []],
  ])('%j', (value, expected) => {
    expect(brief(value)).toEqual(expected);
  });

  test('decodes names on request', () => {
    const value = '=?utf-8?Q?Gr=C3=BC=C3=9Fe?= <a@x.de>';
    expect(parseAddressList(value, { decode: true })[0]!.name).toBe('Grüße');
  });

  test('parseAddresses shows the borders of groups', () => {
    expect(parseAddresses('Team: a@x.de;, b@y.de').map((item) => item.type)).toEqual([
      'group-start',
      'mailbox',
      'group-end',
      'mailbox',
    ]);
    expect(parseAddresses('A: a@x.de').map((item) => item.type)).toEqual([
      'group-start',
      'mailbox',
      'group-end',
    ]);
  });

  test.each([
    ['('.repeat(200_000)],
    ['"\\'.repeat(100_000)],
    ['a@'.repeat(100_000)],
    [`${'a '.repeat(50_000)}@${':'.repeat(50_000)}`],
    ['<'.repeat(200_000)],
    ['a.'.repeat(100_000)],
    [`${'a,'.repeat(100_000)}`],
    ['[('.repeat(100_000)],
    // What is not linear runs into the time limit of the test.
  ])('ends on hostile input %#', (value) => {
    parseAddressList(value, { decode: true });
  });
});

describe('formatMailbox', () => {
  test.each([
    [{ address: 'a@x.de' }, 'a@x.de'],
    [{ name: 'Erika Mustermann', address: 'a@x.de' }, 'Erika Mustermann <a@x.de>'],
    [{ name: 'Amt, Zarrentin', address: 'a@x.de' }, '"Amt, Zarrentin" <a@x.de>'],
    [{ name: 'Grüße', address: 'a@x.de' }, '=?utf-8?B?R3LDvMOfZQ==?= <a@x.de>'],
  ])('%j', (mailbox, expected) => {
    expect(formatMailbox(mailbox)).toBe(expected);
  });

  test('what it writes, parseAddressList reads', () => {
    const name = fc
      .oneof(fc.stringMatching(/^[ -~]{1,30}$/), fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }))
      .map((text) =>
        text
          .replace(/\p{Cc}/gu, '')
          .trim()
          .replace(/\s+/g, ' '),
      )
      .filter(Boolean);
    const local = fc.oneof(
      fc.stringMatching(/^[a-z]{1,9}(\.[a-z]{1,9}){0,3}$/),
      fc.stringMatching(/^[ -~]{1,20}$/),
    );
    fc.assert(
      fc.property(fc.array(fc.record({ name, local }), { minLength: 1, maxLength: 5 }), (list) => {
        const quoted = (text: string) => `"${text.replace(/["\\]/g, '\\$&')}"`;
        const value = list
          .map((m) => formatMailbox({ name: m.name, address: `${quoted(m.local)}@x.de` }))
          .join(', ');
        const parsed = parseAddressList(value, { decode: true });
        expect(parsed.map((m) => ({ name: m.name, local: m.local }))).toEqual(list);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('normaliseAddress', () => {
  test.each([
    ['Erika.Mustermann@Amt.DE-Mail.Example', 'erika.mustermann@amt.de-mail.example'],
    [' <a@x.de> ', 'a@x.de'],
    ['a@x.de, b@x.de', null],
    ['a', null],
    ['@x.de', null],
    ['a@', null],
    ['', null],
    [`${'a'.repeat(2000)}@x.de`, null],
  ])('%j → %j', (address, expected) => {
    expect(normaliseAddress(address)).toBe(expected);
  });
});

test('no value makes the parser throw, and printed addresses parse to themselves', () => {
  const soup = fc
    .array(fc.constantFrom(...'()<>[]:;@\\,". ab=?\t\r\nä'), { maxLength: 30 })
    .map((c) => c.join(''));
  fc.assert(
    fc.property(soup, (value) => {
      for (const { address, domain, local } of parseAddressList(value)) {
        if (domain === '' || local === '' || !/^[a-zä.]+$/.test(domain)) continue;
        expect(parseAddressList(address).map((m) => m.address)).toEqual([address]);
      }
    }),
    { numRuns: 20_000 },
  );
});
