import { expect, it } from 'vitest';
import type { Entry } from './entry.ts';
import { createClaimCheck } from './object-claims.ts';

const rows = new Map([
  ['at-a', { number: 7, size: 10, hasStructure: true }],
  ['at-b', { number: 3, size: 20, hasStructure: false }],
  ['at-header', { number: 5, size: 5, hasStructure: false }],
  ['at-far', { number: 2 ** 60, size: 1, hasStructure: true }],
]);
const source = {
  objectRow: (_: string, object: string) => rows.get(object) ?? null,
  keyed: (_: string, sha256: string) => `at-${sha256}`,
};
const fact = (sha256: string, size: number, object = `at-${sha256}`) => ({ object, sha256, size });
const submission = (message: ReturnType<typeof fact>) =>
  ({ kind: 'submission', message }) as unknown as Entry;
const intent = (letter: number, header = fact('header', 5)) =>
  ({ kind: 'handover-intent', letter, handed: { header } }) as unknown as Entry;

function claimsOf(entries: readonly Entry[]) {
  const told: string[] = [];
  const check = createClaimCheck(
    source,
    'stadt',
    (place, problem) => told.push(`${place}: ${problem}`),
    true,
  );
  entries.forEach((entry, index) => {
    check.entry(index, entry);
  });
  const { rows: named, handed } = check.end();
  return { told, rows: [...named], handed: [...handed] };
}

it('gives rows once, in their order, and hand-overs by the row of the submitted object', () => {
  const entries = [submission(fact('a', 10)), submission(fact('a', 10)), intent(0), intent(1), intent(0)];
  expect(claimsOf(entries)).toEqual({
    told: [],
    rows: [5, 7],
    handed: [
      { row: 7, entry: 2 },
      { row: 7, entry: 3 },
      { row: 7, entry: 4 },
    ],
  });
});

it('names once what does not fit, however many entries name it', () => {
  const { told, handed } = claimsOf([
    submission(fact('b', 21)),
    submission(fact('b', 21)),
    submission(fact('c', 1)),
    submission(fact('c', 1)),
    submission(fact('other', 10, 'at-a')),
    submission(fact('far', 1)),
    intent(2),
    intent(99),
  ]);
  expect(told).toEqual([
    'object at-b: its row says 20 bytes, entry 0 21',
    'object at-b: its structure index is missing',
    'object at-c: missing; entry 2 names it',
    'object at-a: entry 4 says other content (SHA-256 other, 10 bytes)',
    'object at-far: its row has a number that no database gives: it cannot be read by it',
  ]);
  expect(handed).toEqual([]);
});
