/** How a submitted mail is handed over: who shares a transaction, and the header that the provider gets. */
import type { DispatchOption, HeaderEdit, Transaction } from '../evidence/entry.ts';
import { parseAddressList, replaceAddresses } from '../mime/address.ts';
import { formatDate } from '../mime/date.ts';
import { editHeader, type HeaderChange } from '../mime/edit.ts';
import type { HeaderField } from '../mime/header.ts';
import { isNormHeader, isProviderHeader, optionHeaders } from './options.ts';
import { recipientPieces } from './recipients.ts';
import { subjectAsSent } from './subject-tags.ts';

/** Maps an address (lower case) to its De-Mail form; undefined leaves it. */
type MapAddress = (address: string) => string | undefined;

export interface PlanInput {
  /** RCPT addresses of the submission, in De-Mail form. */
  readonly rcpt: readonly string[];
  readonly fields: readonly HeaderField[];
  /** Random bytes: a private-id must not be guessable. */
  readonly random: (bytes: number) => Buffer;
  /** What the client asked for as private-id. */
  readonly clientPrivateId?: string | undefined;
  /** The addresses in To and Cc may be internal ones; they are compared in De-Mail form. */
  readonly mapAddress?: MapAddress | undefined;
}

/**
 * One transaction for all recipients that To or Cc names, one of its own for every other: a blind copy has
 * its own message, which names nobody else's, and nobody else's names it (TR-01201 IO 3.1.8). Recipients
 * compare in lower case; one that is named twice counts once, in To before Cc.
 */
export function planTransactions(input: PlanInput): Transaction[] {
  const named = (header: string) =>
    new Set(
      input.fields
        .filter(({ lower }) => lower === header)
        .flatMap(({ value }) => parseAddressList(value))
        .map(({ address }) => address.toLowerCase())
        .map((address) => input.mapAddress?.(address)?.toLowerCase() ?? address),
    );
  const inTo = named('to');
  const inCc = named('cc');
  const rcpt = [...new Set(input.rcpt.map((address) => address.toLowerCase()))];
  const to = rcpt.filter((address) => inTo.has(address));
  const cc = rcpt.filter((address) => inCc.has(address) && !inTo.has(address));
  const bcc = rcpt.filter((address) => !inTo.has(address) && !inCc.has(address));
  const groups = bcc.map((address) => ({ to: [] as string[], cc: [] as string[], bcc: [address] }));
  if (to.length + cc.length > 0) groups.unshift({ to, cc, bcc: [] });
  return groups.map((group, id) => ({ id, privateId: makePrivateId(input), ...group }));
}

/** The transaction with those of its recipients that are still to be handed over. */
export function remainingTransaction(transaction: Transaction, recipients: readonly string[]): Transaction {
  const left = new Set(recipients.map((address) => address.toLowerCase()));
  const only = (list: readonly string[]) => list.filter((address) => left.has(address.toLowerCase()));
  return { ...transaction, to: only(transaction.to), cc: only(transaction.cc), bcc: only(transaction.bcc) };
}

/** Longest client's part: with the random part and the field name it fits one line of 998 bytes unfolded. */
const MAX_CLIENT_ID = 900;

/**
 * `<client's>.<32 hex digits>`. The norm allows 1024 characters of free text; what cannot stand in a header
 * line as it is gives way to `_`.
 */
function makePrivateId({ clientPrivateId, random }: PlanInput): string {
  const unique = random(16).toString('hex');
  const own = cleanPrivateId(clientPrivateId ?? '');
  return own === '' ? unique : `${own}.${unique}`;
}

function cleanPrivateId(text: string): string {
  return text
    .slice(0, 8 * MAX_CLIENT_ID)
    .replace(/\s+/g, ' ')
    .replace(/[^ -~]/g, '_')
    .trim()
    .slice(0, MAX_CLIENT_ID)
    .trim();
}

export interface HandoverHeaderInput {
  /** Header fields of the submitted message. */
  readonly fields: readonly HeaderField[];
  /** De-Mail address that the letter is sent from. */
  readonly sender: string;
  /** Address that From shall carry, whatever it carries now; without it `mapAddress` decides. */
  readonly fromDemail?: string | undefined;
  /** Exactly the recipients of this hand-over. */
  readonly transaction: Transaction;
  readonly options: readonly DispatchOption[];
  /** For a message without Message-ID: with its angle brackets. */
  readonly messageId: string;
  /** For a message without Date. */
  readonly date: Date;
  readonly mapAddress: MapAddress;
}

