/**
 * Which facts stand. Facts only accumulate, in whatever order the provider's messages come; what holds by now
 * follows from all of them together, so that every order ends alike.
 */
import type { Verdict } from './entry.ts';
import { confirmedBy, type Fact, type FactName } from './facts.ts';

/** A verdict that came after the entry it judges. */
export interface LaterVerdict {
  /** Index of the verdict's own entry. */
  readonly index: number;
  readonly about: number;
  readonly verdict: Verdict;
}

const confirmed: ReadonlySet<FactName> = new Set(Object.values(confirmedBy));
/** Facts that a later verdict can take away or end. */
export const judgedFacts: ReadonlySet<FactName> = new Set([...confirmed, 'disputed']);
const answers: Partial<Record<FactName, FactName>> = {
  'dispatch-overdue': 'dispatched',
  'receipt-overdue': 'received',
  'retrieval-overdue': 'retrieved',
};

/**
 * Those of one letter's facts that stand by now, in the order given. A confirmation that turned out invalid states
 * nothing any more; `…-overdue` ends with the confirmation, however late; `disputed` ends once another confirmation
 * says the same for that recipient. Pure; the order of `facts` and `verdicts` does not matter.
 */
export function standingFacts(facts: readonly Fact[], verdicts: readonly LaterVerdict[]): Fact[] {
  const judged = new Map(verdicts.map(({ index, about }) => [index, about]));
  const origin = ({ index }: Fact) => judged.get(index) ?? index;
  const latest = new Map<number, LaterVerdict>();
  for (const verdict of verdicts) {
    if ((latest.get(verdict.about)?.index ?? -1) < verdict.index) latest.set(verdict.about, verdict);
  }
  const holds = (fact: Fact) => confirmed.has(fact.fact) && latest.get(origin(fact))?.verdict !== 'invalid';
  const name = (fact: FactName, { letter, recipient }: Fact) => `${letter} ${fact} ${recipient}`;
  const held = new Set(facts.filter(holds).map((fact) => name(fact.fact, fact)));
  const saidBy = new Map<string, FactName>();
  for (const fact of facts) {
    if (confirmed.has(fact.fact)) saidBy.set(`${origin(fact)} ${fact.recipient}`, fact.fact);
  }
  return facts.filter((fact) => {
    if (confirmed.has(fact.fact)) return holds(fact);
    const ended =
      fact.fact === 'disputed' ? saidBy.get(`${origin(fact)} ${fact.recipient}`) : answers[fact.fact];
    return ended === undefined || !held.has(name(ended, fact));
  });
}
