/** The metadata of a De-Mail: every header of TR-01201 IO 3.1, the topmost occurrence of each. */
import type { DemailFacts, DispatchOption } from '../evidence/entry.ts';
import { normaliseAddress, parseAddressList } from '../mime/address.ts';
import { findField, type HeaderField } from '../mime/header.ts';
import { readOptions } from './options.ts';
import { addressesOf, parseRecipientList, type RecipientList } from './recipients.ts';

/** TR-01201 IO 3.1.12, as written there. */
const messageTypes = [
  'normal',
  'confirmation of dispatch',
  'confirmation of receipt',
  'confirmation of retrieve',
  'malware-acknowledge',
  'malware-notification',
  'notification',
  'identification',
] as const;
export type MessageType = (typeof messageTypes)[number];

export interface Metadata {
  /** One of the norm's types, however its words are parted; null where there is none or an unknown one. */
  readonly messageType: MessageType | null;
  /** The header as it stands. */
  readonly messageTypeRaw: string | null;
  readonly options: readonly DispatchOption[];
  /** addr-spec in lower case. */
  readonly sender: string | null;
  readonly chosenRecipients: RecipientList | null;
  readonly actualRecipients: RecipientList | null;
  /** Addresses of the topmost Envelope-to, in lower case. */
  readonly envelopeTo: readonly string[];
  readonly privateId: string | null;
  /** X-de-mail-message-id as it stands. */
  readonly messageId: string | null;
  /** As it stands: `normal` or `high`. */
  readonly authLevel: string | null;
  readonly authMechanism: string | null;
  readonly originatorProvider: string | null;
  readonly version: string | null;
  readonly accountHolder: string | null;
  readonly notificationType: string | null;
  readonly integrity: string | null;
  readonly signatureCertificate: string | null;
  readonly resent: {
    readonly to: string | null;
    readonly from: string | null;
    readonly date: string | null;
    readonly messageId: string | null;
  };
  readonly from: string | null;
  readonly replyTo: string | null;
  readonly subject: string | null;
  readonly date: string | null;
  /** RFC 5322 Message-ID as it stands. */
  readonly internetMessageId: string | null;
}

/** Reads the metadata. Total: what is missing is null, what is unknown is kept as it stands. */
export function readMetadata(fields: readonly HeaderField[]): Metadata {
  const text = (name: string) => findField(fields, name)?.value ?? null;
  const norm = (name: string) => text(`x-de-mail-${name}`);
  const recipients = (value: string | null) => (value === null ? null : parseRecipientList(value));
  const sender = norm('sender');
  const type = norm('message-type');
  return {
    messageType: readMessageType(type),
    messageTypeRaw: type,
    options: readOptions(fields),
    sender: sender === null ? null : normaliseAddress(sender),
    chosenRecipients: recipients(norm('chosen-recipient')),
    actualRecipients: recipients(norm('actual-recipient')),
    envelopeTo: readAddresses(text('envelope-to')),
    // One sender in the field spells it `privat-id`; the topmost of both counts.
    privateId:
      fields.find(({ lower }) => lower === 'x-de-mail-private-id' || lower === 'x-de-mail-privat-id')
        ?.value ?? null,
    messageId: norm('message-id'),
    authLevel: norm('auth-level'),
    authMechanism: norm('auth-mechanism'),
    originatorProvider: norm('originator-provider'),
    version: norm('version'),
    accountHolder: norm('account-holder'),
    notificationType: norm('notification-type'),
    integrity: norm('integrity'),
    signatureCertificate: norm('signature-certificate'),
    resent: {
      to: text('resent-to'),
      from: text('resent-from'),
      date: text('resent-date'),
      messageId: text('resent-message-id'),
    },
    from: text('from'),
    replyTo: text('reply-to'),
    subject: text('subject'),
    date: text('date'),
    internetMessageId: text('message-id'),
  };
}

/** What an evidence entry keeps of the metadata. */
export function toDemailFacts(metadata: Metadata): DemailFacts {
  return {
    messageType: metadata.messageType ?? metadata.messageTypeRaw,
    messageId: metadata.messageId,
    privateId: metadata.privateId,
    sender: metadata.sender,
    authLevel: metadata.authLevel,
    originatorProvider: metadata.originatorProvider,
    options: metadata.options,
    chosenRecipients: metadata.chosenRecipients === null ? [] : addressesOf(metadata.chosenRecipients),
    envelopeTo: metadata.envelopeTo,
  };
}

/** What a message is for the gateway. A missing or unknown type counts as an ordinary De-Mail. */
export function messageKind(type: MessageType | null): 'normal' | 'confirmation' | 'notification' {
  switch (type) {
    case 'confirmation of dispatch':
    case 'confirmation of receipt':
    case 'confirmation of retrieve':
      return 'confirmation';
    case 'malware-acknowledge':
    case 'malware-notification':
    case 'notification':
    case 'identification':
      return 'notification';
    default:
      return 'normal';
  }
}

/** Spaces and hyphens are read alike: providers write `confirmation-of-dispatch` as well. */
function readMessageType(value: string | null): MessageType | null {
  const words = (text: string) =>
    text
      .trim()
      .toLowerCase()
      .replace(/[\s-]+/g, ' ');
  return value === null ? null : (messageTypes.find((type) => words(type) === words(value)) ?? null);
}

function readAddresses(value: string | null): string[] {
  if (value === null) return [];
  const list = parseAddressList(value).filter(({ local, domain }) => local !== '' && domain !== '');
  return [...new Set(list.map(({ address }) => address.toLowerCase()))];
}
