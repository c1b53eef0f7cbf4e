/** Mails that the provider itself writes: confirmations and notifications, TR-01201 IO 3.4.1 and 3.5. */
import { randomUUID } from 'node:crypto';
import libmime from 'libmime';
import {
  type Acknowledgement,
  acknowledgementXml,
  hashOf,
  metadataOf,
  notificationXml,
  type Statement,
} from './confirmation-xml.ts';
import { encodeText, type Field, headerValue, makeField, topmost } from './header.ts';
import { type Sealed, seal } from './integrity.ts';
import { honest, type Lies, twistStatement, twistXml } from './lies.ts';
import type { ConfirmationKind } from './options.ts';
import { printRecipients } from './recipients.ts';
import type { HashName, Signer } from './signer.ts';
import { statementPdf } from './statement-pdf.ts';
import type { NotificationType } from './undeliverable.ts';

/** What every mail of this provider has in common. */
export interface Letterhead {
  /** FQDN. */
  readonly provider: string;
  readonly providerName: string;
  readonly hash: HashName;
  readonly signer: Signer;
}

export const norm = { version: '1.8', selector: 'simulator' } as const;

const kinds = {
  dispatch: {
    type: 'confirmation of dispatch',
    local: 'Versandbestaetigung',
    title: 'Versandbestätigung',
    text: 'Hiermit wird bestätigt, dass die Nachricht mit den folgenden Angaben an den Empfänger versandt wurde.',
  },
  receipt: {
    type: 'confirmation of receipt',
    local: 'Eingangsbestaetigung',
    title: 'Eingangsbestätigung',
    text: 'Hiermit wird bestätigt, dass die Nachricht mit den folgenden Angaben im Postfach des Empfängers abgelegt wurde.',
  },
  retrieval: {
    type: 'confirmation of retrieve',
    local: 'Abholbestaetigung',
    title: 'Abholbestätigung',
    text: 'Hiermit wird bestätigt, dass sich der Empfänger der Nachricht mit den folgenden Angaben an seinem De-Mail-Konto sicher angemeldet hat.',
  },
  malware: {
    type: 'malware-acknowledge',
    local: 'Schadsoftware-Warnung',
    title: 'Schadsoftware-Warnung',
    // FU 6.5, step 56: what was asked for, and that nobody can be taken to have read it.
    text: 'In der Nachricht mit den folgenden Angaben, für die eine Bestätigung angefordert worden ist, wurde Schadsoftware gefunden. Die Nachricht wurde gelöscht. Von einer Kenntnisnahme durch den Empfänger kann nicht ausgegangen werden.',
  },
} as const;

export interface ConfirmationOrder {
  readonly kind: ConfirmationKind | 'malware';
  /** The sealed original. */
  readonly original: readonly Field[];
  /** A liar's: the letter of which the XML speaks, and the one whose private-id the header has. */
  readonly about?: readonly Field[];
  readonly privateIdOf?: readonly Field[];
  /** Where it goes: the sender, or Reply-To. */
  readonly to: string;
  /** Receipt and retrieval: the recipient it speaks of, who gets a copy. */
  readonly recipients: readonly string[];
  readonly time: Date;
  readonly deliveredAt?: Date;
}

export async function composeConfirmation(
  order: ConfirmationOrder,
  head: Letterhead,
  lies: Lies = honest,
): Promise<Sealed> {
  const { kind, time } = order;
  const original = order.about ?? order.original;
  const { type, local, title } = kinds[kind];
  const claimed = lies.has('xml-type') ? kinds[kind === 'receipt' ? 'dispatch' : 'receipt'] : kinds[kind];
  const provider = lies.has('forged-sender') ? 'angreifer.de-mail.example' : head.provider;
  const sender = `${local}@${provider}`;
  const originalSubject = decoded(headerValue(original, 'Subject') ?? '');
  const sealed = topmost(original, 'X-de-mail-integrity');
  const integrity = sealed ? hashOf(sealed) : '';
  const lines = [
    ...(order.deliveredAt ? [`Zeitpunkt des Eingangs der Nachricht: ${german(order.deliveredAt)} Uhr`] : []),
    `Absender: ${headerValue(original, 'X-de-mail-sender')}`,
    `Empfänger: ${order.recipients.join(', ')}`,
    `Datum: ${german(time)} Uhr`,
    `Betreff: ${originalSubject}`,
    `Nachrichten-ID: ${headerValue(original, 'X-de-mail-message-id')}`,
    `Prüfsumme: ${integrity.replaceAll(/\r\n\s*/g, ' ')}`,
  ];
  const content: Acknowledgement = {
    sender: `${claimed.local}@${head.provider}`,
    subject: `${claimed.title}: ${originalSubject}`,
    text: `${claimed.text}\n\n${lines.join('\n')}\n\nDie Bestätigung erfolgte durch ${head.providerName}, ${head.provider}`,
    time,
    metadata: metadataOf(original),
    hash: integrity,
    ...(order.deliveredAt ? { deliveryTime: order.deliveredAt } : {}),
  };
  const cc = kind === 'dispatch' ? [] : order.recipients;
  // FU 3.3.5: a retrieval confirmation is always private, the others as their original.
  const isPrivate = kind === 'retrieval' ? 'yes' : (headerValue(order.original, 'X-de-mail-private') ?? 'no');
  return compose({
    head,
    signed: !lies.has('unsigned'),
    lies,
    sender,
    to: order.to,
    cc,
    subject: `*${title}* ${originalSubject}`,
    type,
    time,
    original: order.original,
    privateIdOf: order.privateIdOf ?? order.original,
    extra: [makeField('X-de-mail-private', isPrivate)],
    fileName: local.toLowerCase(),
    xml: twistXml(acknowledgementXml(twistStatement(content, lies), head.signer, lies), lies),
    pdf: await statementPdf(content),
  });
}

