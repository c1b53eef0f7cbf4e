/** The XML of confirmations and notifications: TR-01201 IO 3.5. */
import { asText, type Field, rawValue, unfoldedValue } from './header.ts';
import { honest, type Lies } from './lies.ts';
import type { Signer } from './signer.ts';
import { element, signatureXml } from './xml-signature.ts';

/** What a confirmation or notification says: in XML and, the same, in PDF. */
export interface Statement {
  /** System address of the issuer. */
  readonly sender: string;
  readonly subject: string;
  readonly text: string;
  readonly time: Date;
}

export interface Acknowledgement extends Statement {
  /** Every metadata header of the original: IO 3.5.1, table 24. */
  readonly metadata: readonly Field[];
  /** The original's X-de-mail-integrity value, folds kept. */
  readonly hash: string;
  /** Retrieval only: when the message was laid into the mailbox. */
  readonly deliveryTime?: Date;
}

/** Headers of IO 3.1.1, table 1, that are repeated in a confirmation. */
export function metadataOf(fields: readonly Field[]): Field[] {
  const seen = new Set<string>();
  return fields.filter(({ name }) => {
    const key = name.toLowerCase();
    const wanted = /^(x-de-mail-.*|from|to|date|message-id|subject|reply-to)$/.test(key) && !seen.has(key);
    seen.add(key);
    return wanted;
  });
}

/** `Acknowledge-Message` with an enveloped XMLDSig over the whole document. */
export function acknowledgementXml(content: Acknowledgement, signer: Signer, lies: Lies = honest): string {
  if (lies.has('wrapped-xml')) return wrappedXml(content, signer);
  const unsigned = unsignedXml(content);
  if (lies.has('unsigned-xml')) return `${unsigned}\n`;
  return withSignature(unsigned, signatureXml(unsigned, signer, { canonical: 'exclusive' }));
}

function withSignature(xml: string, signature: string): string {
  const end = xml.lastIndexOf('</Acknowledge-Message>');
  return `${xml.slice(0, end)}${signature}${xml.slice(end)}\n`;
}

/** XML signature wrapping: what is signed is moved down, and something else stands in its place. */
function wrappedXml(content: Acknowledgement, signer: Signer): string {
  const id = 'bestaetigung';
  const signed = unsignedXml(content).replace('<Acknowledge-Message ', `<Acknowledge-Message Id="${id}" `);
  const signature = signatureXml(signed, signer, { canonical: 'exclusive', id });
  const forged = unsignedXml({ ...content, time: new Date(content.time.getTime() - 86_400_000) });
  const inner = signed.slice(signed.indexOf('\n') + 1);
  return withSignature(forged, `<Original>${inner}</Original>${signature}`);
}

function unsignedXml(content: Acknowledgement): string {
  const metadata = content.metadata.map((field) => {
    const name = element('Name', field.name);
    const value = element('Value', unfoldedValue(field));
    return `<Metadate>${name}${value}${element('OriginalHeader', asText(field.raw))}</Metadate>`;
  });
  const { deliveryTime } = content;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>\n<Acknowledge-Message xmlns="urn:de-mail">',
    element('Sender', content.sender),
    `<Metadata>${metadata.join('')}</Metadata>`,
    element('Subject', content.subject),
    element('Text', content.text),
    element('Hash', content.hash),
    element('Time', dateTime(content.time)),
    deliveryTime ? element('DeliveryTime', dateTime(deliveryTime)) : '',
    '</Acknowledge-Message>',
  ].join('');
}

/** `Notification-Message`: no signature inside (IO 3.5.3). */
export function notificationXml(content: Statement): string {
  return [
    '<?xml version="1.0" encoding="UTF-8"?>\n<Notification-Message xmlns="urn:de-mail">',
    element('Subject', content.subject),
    element('Text', content.text),
    element('Time', dateTime(content.time)),
    element('Sender', content.sender),
    '</Notification-Message>\n',
  ].join('');
}

/** Value of the integrity header as it goes into `Hash`. */
export function hashOf(integrity: Field): string {
  return asText(rawValue(integrity));
}

/** xs:dateTime, to the second, UTC. */
export function dateTime(time: Date): string {
  return `${time.toISOString().slice(0, 19)}Z`;
}
