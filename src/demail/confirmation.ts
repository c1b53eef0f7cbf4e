/** Confirmations of dispatch, receipt and retrieval (TR-01201 IO 3.5.1), without any check of signatures. */
import type { ConfirmationType } from '../evidence/entry.ts';
import type { HeaderField } from '../mime/header.ts';
import type { MessageIndex, PartIndex } from '../mime/types.ts';
import { decodeParameter } from '../mime/words.ts';
import { type MessageType, readMetadata } from './metadata.ts';
import { addressesOf, parseRecipientList } from './recipients.ts';
import { childElements, parseXml } from './xml.ts';

const NAMESPACE = 'urn:de-mail';

/** A header of the original message, as the confirmation repeats it. */
interface OriginalHeader {
  readonly name: string;
  /** Unfolded. */
  readonly value: string;
  /** As received, folding kept: what was hashed. XML may have turned its CRLF into LF. */
  readonly originalHeader: string;
}

export interface Confirmation {
  readonly type: ConfirmationType;
  /** System address that issued it. */
  readonly sender: string;
  readonly subject: string;
  readonly text: string;
  /** The complete X-de-mail-integrity value of the original. */
  readonly hash: string;
  /** Time as RFC 3339 (retrieval: of the login), null where it is no such time. */
  readonly statedTime: string | null;
  /** Retrieval: when the message was deposited. */
  readonly deliveryTime: string | null;
  /** The original's headers in the order given. */
  readonly original: readonly OriginalHeader[];
  /** Private-id and provider's message id among them. */
  readonly originalPrivateId: string | null;
  readonly originalMessageId: string | null;
  /** Lower-case addresses that it speaks of; empty where it does not say. */
  readonly recipients: readonly string[];
}

export type ConfirmationResult =
  | { readonly ok: true; readonly confirmation: Confirmation }
  | { readonly ok: false; readonly reason: string };

const typeOf: Partial<Record<MessageType, ConfirmationType>> = {
  'confirmation of dispatch': 'dispatch',
  'confirmation of receipt': 'receipt',
  'confirmation of retrieve': 'retrieval',
};

/** The kind of confirmation that a header announces: the message type decides, the subject never does. */
export function confirmationType(fields: readonly HeaderField[]): ConfirmationType | null {
  const { messageType } = readMetadata(fields);
  return messageType === null ? null : (typeOf[messageType] ?? null);
}

/**
 * Reads a confirmation from its header and the decoded XML of its attachment. Never throws.
 *
 * Type and recipient do not stand in the XML: both come from the header. A dispatch confirmation speaks of
 * all recipients of the original, the others of the one in Cc of the chosen recipients.
 */
export function readConfirmation(fields: readonly HeaderField[], xml: Buffer): ConfirmationResult {
  const type = confirmationType(fields);
  if (type === null) return refuse('the message type is none of a confirmation');
  const parsed = parseXml(xml);
  if (!parsed.ok) return parsed;
  const { root } = parsed;
  if (root.localName !== 'Acknowledge-Message' || root.namespaceURI !== NAMESPACE) {
    return refuse(`the XML is no Acknowledge-Message of ${NAMESPACE}`);
  }
  const values = new Map<string, string>();
  for (const name of ['Sender', 'Subject', 'Text', 'Hash', 'Time', 'DeliveryTime']) {
    const found = childElements(root, NAMESPACE, name);
    if (found.length > 1) return refuse(`the XML has ${found.length} elements ${name}`);
    if (found.length === 0 && name !== 'DeliveryTime') return refuse(`the XML has no element ${name}`);
    if (found[0] !== undefined) values.set(name, found[0].textContent ?? '');
  }
  const metadata = childElements(root, NAMESPACE, 'Metadata');
  if (metadata.length !== 1) return refuse(`the XML has ${metadata.length} elements Metadata`);
  const original = childElements(metadata[0]!, NAMESPACE, 'Metadate').map((element) => {
    const text = (name: string) => childElements(element, NAMESPACE, name)[0]?.textContent ?? '';
    return { name: text('Name').trim(), value: text('Value').trim(), originalHeader: text('OriginalHeader') };
  });
  return {
    ok: true,
    confirmation: {
      type,
      sender: values.get('Sender')!.trim(),
      subject: values.get('Subject')!,
      text: values.get('Text')!,
      hash: values.get('Hash')!.trim(),
      statedTime: readTime(values.get('Time')),
      deliveryTime: readTime(values.get('DeliveryTime')),
      original,
      originalPrivateId:
        originalValue(original, 'x-de-mail-private-id') ?? originalValue(original, 'x-de-mail-privat-id'),
      originalMessageId: originalValue(original, 'x-de-mail-message-id'),
      recipients: recipientsOf(type, fields, original),
    },
  };
}

/** The part that holds a message's XML: by type, else by file name. Null where there is none. */
export function findXmlPart(index: MessageIndex): PartIndex | null {
  const leaves = leavesOf(index.root);
  const named = (part: PartIndex) =>
    decodeParameter(part.disposition?.params ?? [], 'filename') ?? decodeParameter(part.params, 'name') ?? '';
  return (
    leaves.find(({ type, subtype }) => subtype === 'xml' && (type === 'application' || type === 'text')) ??
    leaves.find((part) => named(part).toLowerCase().endsWith('.xml')) ??
    null
  );
}

/** The first value under that lower-case name among the original's headers. */
function originalValue(original: readonly OriginalHeader[], lower: string): string | null {
  return original.find(({ name }) => name.toLowerCase() === lower)?.value ?? null;
}

function recipientsOf(
  type: ConfirmationType,
  fields: readonly HeaderField[],
  original: readonly OriginalHeader[],
): string[] {
  const chosenByOriginal = parseRecipientList(originalValue(original, 'x-de-mail-chosen-recipient') ?? '');
  const originals = unique(addressesOf(chosenByOriginal));
  if (type === 'dispatch') return originals;
  const chosen = readMetadata(fields).chosenRecipients;
  const inCc = unique(chosen?.cc.map(({ address }) => address) ?? []);
  if (inCc.length > 0) return inCc;
  // Without Cc: a recipient of the original that it is sent to, else the only one there was.
  const addressed = chosen?.to.map(({ address }) => address).filter((address) => originals.includes(address));
  if (addressed !== undefined && addressed.length > 0) return unique(addressed);
  return originals.length === 1 ? originals : [];
}

function unique(list: readonly string[]): string[] {
  return [...new Set(list)];
}

/** Parts without children, messages within the message left out. */
function leavesOf(part: PartIndex): PartIndex[] {
  if (part.type === 'multipart') return part.parts.flatMap(leavesOf);
  return part.parts.length === 0 ? [part] : [];
}

/** xs:dateTime with a time zone is an RFC 3339 time; without one it names no moment. */
function readTime(value: string | undefined): string | null {
  const text = value?.trim() ?? '';
  const valid = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/.test(text);
  return valid && !Number.isNaN(Date.parse(text)) ? text : null;
}

function refuse(reason: string): ConfirmationResult {
  return { ok: false, reason };
}
