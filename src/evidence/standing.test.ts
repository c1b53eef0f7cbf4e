import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ConfirmationType, Entry } from './entry.ts';
import { type Fact, factsOf } from './facts.ts';
import { type LaterVerdict, standingFacts } from './standing.ts';

const max = 'max@buerger.de-mail.example';
const erna = 'erna@buerger.de-mail.example';
/** A Bcc recipient: a transaction of their own. */
const otto = 'otto@buerger.de-mail.example';
const people = [max, erna, otto];
const types = ['dispatch', 'receipt', 'retrieval'] as const;

/** What may happen to a letter, in any order but this: a later verdict comes after what it judges. */
type Happening =
  | { readonly kind: 'handover'; readonly recipient: string; readonly accepted: boolean }
  | { readonly kind: 'notified'; readonly recipient: string }
  | { readonly kind: 'overdue'; readonly type: ConfirmationType; readonly recipient: string }
  | {
      readonly kind: 'confirmation';
      readonly type: ConfirmationType;
      readonly recipients: readonly string[];
      readonly counts: 'yes' | 'provisional' | 'no';
      readonly later: readonly ('valid' | 'indeterminate' | 'invalid' | 'counts')[];
    };

const person = fc.constantFrom(...people);
const happening: fc.Arbitrary<Happening> = fc.oneof(
  fc.record({ kind: fc.constant('handover'), recipient: person, accepted: fc.boolean() }),
  fc.record({ kind: fc.constant('notified'), recipient: person }),
  fc.record({ kind: fc.constant('overdue'), type: fc.constantFrom(...types), recipient: person }),
  fc.record({
    kind: fc.constant('confirmation'),
    type: fc.constantFrom(...types),
    recipients: fc.constantFrom([max], [erna], [max, erna], [otto]),
    counts: fc.constantFrom('yes', 'provisional', 'no'),
    later: fc.subarray(['indeterminate', 'counts', 'invalid'] as const),
  }),
);

const LETTER = 0;
const common = { v: 1, tenant: 'stadt', time: '2026-01-05T08:00:00.000Z' } as const;

/** The log as it is where the happenings' steps are taken in the order of `picks`. */
function logOf(happenings: readonly Happening[], picks: readonly number[]): Entry[] {
  const steps = happenings.map((h) => [h, ...(h.kind === 'confirmation' ? h.later : [])]);
  const at = happenings.map(() => 0);
  const own = happenings.map(() => -1);
  const log: Entry[] = [];
  const queue = picks.flatMap((pick) => (happenings.length > 0 ? [pick % happenings.length] : []));
  const rest = steps.flatMap((list, i) => list.map(() => i));
  for (const i of [...queue, ...rest]) {
    const step = steps[i]![at[i]!];
    if (step === undefined) continue;
    const index = log.length + 1;
    if (at[i] === 0) own[i] = index;
    at[i]! += 1;
    log.push({ ...common, index, ...bodyOf(happenings[i]!, step, own[i]!) } as Entry);
  }
  return log;
}

function bodyOf(of: Happening, step: Happening | string, about: number): object {
  if (typeof step === 'string' && of.kind === 'confirmation') {
    const counted = of.counts !== 'no' || of.later.includes('counts');
    const base = { kind: 'verdict', about, letter: LETTER, checks: [], material: [] };
    const { recipients, type } = of;
    if (step === 'counts' && of.counts === 'no') {
      const confirms = {
        confirmation: type,
        transaction: 0,
        statedTime: null,
        counts: 'yes',
        comparisons: [],
      };
      return { ...base, recipients, verdict: 'valid', confirms };
    }
    const verdict = step === 'counts' ? 'valid' : step;
    return { ...base, recipients: counted ? recipients : [], verdict };
  }
  const base = { letter: LETTER, transaction: 0 };
  switch (of.kind) {
    case 'handover':
      return {
        ...base,
        kind: 'handover-outcome',
        result: 'done',
        recipients: [{ address: of.recipient, result: of.accepted ? 'accepted' : 'refused', reply: '-' }],
      };
    case 'notified':
      return { ...base, kind: 'notification', notification: 'other', recipients: [of.recipient] };
    case 'overdue':
      return { ...base, kind: 'overdue', confirmation: of.type, recipients: [of.recipient], since: '-' };
    case 'confirmation':
      return {
        ...base,
        kind: 'confirmation',
        confirmation: of.type,
        recipients: of.recipients,
        counts: of.counts,
        statedTime: null,
      };
  }
}