/** Fields whose addresses are those of the tenant's staff; a provider takes De-Mail addresses only (FU 3.3). */
const addressHeaders: ReadonlySet<string> = new Set([
  'from',
  'sender',
  'reply-to',
  'to',
  'cc',
  'disposition-notification-to',
  'return-receipt-to',
]);

const removedHeaders: ReadonlySet<string> = new Set(['bcc', 'return-path']);

/**
 * The header as handed over, its empty line included, with every change in `edits`. Whatever is not named
 * here keeps its bytes: Bcc, Return-Path and what only a provider may set go; the norm's headers for a
 * sender are written anew on top; internal addresses become De-Mail addresses in place.
 *
 * @throws RangeError where a value cannot be written as a header (see `writeField`).
 */
export function handoverHeader(input: HandoverHeaderInput): { bytes: Buffer; edits: HeaderEdit[] } {
  const { fields, transaction, options } = input;
  const changes: HeaderChange[] = [];
  const add = (name: string, value: string | { unfolded: string } | string[]) =>
    changes.push({ op: 'add', name, value });

  add('X-de-mail-sender', input.sender);
  add('X-de-mail-chosen-recipient', chosenRecipients(transaction));
  for (const option of options) add(optionHeaders[option], 'yes');
  // Not folded: a provider copies it into every confirmation, and it must come back as it is.
  add('X-de-mail-private-id', { unfolded: transaction.privateId });
  if (!fields.some(({ lower }) => lower === 'date')) add('Date', formatDate(input.date));
  if (!fields.some(({ lower }) => lower === 'message-id')) add('Message-ID', input.messageId);

  for (const field of fields) {
    if (isNormHeader(field.lower) || isProviderHeader(field.lower) || removedHeaders.has(field.lower)) {
      changes.push({ op: 'remove', field });
    } else if (addressHeaders.has(field.lower)) {
      const map = field.lower === 'from' && input.fromDemail ? () => input.fromDemail : input.mapAddress;
      const change = mapField(field, map);
      if (change !== null) changes.push(change);
    }
  }
  const subject = subjectAsSent(fields);
  if (subject !== undefined) changes.push({ op: 'replace', ...subject });
  return editHeader(fields, changes);
}

function chosenRecipients({ to, cc, bcc }: Transaction): string[] {
  const list = (addresses: readonly string[]) => addresses.map((address) => ({ name: null, address }));
  return recipientPieces({ to: list(to), cc: list(cc), bcc: list(bcc) });
}

/** The field with its addresses mapped where they stand, names and folding untouched. */
function mapField(field: HeaderField, map: MapAddress): HeaderChange | null {
  // Byte for character: positions in this text are positions in the field.
  const raw = field.raw.toString('latin1');
  const bodyAt = raw.indexOf(':', field.name.length) + 1;
  const before = raw.slice(bodyAt);
  const after = replaceAddresses(before, map);
  if (after === before) return null;
  const mapped = Buffer.from(raw.slice(0, bodyAt) + after, 'latin1');
  if (after.split('\n').some((line) => line.length > 900)) return refold(field, mapped);
  return { op: 'rewrite', field, raw: mapped };
}

/** A line that the new addresses made too long is broken after the separators of the list. */
function refold(field: HeaderField, mapped: Buffer): HeaderChange {
  const text = mapped.toString('latin1');
  const bodyAt = text.indexOf(':', field.name.length) + 1;
  const value = text.slice(bodyAt);
  const pieces: string[] = [];
  let from = 0;
  for (const { end } of parseAddressList(value)) {
    const comma = value.indexOf(',', end);
    if (comma === -1) break;
    pieces.push(value.slice(from, comma + 1));
    from = comma + 1;
  }
  pieces.push(value.slice(from).trimEnd());
  const lines = pieces.map((piece) => piece.replace(/\r?\n/g, '').trim());
  const raw = `${text.slice(0, bodyAt)} ${lines.filter(Boolean).join('\r\n ')}\r\n`;
  return { op: 'rewrite', field, raw: Buffer.from(raw, 'latin1') };
}
