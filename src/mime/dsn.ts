/** Delivery status notifications (RFC 3464) in German or English. */
import { type Entity, message, multipart, rawEntity, textEntity, writeFields } from './compose.ts';
import { formatDate } from './date.ts';
import { type NoticeInput, noticeFields } from './notice.ts';

type DsnAction = 'failed' | 'delayed' | 'relayed' | 'delivered';

interface DsnRecipient {
  readonly address: string;
  /** RFC 3461 ORCPT, `type;address`. */
  readonly orcpt?: string | null;
  readonly action: DsnAction;
  /** RFC 3463, such as 5.1.1; by default what the action implies. */
  readonly status?: string | null;
  /** The peer's reply as it came. */
  readonly diagnostic?: string | null;
  /** Name of the peer that said so. */
  readonly remoteMta?: string | null;
  readonly lastAttempt?: Date | null;
  /** Delayed: until when attempts go on. */
  readonly willRetryUntil?: Date | null;
  /** A line for people. */
  readonly note?: string | null;
}

export interface DsnInput extends Omit<NoticeInput, 'subject' | 'text' | 'attachments'> {
  readonly language: 'de' | 'en';
  /** FQDN of the gateway. */
  readonly reportingMta: string;
  /** RFC 3461 ENVID. */
  readonly envid?: string | null;
  readonly arrivalDate?: Date | null;
  /** Subject of the letter, decoded; shown to its sender. */
  readonly letterSubject?: string | null;
  readonly recipients: readonly DsnRecipient[];
  /** RET=HDRS: the header of the letter; RET=FULL: the whole of it. */
  readonly original: { readonly headers: Buffer } | { readonly message: Buffer };
}

/**
 * A multipart/report: what happened in words, the same for programs, and the letter or its header.
 *
 * @throws RangeError where there is no recipient, or an address holds control characters
 */
export function composeDsn(input: DsnInput): Buffer {
  if (input.recipients.length === 0) throw new RangeError('a delivery report needs at least one recipient');
  const report = multipart('multipart/report; report-type=delivery-status', [
    textEntity(explain(input)),
    { header: writeFields([['Content-Type', 'message/delivery-status']]), body: status(input) },
    original(input),
  ]);
  const fields = noticeFields({ ...input, subject: subject(input) }, 'auto-replied');
  return message([...fields, ...(input.headers ?? [])], report);
}

const texts = {
  de: {
    subject: {
      failed: 'Nicht zugestellt',
      delayed: 'Verzögert',
      relayed: 'Weitergegeben',
      delivered: 'Eingegangen',
    },
    lead: {
      failed: 'Ihre De-Mail konnte diesen Empfängern nicht zugestellt werden:',
      delayed: 'Ihre De-Mail ist für diese Empfänger noch nicht übergeben; die Versuche gehen weiter:',
      relayed: 'Ihre De-Mail wurde für diese Empfänger versandt; ob sie eingeht, wird nicht gemeldet:',
      delivered: 'Ihre De-Mail ist im Postfach dieser Empfänger eingegangen:',
    },
    until: 'Versuche bis',
    reply: 'Antwort',
    letter: 'Betreff',
    arrived: 'Angenommen am',
    closing: 'Diese Nachricht hat das De-Mail-Gateway geschrieben; Antworten darauf liest niemand.',
  },
  en: {
    subject: { failed: 'Not delivered', delayed: 'Delayed', relayed: 'Sent on', delivered: 'Delivered' },
    lead: {
      failed: 'Your De-Mail could not be delivered to these recipients:',
      delayed: 'Your De-Mail has not been handed over for these recipients yet; attempts go on:',
      relayed: 'Your De-Mail was sent on to these recipients; its arrival will not be reported:',
      delivered: 'Your De-Mail has arrived in the mailbox of these recipients:',
    },
    until: 'Attempts until',
    reply: 'Reply',
    letter: 'Subject',
    arrived: 'Accepted at',
    closing: 'The De-Mail gateway wrote this message; nobody reads replies to it.',
  },
} as const;

/** The gravest first: it names the report. */
const actions: readonly DsnAction[] = ['failed', 'delayed', 'relayed', 'delivered'];

