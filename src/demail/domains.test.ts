import { describe, expect, test } from 'vitest';
import { addressProblem, isDemailAddress, matchesDomain } from './domains.ts';

describe('matchesDomain', () => {
  test.each([
    ['amt.de-mail.de', true],
    ['bau.amt.de-mail.de', true],
    ['AMT.De-Mail.DE', true],
    ['de-mail.de', false],
    ['.de-mail.de', false],
    ['evilde-mail.de', false],
    ['amt.de-mail.de.evil.com', false],
    ['exact.example', true],
    ['sub.exact.example', false],
    ['', false],
  ])('%s: %s', (domain, expected) => {
    expect(matchesDomain(domain, ['*.de-mail.de', 'exact.example'])).toBe(expected);
  });
});

describe('addressProblem', () => {
  const domain = (length: number) => `${'d'.repeat(60)}.${'d'.repeat(60)}.`.concat('d'.repeat(length - 122));
  test.each<[string, string | null]>([
    ['erika@amt.de-mail.de', null],
    [`${'a'.repeat(64)}@amt.de`, null],
    [`${'a'.repeat(65)}@amt.de`, 'local-part-too-long'],
    [`a@${domain(184)}`, null],
    [`a@${domain(122 + 63)}.d.d.d`, 'domain-too-long'],
    [`${'a'.repeat(64)}@${domain(185)}`, null],
    [`${'a'.repeat(64)}@${domain(185)}.dd`, null],
    [`${'"a'.concat('\\"'.repeat(50), '"')}@${domain(185)}.ddd`, 'address-too-long'],
    ['a'.repeat(1000), 'address-too-long'],
    ['a@b@c.de', 'malformed'],
    ['a@x.de, b@x.de', 'malformed'],
    ['Name <a@x.de>', 'malformed'],
    ['a@[192.0.2.1]', 'malformed'],
    ['ä@x.de', 'malformed'],
    ['a@ä.de', 'malformed'],
    ['a@x..de', 'malformed'],
    ['a', 'malformed'],
    ['', 'malformed'],
  ])('%s: %s', (address, expected) => {
    expect(addressProblem(address)).toBe(expected);
  });
});

test('isDemailAddress wants both', () => {
  expect(isDemailAddress('a@amt.de-mail.de', ['*.de-mail.de'])).toBe(true);
  expect(isDemailAddress('a@web.de', ['*.de-mail.de'])).toBe(false);
  expect(isDemailAddress('a@web.de <b@amt.de-mail.de>', ['*.de-mail.de'])).toBe(false);
});
