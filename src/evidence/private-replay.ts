/**
 * Replays the entries to what must be kept of private messages: a row that was deleted is a letter that reaches
 * nobody, or one that is opened without a record.
 */
import type { PrivateObject, WaitingAddress } from './audit.ts';
import type { Entry } from './entry.ts';
import { isPrivateEntry } from './private.ts';

export interface PrivateReplay {
  entry(entry: Entry): void;
  compare(stored: {
    readonly waiting: Iterable<WaitingAddress>;
    readonly objects: Iterable<PrivateObject>;
    /** An object may outlive the entry that first said that it is private. */
    isErased(index: number): boolean;
  }): { place: string; problem: string }[];
}

export function createPrivateReplay(): PrivateReplay {
  const waiting = new Map<string, WaitingAddress>();
  const objects = new Map<string, number>();
  const name = ({ index, address }: Omit<WaitingAddress, 'object'>) => `${index} ${address}`;
  return {
    entry(entry) {
      switch (entry.kind) {
        case 'inbound':
        case 'confirmation':
        case 'notification':
          if (!isPrivateEntry(entry)) break;
          if (!objects.has(entry.message.object)) objects.set(entry.message.object, entry.index);
          for (const address of entry.waitsFor ?? []) {
            const one = { index: entry.index, address, object: entry.message.object };
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
        const place = `waiting message ${one.index}`;
        const expected = missing.get(name(one));
        missing.delete(name(one));
        if (expected === undefined)
          findings.push({
            place,
            problem: `it waits for ${one.address || 'nobody named'}, but by the entries it does not`,
          });
        else if (expected.object !== one.object)
          findings.push({ place, problem: `column object says ${one.object}, its entry ${expected.object}` });
      }
      for (const { index, address } of missing.values())
        findings.push({
          place: `waiting message ${index}`,
          problem: `by the entries it waits for ${address || 'nobody named'}, but it does not`,
        });
      const unmarked = new Map(objects);
      for (const { object, index } of stored.objects) {
        const expected = unmarked.get(object);
        unmarked.delete(object);
        if (expected !== index && !stored.isErased(index))
          findings.push({
            place: `private message ${object}`,
            problem: `column idx says entry ${index}, ${expected === undefined ? 'but no entry says that it is private' : `the first to say so is entry ${expected}`}`,
          });
      }
      for (const [, index] of unmarked)
        findings.push({ place: `message of entry ${index}`, problem: 'it is private, but not marked so' });
      return findings;
    },
  };
}
