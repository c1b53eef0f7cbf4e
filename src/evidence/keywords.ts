/**
 * What a mail client shows of a letter, as IMAP keywords on its copies. A keyword about several recipients stands only
 * once it holds for each of them; one that warns stands as soon as it holds for one.
 */
import type { DispatchOption, Verdict } from './entry.ts';
import type { Fact, FactName } from './facts.ts';

const verdictKeyword = {
  valid: '$DeMailValid',
  indeterminate: '$DeMailIndeterminate',
  invalid: '$DeMailInvalid',
} as const;
export const verdictKeywords: readonly string[] = Object.values(verdictKeyword);

/** On a copy of a confirmation that does not count. */
export const NOT_COUNTED = '$DeMailNotCounted';

/**
 * Options of a De-Mail that must be told apart in a list of messages (TR-01201 FU 3.1.2.2), as its header states them.
 * @param isPrivate also where its header does not say so, as of a retrieval confirmation
 */
export function optionKeywords(options: readonly DispatchOption[], isPrivate: boolean): string[] {
  return [
    ...(isPrivate || options.includes('private') ? ['$DeMailPrivate'] : []),
    ...(options.includes('authoritative') ? ['$DeMailAuthoritative'] : []),
  ];
}

/** Keywords of this name state facts: nobody but the gateway sets them. */
export function isGatewayKeyword(flag: string): boolean {
  return flag.toLowerCase().startsWith('$demail');
}

export function keywordOf(verdict: Exclude<Verdict, 'not-checked'>): string {
  return verdictKeyword[verdict];
}

const forAll: readonly (readonly [FactName, string])[] = [
  ['dispatched', '$DeMailDispatched'],
  ['received', '$DeMailReceived'],
  ['retrieved', '$DeMailRetrieved'],
];
const overdue: readonly FactName[] = ['dispatch-overdue', 'receipt-overdue', 'retrieval-overdue'];
const OVERDUE = '$DeMailOverdue';

/** Every keyword that `letterKeywords` may give: those of it that no longer hold are taken off. */
export const letterKeywordNames: readonly string[] = [...forAll.map(([, keyword]) => keyword), OVERDUE];

/**
 * @param standing the letter's facts that stand (standing.ts)
 * @param recipients all of the letter's
 */
export function letterKeywords(standing: readonly Fact[], recipients: readonly string[]): string[] {
  const known = new Set(standing.map(({ fact, recipient }) => `${fact} ${recipient}`));
  const keywords = forAll
    .filter(
      ([fact]) => recipients.length > 0 && recipients.every((recipient) => known.has(`${fact} ${recipient}`)),
    )
    .map(([, keyword]) => keyword);
  return standing.some(({ fact }) => overdue.includes(fact)) ? [...keywords, OVERDUE] : keywords;
}
