/** Which letter a confirmation, a notification or a Sent copy belongs to. */
import type { Entry, InboundEntry, SubmissionEntry } from '../evidence/entry.ts';
import type { Store } from '../store/store.ts';
import type { Reading } from './reading.ts';

export interface Match {
  readonly letter: number;
  readonly transaction: number;
  readonly matchedBy: 'private-id' | 'message-id';
  readonly submission: Entry & SubmissionEntry;
  /** Recipients of the transaction, lower case. */
  readonly recipients: readonly string[];
}

/**
 * By private-id, then by the provider's message id. A message whose header and XML name different private-ids
 * fits nothing: recipients can read a private-id, and could have put it there.
 */
export async function matchLetter(store: Store, tenant: string, reading: Reading): Promise<Match | null> {
  const { keys, conflict } = reading.correlation;
  if (conflict) return null;
  for (const { by, value } of keys) {
    const found =
      by === 'private-id'
        ? await store.byPrivateId(tenant, value)
        : await store.byProviderMessageId(tenant, value);
    if (found === null) continue;
    const submission = await store.submissionOf(tenant, found.letter);
    const transaction = submission?.transactions.find((t) => t.id === found.transaction);
    if (submission === null || transaction === undefined) continue;
    const recipients = [...transaction.to, ...transaction.cc, ...transaction.bcc].map((a) => a.toLowerCase());
    return { ...found, matchedBy: by, submission, recipients };
  }
  return null;
}

/** A De-Mail that came to the tenant, as a confirmation about it names it. */
export interface ReceivedMatch {
  readonly letter: number;
  readonly entry: Entry & InboundEntry;
  /** Whom it came for, lower case. */
  readonly recipients: readonly string[];
}

/** Copies of one De-Mail under one Message-ID: one for each recipient here. */
const MOST_COPIES = 50;

/**
 * The De-Mail received that a confirmation speaks of, by the original's Message-ID: receipt and retrieval
 * confirmations go to the recipient as well. Of several copies that for the recipient who is named.
 */
export async function matchReceived(
  store: Store,
  tenant: string,
  { confirmation, correlation }: Reading,
): Promise<ReceivedMatch | null> {
  const messageId = confirmation?.original.find(({ name }) => name.toLowerCase() === 'message-id')?.value;
  if (confirmation === null || !messageId || correlation.conflict) return null;
  const copies = await store.search({ tenant, kind: 'inbound', messageId, limit: MOST_COPIES });
  let found: ReceivedMatch | null = null;
  for (const { index } of copies) {
    const entry = await store.entry(tenant, index);
    if (entry?.kind !== 'inbound') continue;
    const { messageId: ofProvider, envelopeTo, chosenRecipients } = entry.demail;
    if (confirmation.originalMessageId !== null && ofProvider !== confirmation.originalMessageId) continue;
    const addressed = envelopeTo.length > 0 ? envelopeTo : chosenRecipients;
    const recipients = addressed.map((address) => address.toLowerCase());
    const match = { letter: index, entry, recipients };
    if (confirmation.recipients.some((address) => recipients.includes(address))) return match;
    found ??= match;
  }
  return found;
}

/** Recipients that a confirmation speaks of: never one that the letter did not have. */
export function confirmedRecipients(
  reading: Reading,
  match: Pick<Match, 'recipients'> | null,
): readonly string[] {
  const stated = reading.confirmation?.recipients ?? statedInHeader(reading);
  if (match === null) return stated;
  const own = stated.filter((address) => match.recipients.includes(address));
  if (own.length > 0) return own;
  const certain = reading.confirmationType === 'dispatch' || match.recipients.length === 1;
  return stated.length === 0 && certain ? match.recipients : [];
}

/**
 * A notification says in prose at best whom it is about. Where neither its header nor its text names a recipient
 * of the transaction, it is about all of them.
 */
export function notifiedRecipients(reading: Reading, match: Match | null): readonly string[] {
  const stated = statedInHeader(reading);
  if (match === null) return stated;
  const text = reading.notificationText?.toLowerCase() ?? '';
  const own = match.recipients.filter((address) => stated.includes(address) || mentions(text, address));
  return own.length > 0 ? own : match.recipients;
}

/** True where the address stands in the text, and not as a part of a longer one. */
function mentions(text: string, address: string): boolean {
  for (let at = text.indexOf(address); at >= 0; at = text.indexOf(address, at + 1)) {
    const before = text[at - 1] ?? ' ';
    const after = text.slice(at + address.length, at + address.length + 2);
    if (!/[a-z0-9._%+-]/.test(before) && !/^([a-z0-9-]|\.[a-z0-9])/.test(after)) return true;
  }
  return false;
}

/** The recipient of the original is the Cc within chosen-recipient (TR-01201 IO 3.4.1). */
function statedInHeader({ metadata }: Reading): readonly string[] {
  return metadata.chosenRecipients?.cc.map(({ address }) => address) ?? [];
}
