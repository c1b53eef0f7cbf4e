/** Mails that the provider itself writes: confirmations and notifications, TR-01201 IO 3.4.1 and 3.5. */
import libmime from 'libmime';
import {
  type Acknowledgement,
  acknowledgementXml,
  hashOf,
  metadataOf,
  notificationXml,
  type Statement,
} from './confirmation-xml.ts';
import { type Field, headerValue, makeField, topmost } from './header.ts';
import type { Sealed } from './integrity.ts';
import { honest, type Lies, twistStatement, twistXml } from './lies.ts';
import type { ConfirmationKind } from './options.ts';
import { statementPdf } from './statement-pdf.ts';
import { compose, type Letterhead, type Part } from './system-message.ts';
import type { NotificationType } from './undeliverable.ts';

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
    parts: attachments(
      local,
      twistXml(acknowledgementXml(twistStatement(content, lies), head.signer, lies), lies),
      await statementPdf(content),
    ),
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
    parts: attachments(local, notificationXml(content), await statementPdf(content)),
  });
}

/** IO 3.4.1: the XML, and the same as PDF. */
function attachments(local: string, xml: string, pdf: Buffer): Part[] {
  const name = local.toLowerCase();
  return [
    { type: 'application/xml; charset=utf-8', file: `${name}.xml`, content: Buffer.from(xml) },
    { type: 'application/pdf', file: `${name}.pdf`, content: pdf },
  ];
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