function standing(log: readonly Entry[]): string[] {
  const facts = log.flatMap(factsOf);
  const verdicts = log.filter((e): e is Extract<Entry, { kind: 'verdict' }> => e.kind === 'verdict');
  return namesOf(standingFacts(facts, verdicts));
}

function namesOf(facts: readonly Fact[]): string[] {
  return [...new Set(facts.map(({ recipient, fact }) => `${recipient} ${fact}`))].sort();
}

const happenings = fc.array(happening, { maxLength: 10 });
const picks = fc.array(fc.nat(9), { minLength: 30, maxLength: 30 });

describe('facts that stand', () => {
  it('are the same in whatever order everything came', () => {
    fc.assert(
      fc.property(happenings, picks, picks, (what, first, second) => {
        expect(standing(logOf(what, first))).toEqual(standing(logOf(what, second)));
      }),
      { numRuns: 500 },
    );
  });

  it('are the same where everything came twice', () => {
    fc.assert(
      fc.property(happenings, picks, picks, (what, first, second) => {
        const twice = what.flatMap((h) => [h, h]);
        expect(standing(logOf(twice, second))).toEqual(standing(logOf(what, first)));
      }),
    );
  });

  it('do not depend on the order in which they are read', () => {
    fc.assert(
      fc.property(happenings, picks, (what, order) => {
        const log = logOf(what, order);
        expect(standing(log.toReversed())).toEqual(standing(log));
      }),
    );
  });

  it('say of each recipient what is known of that recipient', () => {
    fc.assert(
      fc.property(happenings, picks, person, (what, order, who) => {
        const alone = (e: Entry) => factsOf(e).every(({ recipient }) => recipient === who);
        const log = logOf(what, order);
        const mine = standing(log).filter((name) => name.startsWith(who));
        const own = log.filter((e) => e.kind === 'confirmation' || e.kind === 'verdict' || alone(e));
        expect(standing(own).filter((name) => name.startsWith(who))).toEqual(mine);
      }),
    );
  });

  const fact = (index: number, name: Fact['fact'], recipient = max): Fact => ({
    letter: LETTER,
    recipient,
    fact: name,
    index,
    time: common.time,
    detail: null,
  });
  const invalid = (index: number, about: number): LaterVerdict => ({ index, about, verdict: 'invalid' });

  it.each<[string, Fact[], LaterVerdict[], string[]]>([
    ['silence lasts', [fact(1, 'receipt-overdue')], [], [`${max} receipt-overdue`]],
    [
      'a late confirmation ends it for its recipient alone',
      [fact(1, 'receipt-overdue'), fact(1, 'receipt-overdue', erna), fact(2, 'received')],
      [],
      [`${erna} receipt-overdue`, `${max} received`],
    ],
    [
      'an invalid one ends nothing',
      [fact(1, 'receipt-overdue'), fact(2, 'received'), fact(3, 'disputed')],
      [invalid(3, 2)],
      [`${max} disputed`, `${max} receipt-overdue`],
    ],
    [
      'a good one of the same kind ends the dispute',
      [fact(2, 'received'), fact(3, 'disputed'), fact(4, 'received')],
      [invalid(3, 2)],
      [`${max} received`],
    ],
    [
      'a good one of another kind does not',
      [fact(2, 'received'), fact(3, 'disputed'), fact(4, 'dispatched')],
      [invalid(3, 2)],
      [`${max} dispatched`, `${max} disputed`],
    ],
    [
      'what counted later and is invalid at last states nothing',
      [fact(3, 'received'), fact(5, 'disputed')],
      [{ index: 3, about: 2, verdict: 'indeterminate' }, invalid(5, 2)],
      [`${max} disputed`],
    ],
  ])('%s', (_name, facts, verdicts, expected) => {
    expect(namesOf(standingFacts(facts, verdicts))).toEqual(expected);
  });
});
