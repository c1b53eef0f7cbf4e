/**
 * Replays the entries to what must be kept of private messages: a row that was deleted is a letter that reaches
 * nobody, or one that is opened without a record.
 */
import type { WaitingAddress } from './audit.ts';
import type { Entry } from './entry.ts';
import { isPrivateEntry } from './private.ts';

export interface PrivateReplay {
  entry(entry: Entry): void;
  compare(stored: {
    readonly waiting: Iterable<WaitingAddress>;
    readonly objects: Iterable<string>;
  }): { place: string; problem: string }[];
}

export function createPrivateReplay(): PrivateReplay {
  const waiting = new Map<string, WaitingAddress>();
  const objects = new Map<string, number>();
  const name = ({ index, address }: WaitingAddress) => `${index} ${address}`;
  return {
    entry(entry) {
      switch (entry.kind) {
        case 'inbound':
        case 'confirmation':
        case 'notification':
          if (!isPrivateEntry(entry)) break;
          if (!objects.has(entry.message.object)) objects.set(entry.message.object, entry.index);
          for (const address of entry.waitsFor ?? []) {
            const one = { index: entry.index, address };
            waiting.set(name(one), one);
          }
          break;
        case 'placed':
          for (const address of entry.addresses) waiting.delete(name({ index: entry.about, address }));
          break;
      }
    },
    compare(stored) {
      const findings: { place: string; problem: string }[] = [];
      const missing = new Map(waiting);
      for (const one of stored.waiting) {
        if (!missing.delete(name(one)))
          findings.push({
            place: `waiting message ${one.index}`,
            problem: `it waits for ${one.address || 'nobody named'}, but by the entries it does not`,
          });
      }
      for (const { index, address } of missing.values())
        findings.push({
          place: `waiting message ${index}`,
          problem: `by the entries it waits for ${address || 'nobody named'}, but it does not`,
        });
      const marked = new Set(stored.objects);
      for (const [object, index] of objects)
        if (!marked.has(object))
          findings.push({ place: `message of entry ${index}`, problem: 'it is private, but not marked so' });
      return findings;
    },
  };
}
