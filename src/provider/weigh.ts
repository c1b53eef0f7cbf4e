/**
 * What a confirmation is worth: which letter it fits, whom it speaks of, and whether it counts. Weighed when it comes,
 * and again later where it did not count.
 */
import type { ConfirmationEntry } from '../evidence/entry.ts';
import type { Store } from '../store/store.ts';
import type { Binder, Binding } from './bind.ts';
import type { Judgement } from './judge.ts';
import { confirmedRecipients, type Match, matchLetter, matchReceived } from './match.ts';
import type { Reading } from './reading.ts';

export interface Weighed extends Pick<ConfirmationEntry, 'letter' | 'transaction' | 'matchedBy'> {
  /** The transaction of ours that it fits; null for a De-Mail received, and where it fits nothing. */
  readonly match: Match | null;
  readonly recipients: readonly string[];
  /** Null where it fits nothing. */
  readonly binding: Binding | null;
}

export async function weighConfirmation(
  store: Store,
  tenant: string,
  binder: Binder,
  reading: Reading,
  judgement: Judgement,
): Promise<Weighed> {
  const match = await matchLetter(store, tenant, reading);
  const received = match === null ? await matchReceived(store, tenant, reading) : null;
  const recipients = confirmedRecipients(reading, match ?? received);
  // What it says itself is compared, also where that is none of the letter's recipients.
  const stated = reading.confirmation?.recipients.length ? reading.confirmation.recipients : recipients;
  if (match !== null) {
    const binding = await binder.confirmation(reading, match, stated, judgement);
    const { letter, transaction, matchedBy } = match;
    return { match, letter, transaction, matchedBy, recipients, binding };
  }
  if (received === null)
    return { match, letter: null, transaction: null, matchedBy: null, recipients, binding: null };
  const binding = await binder.received(reading, received, stated, judgement);
  return { match, letter: received.letter, transaction: null, matchedBy: 'message-id', recipients, binding };
}
