import { describe, expect, it } from 'vitest';
import type { DispatchOption } from './entry.ts';
import type { Fact, FactName } from './facts.ts';
import { letterKeywordNames, letterKeywords, optionKeywords } from './keywords.ts';

const fact = (recipient: string, name: FactName): Fact => ({
  letter: 1,
  recipient,
  fact: name,
  index: 2,
  time: '2026-03-01T08:00:00Z',
  detail: null,
});

describe('keywords of a letter', () => {
  it.each([
    ['nothing yet', [], []],
    ['dispatched for one of two', [fact('a', 'dispatched')], []],
    ['dispatched for both', [fact('a', 'dispatched'), fact('b', 'dispatched')], ['$DeMailDispatched']],
    [
      'received by both, one of them late in retrieving',
      [fact('a', 'received'), fact('b', 'received'), fact('b', 'retrieval-overdue')],
      ['$DeMailReceived', '$DeMailOverdue'],
    ],
    ['retrieved by both', [fact('a', 'retrieved'), fact('b', 'retrieved')], ['$DeMailRetrieved']],
    ['what else is known', [fact('a', 'handed-over'), fact('b', 'notified')], []],
  ])('%s', (_name, facts, expected) => {
    const keywords = letterKeywords(facts, ['a', 'b']);
    expect(keywords).toEqual(expected);
    for (const keyword of keywords) expect(letterKeywordNames).toContain(keyword);
  });

  it('say nothing of a letter without recipients', () => {
    expect(letterKeywords([fact('a', 'dispatched')], [])).toEqual([]);
  });
});

it.each<[readonly DispatchOption[], boolean, string[]]>([
  [[], false, []],
  [['dispatch', 'receipt'], false, []],
  [['private'], true, ['$DeMailPrivate']],
  [['authoritative'], false, ['$DeMailAuthoritative']],
  [['retrieval', 'authoritative'], true, ['$DeMailPrivate', '$DeMailAuthoritative']],
])('options %j, private: %s', (options, isPrivate, expected) => {
  expect(optionKeywords(options, isPrivate)).toEqual(expected);
});