export interface NotificationOrder {
  readonly type: NotificationType;
  readonly original: readonly Field[];
  readonly to: string;
  /** Recipients who are told as well. */
  readonly cc?: readonly string[];
  /** Default: hash only. */
  readonly signed?: boolean;
  /** `malware-notification` instead of `notification`: FU 6.5, step 56. */
  readonly malware?: boolean;
  readonly subject: string;
  readonly text: string;
  readonly time: Date;
}

/** Hash-only unless ordered otherwise, as IO 3.1.13 permits for notifications. */
export async function composeNotification(order: NotificationOrder, head: Letterhead): Promise<Sealed> {
  const local = order.malware ? kinds.malware.local : 'Meldung';
  const sender = `${local}@${head.provider}`;
  const subject = `${order.subject}: ${decoded(headerValue(order.original, 'Subject') ?? '')}`;
  const content: Statement = { sender, subject, text: order.text, time: order.time };
  return compose({
    head,
    signed: order.signed ?? false,
    sender,
    to: order.to,
    cc: order.cc ?? [],
    subject,
    type: order.malware ? 'malware-notification' : 'notification',
    time: order.time,
    original: order.original,
    extra: [makeField('X-de-mail-notification-type', order.type)],
    fileName: local.toLowerCase(),
    xml: notificationXml(content),
    pdf: await statementPdf(content),
  });
}

interface Draft {
  readonly head: Letterhead;
  readonly signed: boolean;
  readonly lies?: Lies;
  readonly sender: string;
  readonly to: string;
  readonly cc: readonly string[];
  readonly subject: string;
  readonly type: string;
  readonly time: Date;
  readonly original: readonly Field[];
  readonly privateIdOf?: readonly Field[];
  readonly extra: readonly Field[];
  readonly fileName: string;
  readonly xml: string;
  readonly pdf: Buffer;
}

function compose(draft: Draft): Sealed {
  const { head, original } = draft;
  const boundary = `=_${randomUUID()}`;
  const messageId = newMessageId(head.provider);
  const recipients = printRecipients({ to: [draft.to], cc: draft.cc, bcc: [] });
  const about = headerValue(original, 'Message-ID');
  const privateId = topmost(draft.privateIdOf ?? original, 'X-de-mail-private-id');
  const fields = [
    makeField('From', draft.sender),
    makeField('To', draft.to),
    ...(draft.cc.length > 0 ? [makeField('Cc', draft.cc.join(', '))] : []),
    makeField('Date', mailDate(draft.time)),
    makeField('Message-ID', messageId),
    ...(about ? [makeField('In-Reply-To', about), makeField('References', about)] : []),
    makeField('Subject', encodeText(draft.subject)),
    makeField('Auto-Submitted', 'auto-generated'),
    makeField('X-de-mail-sender', draft.sender),
    makeField('X-de-mail-chosen-recipient', recipients),
    makeField('X-de-mail-actual-recipient', recipients),
    makeField('X-de-mail-originator-provider', head.provider),
    makeField('X-de-mail-message-type', draft.type),
    makeField('X-de-mail-version', norm.version),
    ...(privateId ? [privateId] : []),
    makeField('X-de-mail-message-id', messageId),
    ...draft.extra,
    makeField('MIME-Version', '1.0'),
    { name: 'Content-Type', raw: `Content-Type: multipart/mixed;\r\n boundary="${boundary}"` },
  ];
  const body = Buffer.from(
    [
      part(boundary, 'application/xml; charset=utf-8', `${draft.fileName}.xml`, Buffer.from(draft.xml)),
      part(boundary, 'application/pdf', `${draft.fileName}.pdf`, draft.pdf),
      `--${boundary}--\r\n`,
    ].join(''),
    'latin1',
  );
  return seal(fields, body, {
    domain: head.provider,
    selector: norm.selector,
    hash: head.hash,
    ...(draft.lies ? { lies: draft.lies } : {}),
    ...(draft.signed ? { signer: head.signer } : {}),
  });
}

function part(boundary: string, type: string, file: string, content: Buffer): string {
  const base64 = content.toString('base64').replaceAll(/.{76}/g, '$&\r\n');
  return [
    `--${boundary}`,
    `Content-Type: ${type}; name="${file}"`,
    `Content-Disposition: attachment; filename="${file}"`,
    'Content-Transfer-Encoding: base64',
    '',
    base64.replace(/\r\n$/, ''),
    '',
  ].join('\r\n');
}

export function newMessageId(provider: string): string {
  return `<${randomUUID()}@${provider}>`;
}

/** RFC 5322 3.3, UTC. */
export function mailDate(time: Date): string {
  return time.toUTCString().replace('GMT', '+0000');
}

const germanFormat = new Intl.DateTimeFormat('de-DE', {
  timeZone: 'Europe/Berlin',
  dateStyle: 'medium',
  timeStyle: 'short',
});

function german(time: Date): string {
  return germanFormat.format(time).replace(',', '');
}

/** RFC 2047 words as text; what cannot be decoded stays as it is. */
function decoded(value: string): string {
  try {
    return libmime.decodeWords(value);
  } catch {
    return value;
  }
}