function subject({ language, letterSubject, recipients }: DsnInput): string {
  const gravest = actions.find((action) => recipients.some((recipient) => recipient.action === action))!;
  const word = texts[language].subject[gravest];
  return letterSubject ? `${word}: ${letterSubject}` : word;
}

function explain(input: DsnInput): string {
  const text = texts[input.language];
  const lines: string[] = [];
  for (const action of actions) {
    const recipients = input.recipients.filter((recipient) => recipient.action === action);
    if (recipients.length === 0) continue;
    lines.push(text.lead[action], '');
    for (const recipient of recipients) {
      lines.push(`  ${oneLine(recipient.address)}`);
      if (recipient.diagnostic) lines.push(`    ${text.reply}: ${oneLine(recipient.diagnostic)}`);
      if (recipient.note) lines.push(`    ${oneLine(recipient.note)}`);
      if (recipient.willRetryUntil) lines.push(`    ${text.until}: ${formatDate(recipient.willRetryUntil)}`);
    }
    lines.push('');
  }
  if (input.letterSubject) lines.push(`${text.letter}: ${oneLine(input.letterSubject)}`);
  if (input.arrivalDate) lines.push(`${text.arrived}: ${formatDate(input.arrivalDate)}`);
  lines.push('', text.closing, '');
  return lines.join('\n');
}

/** RFC 3464 2.2 and 2.3: one group of fields for the message, one for each recipient. */
function status(input: DsnInput): Buffer {
  const perMessage = writeFields([
    ['Original-Envelope-Id', ascii(input.envid)],
    ['Reporting-MTA', `dns; ${ascii(input.reportingMta)}`],
    ['Arrival-Date', input.arrivalDate ? formatDate(input.arrivalDate) : null],
  ]);
  const groups = input.recipients.map((recipient) =>
    writeFields([
      ['Original-Recipient', originalRecipient(recipient.orcpt)],
      ['Final-Recipient', `rfc822; ${ascii(recipient.address)}`],
      ['Action', recipient.action],
      ['Status', statusCode(recipient)],
      ['Remote-MTA', recipient.remoteMta ? `dns; ${ascii(recipient.remoteMta)}` : null],
      ['Diagnostic-Code', recipient.diagnostic ? `smtp; ${ascii(recipient.diagnostic)}` : null],
      ['Last-Attempt-Date', recipient.lastAttempt ? formatDate(recipient.lastAttempt) : null],
      ['Will-Retry-Until', recipient.willRetryUntil ? formatDate(recipient.willRetryUntil) : null],
    ]),
  );
  return Buffer.from([perMessage, ...groups].join('\r\n'), 'latin1');
}

const classes: Readonly<Record<DsnAction, string>> = {
  failed: '5',
  delayed: '4',
  relayed: '2',
  delivered: '2',
};

/** The class of a status follows from the action (RFC 3464 2.3.4): a code that contradicts it is replaced. */
function statusCode({ action, status: code }: DsnRecipient): string {
  const expected = classes[action];
  return code && /^[245]\.\d{1,3}\.\d{1,3}$/.test(code) && code.startsWith(expected)
    ? code
    : `${expected}.0.0`;
}

function originalRecipient(orcpt: string | null | undefined): string | null {
  const text = ascii(orcpt);
  if (text === null) return null;
  const semicolon = text.indexOf(';');
  return semicolon === -1
    ? `rfc822; ${text}`
    : `${text.slice(0, semicolon).trim()}; ${text.slice(semicolon + 1).trim()}`;
}

function original(input: DsnInput): Entity {
  return 'message' in input.original
    ? rawEntity('message/rfc822', input.original.message)
    : rawEntity('text/rfc822-headers', input.original.headers);
}

const MAX_TEXT = 900;

function oneLine(text: string): string {
  return text
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .trim()
    .slice(0, MAX_TEXT)
    .toWellFormed();
}

/** Machine-readable fields are ASCII (RFC 3464 2.1). Null where nothing is left. */
function ascii(text: string | null | undefined): string | null {
  return text ? oneLine(text).replace(/[^ -~]/g, '?') || null : null;
}
