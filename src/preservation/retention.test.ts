import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type RetentionClass, retention } from '../config/retention.ts';
import type { Entry } from '../evidence/entry.ts';
import { classOf, keptUntil, lastHandled, type RetainedLetter } from './retention.ts';

const letter: RetainedLetter = {
  kind: 'submission',
  options: ['dispatch', 'authoritative'],
  fileReference: 'P-2026/17',
  sender: 'Personal@stadt.de-mail.example',
  recipients: ['max@buerger.de-mail.example', 'eva@buerger.de-mail.example'],
};
const classes = (...list: object[]): readonly RetentionClass[] =>
  retention.parse({ classes: list.map((one, i) => ({ name: `k${i}`, keep: '1y', legalBasis: 'x', ...one })) })
    .classes;
const matched = (match: object) => classOf(letter, classes({ match })) !== null;

describe('which class a letter belongs to', () => {
  it.each([
    [{}, true],
    [{ kinds: ['inbound'] }, false],
    [{ kinds: ['inbound', 'submission'] }, true],
    [{ options: ['authoritative'] }, true],
    [{ options: ['authoritative', 'private'] }, false],
    [{ fileReference: 'P-*' }, true],
    [{ fileReference: 'p-2026/17' }, true],
    [{ fileReference: 'P-2026' }, false],
    [{ fileReference: '*2026*' }, true],
    [{ fileReference: 'P-*-*17' }, false],
    [{ fileReference: 'P-2026/1*/17' }, false],
    [{ sender: 'personal@*' }, true],
    [{ recipient: 'eva@*' }, true],
    [{ recipient: 'eva@*', sender: 'bau@*' }, false],
  ])('%j: %s', (match, fits) => expect(matched(match)).toBe(fits));

  it('is the first that fits, and none where none does', () => {
    const found = classOf(letter, classes({ match: { kinds: ['inbound'] } }, {}, {}));
    expect(found?.name).toBe('k1');
    expect(classOf(letter, [])).toBeNull();
  });

  it('finds with a pattern what a whole look finds', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', '*'), maxLength: 12 });
    fc.assert(
      fc.property(
        text.map((t) => t.replaceAll('*', 'c')),
        text.filter((t) => t !== ''),
        (fileReference, pattern) => {
          const whole = new RegExp(`^${pattern.replaceAll('*', '.*')}$`).test(fileReference);
          const one = { ...letter, fileReference };
          expect(classOf(one, classes({ match: { fileReference: pattern } })) !== null).toBe(whole);
        },
      ),
    );
  });

  it('looks for a pattern of many parts in linear time', () => {
    const one = { ...letter, fileReference: 'a'.repeat(200) };
    expect(classOf(one, classes({ match: { fileReference: `${'a*'.repeat(99)}b` } }))).toBeNull();
  });
});

describe('until when it is kept', () => {
  const zone = 'Europe/Berlin';
  it.each([
    // The year ends at midnight of the office.
    ['2026-03-01T08:00:00Z', '10y', 'year-end', '2036-12-31T23:00:00.000Z'],
    ['2026-12-31T22:59:59Z', '1y', 'year-end', '2027-12-31T23:00:00.000Z'],
    ['2026-12-31T23:00:00Z', '1y', 'year-end', '2028-12-31T23:00:00.000Z'],
    ['2026-03-01T08:00:00Z', '6mo', 'year-end', '2027-06-30T22:00:00.000Z'],
    ['2026-03-01T08:00:00Z', '2mo', 'year-end', '2027-02-28T23:00:00.000Z'],
    ['2026-03-01T08:00:00Z', '90d', 'year-end', '2027-03-31T22:00:00.000Z'],
    ['2026-03-01T08:00:00Z', '90d', 'last-entry', '2026-05-30T22:00:00.000Z'],
    ['2028-02-29T12:00:00Z', '1y', 'last-entry', '2029-02-28T23:00:00.000Z'],
    ['2026-08-31T12:00:00Z', '6mo', 'last-entry', '2027-02-28T23:00:00.000Z'],
  ] as const)('%s, %s from %s: %s', (last, keep, from, until) => {
    const [rule] = classes({ keep, from });
    expect(new Date(keptUntil(rule!, Date.parse(last), zone)!).toISOString()).toBe(until);
  });

  it('is never, where the class says so', () => {
    expect(keptUntil(classes({ keep: 'forever' })[0]!, 0, zone)).toBeNull();
  });

  it('is never before the period has passed whole', () => {
    const years = fc.integer({ min: 1, max: 99 });
    const times = fc.integer({ min: Date.UTC(2000, 0, 1), max: Date.UTC(2100, 0, 1) });
    fc.assert(
      fc.property(years, times, fc.constantFrom('year-end', 'last-entry'), (count, last, from) => {
        const until = keptUntil(classes({ keep: `${count}y`, from })[0]!, last, zone)!;
        const whole = new Date(last);
        whole.setUTCFullYear(whole.getUTCFullYear() + count);
        expect(until).toBeGreaterThan(whole.getTime() - 86_400_000);
      }),
    );
  });

  it('begins with the last entry that handles the letter, not with one that looks after it', () => {
    const at = (kind: string, time: string) => ({ kind, time }) as Entry;
    const entries = [
      at('submission', '2026-03-01T08:00:00.000Z'),
      at('confirmation', '2027-01-02T08:00:00.000Z'),
      at('verdict', '2031-01-01T00:00:00.000Z'),
      at('retention-hold', '2032-01-01T00:00:00.000Z'),
    ];
    expect(new Date(lastHandled(entries)).toISOString()).toBe('2027-01-02T08:00:00.000Z');
  });
});

describe('what the configuration may say', () => {
  const read = (one: object) =>
    retention.safeParse({ classes: [{ name: 'k', keep: '1y', legalBasis: 'x', ...one }] });
  it.each(['1y', '30y', '6mo', '3650d', 'forever'])('%s', (keep) =>
    expect(read({ keep }).success).toBe(true),
  );
  it.each(['0d', '1', '1m', '-1y', 'ever', '999999d', '1000y'])('not %s', (keep) => {
    expect(read({ keep }).success).toBe(false);
  });
  it('needs a legal basis', () => expect(read({ legalBasis: '' }).success).toBe(false));
});
