/**
 * Made-up correspondence of an office, the same in every run: each exchange is a letter that goes out, is handed over and
 * confirmed twice, and one that comes in. 300 people of the office, 200,000 citizens in 40 domains; digests, ids and file
 * references that occur once.
 */
import { createHash } from 'node:crypto';
import type { EntryBody, ObjectFact } from '../src/evidence/entry.ts';

export const tenant = 'stadt';
/** Entries of one exchange. */
export const ENTRIES = 6;
/** Messages of one exchange that came or went: the letters and the confirmations. */
export const MESSAGES = 4;
/** Exchanges of a day. */
const DAILY = 1_000;
const MINUTE = 60_000;
const begin = Date.parse('2026-01-01T06:00:00Z');

/** Epoch milliseconds of an exchange. */
export function timeOf(exchange: number): number {
  return begin + Math.floor(exchange / DAILY) * 1440 * MINUTE + (exchange % DAILY) * 0.6 * MINUTE;
}

export const citizen = (exchange: number): string => {
  const n = (exchange * 48_271) % 200_000;
  return `vorname${n % 1_000}.nachname${n}@${n % 40 === 0 ? 'kanzlei' : 'buerger'}${n % 40}.de-mail.example`;
};
export const clerk = (exchange: number): string => `amt${(exchange * 31) % 300}@stadt.de-mail.example`;
export const messageId = (exchange: number): string =>
  `<${digest('id', exchange).slice(0, 24)}@stadt.example>`;
export const reference = (exchange: number): string => `32.1-${exchange}/2026`;
export const attachment = (exchange: number): string => digest('attachment', exchange);

function digest(what: string, exchange: number): string {
  return createHash('sha256').update(`${what} ${exchange}`).digest('hex');
}

function object(what: string, exchange: number): ObjectFact {
  return { object: digest(`address of ${what}`, exchange), sha256: digest(what, exchange), size: 20_480 };
}

/** The entries of one exchange. @param first index that its first entry gets */
export function* exchangeOf(exchange: number, first: number): Generator<EntryBody> {
  const privateId = `p-${digest('private', exchange).slice(0, 20)}`;
  const recipients = [citizen(exchange)];
  const subject = `Bescheid zum Antrag ${reference(exchange)}`;
  const about = { letter: first, transaction: 0, recipients };
  yield {
    kind: 'submission',
    actor: { type: 'user', name: 'erika@stadt.example', address: '10.0.0.7' },
    listener: 'relay',
    envelope: {
      from: clerk(exchange),
      recipients: recipients.map((address) => ({ address, notify: ['FAILURE'] })),
    },
    sender: clerk(exchange),
    header: { messageId: messageId(exchange), subject, from: clerk(exchange), date: null },
    message: object('letter', exchange),
    attachments: [
      { name: 'Bescheid.pdf', type: 'application/pdf', size: 18_000, sha256: attachment(exchange) },
    ],
    options: ['dispatch', 'receipt'],
    fileReference: reference(exchange),
    removedHeaders: [],
    transactions: [{ id: 0, privateId, to: recipients, cc: [], bcc: [] }],
    delivered: [{ owner: 'erika@stadt.example', mailbox: 'Gesendet', reason: 'copy of what was sent' }],
  };
  yield {
    kind: 'handover-intent',
    ...about,
    attempt: 1,
    endpoint: 'smtp.provider.example:587',
    handed: {
      sha256: digest('handed', exchange),
      size: 20_700,
      header: object('header', exchange),
      bodyFrom: 610,
    },
    edits: [{ op: 'add', name: 'X-de-mail-private-id', after: privateId }],
  };
  yield {
    kind: 'handover-outcome',
    letter: first,
    transaction: 0,
    attempt: 1,
    result: 'done',
    recipients: recipients.map((address) => ({ address, result: 'accepted', reply: '250 2.1.5 Ok' })),
    reply: '250 2.0.0 Ok: queued as 4Ww1',
    peer: { endpoint: 'smtp.provider.example:587', certificate: digest('certificate', 0) },
  };
  for (const confirmation of ['dispatch', 'receipt'] as const)
    yield {
      kind: 'confirmation',
      ...about,
      ...arrived(confirmation, exchange, `${confirmation} of ${subject}`, 'provider@de-mail.example', [
        clerk(exchange),
      ]),
      confirmation,
      statedTime: new Date(timeOf(exchange)).toISOString(),
      matchedBy: 'private-id',
      counts: 'yes',
    };
  yield {
    kind: 'inbound',
    ...arrived('inbound', exchange, `Antwort auf ${reference(exchange)}`, citizen(exchange + 77), [
      clerk(exchange),
    ]),
  };
}

function arrived(what: string, exchange: number, subject: string, sender: string, to: readonly string[]) {
  return {
    source: { account: 'stadt', folder: 'INBOX', uidValidity: '1', uid: exchange },
    message: object(what, exchange),
    header: {
      messageId: `<${digest(`${what} id`, exchange).slice(0, 24)}@provider.example>`,
      subject,
      from: sender,
      date: null,
    },
    demail: {
      messageType: 'normal',
      messageId: `${digest(`${what} id`, exchange).slice(0, 24)}@provider.example`,
      privateId: null,
      sender,
      authLevel: 'normal',
      originatorProvider: 'provider.example',
      options: [],
      chosenRecipients: to,
      envelopeTo: to,
    },
    attachments: [
      {
        name: 'Anlage.pdf',
        type: 'application/pdf',
        size: 9_000,
        sha256: digest(`${what} attachment`, exchange),
      },
    ],
    verdict: 'valid',
    delivered: [{ owner: 'erika@stadt.example', mailbox: 'INBOX', reason: to[0]! }],
  } as const;
}
