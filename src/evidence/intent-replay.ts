/**
 * Replays the entries to the intents that have no outcome: one that was taken from the list is a login, or a deletion at
 * the provider, of which nobody will ever say how it ended.
 */
import type { Entry } from './entry.ts';

export interface IntentReplay {
  entry(entry: Entry): void;
  compare(stored: Iterable<number>): { place: string; problem: string }[];
}

export function createIntentReplay(): IntentReplay {
  const open = new Set<number>();
  return {
    entry(entry) {
      if (entry.kind === 'login-intent' || entry.kind === 'deletion-intent') open.add(entry.index);
      if (entry.kind === 'login-outcome' || entry.kind === 'deletion-outcome') open.delete(entry.intent);
    },
    compare(stored) {
      const listed = new Set(stored);
      const differing = (indexes: ReadonlySet<number>, problem: string) =>
        [...indexes].map((index) => ({ place: `open intent ${index}`, problem }));
      return [
        ...differing(listed.difference(open), 'it is listed, but by the entries it is none'),
        ...differing(open.difference(listed), 'by the entries it has no outcome, but it is not listed'),
      ];
    },
  };
}
