/** From an accepted dialogue and a received message to what the store is asked to keep, or the reason why not. */

import { randomBytes } from 'node:crypto';
import type { Language } from '../config/schema.ts';
import { planTransactions } from '../demail/handover.ts';
import { forbiddenHeaders } from '../demail/options.ts';
import type { Directory } from '../directory/directory.ts';
import { depositPlace } from '../directory/mailboxes.ts';
import { type ErrorCode, GatewayError } from '../errors.ts';
import type { Actor, EnvelopeRecipient, HeaderFacts } from '../evidence/entry.ts';
import { parseAddressList } from '../mime/address.ts';
import type { HeaderField } from '../mime/header.ts';
import { decodeWords } from '../mime/words.ts';
import type { Deposit, Submission } from '../store/store.ts';
import { type ContentError, checkBody, checkHeader, fromAddress } from './content-policy.ts';
import { chooseOptions } from './dispatch-options.ts';
import type { Intake } from './intake.ts';
import { checkReplyTo } from './recipient-policy.ts';
import { checkFrom, type Identity, type Sender } from './sender-policy.ts';

/** What the dialogue settled before the message came. */
export interface Dialogue {
  readonly directory: Directory;
  readonly identity: Identity;
  readonly listener: string;
  readonly peerAddress: string;
  /** The envelope sender, checked. */
  readonly sender: Sender;
  readonly envelope: {
    readonly from: string;
    readonly recipients: readonly EnvelopeRecipient[];
    readonly ret?: string;
    readonly envid?: string;
  };
}

/**
 * Applies the rules for content, sender and options. Pure but for the random part of the private-ids.
 * @throws GatewayError of the catalogue
 */
export function composeSubmission(dialogue: Dialogue, intake: Intake): Submission {
  const { directory, identity, envelope } = dialogue;
  const { fields, message } = intake;
  const { language } = dialogue.sender.tenant;
  const refuseOn = (error: ContentError | undefined): void => {
    if (error !== undefined) throw toRefusal(error, language);
  };
  const unless = <T extends object | ErrorCode>(result: T): Exclude<T, ContentError | ErrorCode> => {
    if (typeof result === 'string') throw new GatewayError(result);
    if ('code' in (result as object)) throw toRefusal(result as unknown as ContentError, language);
    return result as Exclude<T, ContentError | ErrorCode>;
  };
  refuseOn(checkHeader(fields));
  const from = unless(fromAddress(fields)).address;
  const sender = unless(checkFrom(directory, identity, dialogue.sender, from));
  for (const address of addressesIn(fields, 'sender'))
    unless(checkFrom(directory, identity, dialogue.sender, address));
  refuseOn(checkReplyTo(directory, sender.tenant, fields));
  refuseOn(checkBody(message.index));
  const user = identity.type === 'user' ? identity.principal.user : undefined;
  const { options, optionSources, fileReference, ignored } = unless(
    chooseOptions({
      fields,
      tenant: sender.tenant,
      user,
      role: user?.role ?? (identity.type === 'relay' ? identity.relay.role : 'staff'),
      sender: sender.demail,
      deliveryReceipt: envelope.recipients.some(({ notify }) => notify?.includes('SUCCESS')),
    }),
  );
  const privateId = clientPrivateId(fields);
  return {
    actor: actorOf(identity, dialogue.peerAddress),
    listener: dialogue.listener,
    envelope,
    sender: sender.demail,
    header: headerFacts(fields, from),
    attachments: message.index.attachments,
    options,
    optionSources,
    ...(fileReference !== undefined && { fileReference }),
    ...(privateId !== undefined && { clientPrivateId: privateId }),
    removedHeaders: [...forbiddenHeaders(fields), ...ignored.map(({ name, value }) => ({ name, value }))],
    transactions: planTransactions({
      rcpt: envelope.recipients.map((recipient) => recipient.address),
      fields,
      random: randomBytes,
      clientPrivateId: privateId,
      mapAddress: (address) => directory.toDemail(sender.tenant, address),
    }),
    message,
    deposits: ownCopy(dialogue, from, options.includes('private')),
  };
}

function addressesIn(fields: readonly HeaderField[], lower: string): string[] {
  return fields
    .filter((field) => field.lower === lower)
    .flatMap((field) => parseAddressList(field.value))
    .map((mailbox) => mailbox.address);
}

/** TR-01201 IO 3.1: at most 1024 characters. One sender in the field spells the header `privat-id`. */
function clientPrivateId(fields: readonly HeaderField[]): string | undefined {
  const names = ['x-de-mail-private-id', 'x-de-mail-privat-id'];
  return fields.find((field) => names.includes(field.lower))?.value.slice(0, 1024);
}

/** The copy in the sender's own Gesendet; for a relay in the mailbox of the address, if it has one here. */
function ownCopy({ directory, identity, sender }: Dialogue, from: string, isPrivate: boolean): Deposit[] {
  const owner =
    identity.type === 'user'
      ? ({ type: 'user', name: identity.principal.user.login } as const)
      : directory.mailboxOf(sender.tenant, from);
  // Without the facade nobody would read a relay's copies; its own server keeps them.
  if (owner === undefined || (identity.type === 'relay' && !sender.tenant.delivery.facade)) return [];
  // Private mail lies in no shared mailbox, unless the configuration says so by name (TR-01201 FU 3.3).
  if (isPrivate && owner.type === 'shared' && !sender.tenant.privateMail.shared.includes(owner.name))
    return [];
  const place = depositPlace(sender.tenant, owner, 'sent');
  return [{ owner, ...place, reason: 'sent', prefix: Buffer.alloc(0), flags: ['\\Seen'] }];
}

function actorOf(identity: Identity, address: string): Actor {
  return identity.type === 'user'
    ? { type: 'user', name: identity.principal.user.login, address }
    : { type: 'relay', name: identity.relay.name, address };
}

function headerFacts(fields: readonly HeaderField[], from: string): HeaderFacts {
  const value = (lower: string): string | null =>
    fields.find((field) => field.lower === lower)?.value.slice(0, 998) ?? null;
  const subject = value('subject');
  return {
    messageId: value('message-id'),
    subject: subject === null ? null : decodeWords(subject).slice(0, 998),
    from,
    date: value('date'),
  };
}

function toRefusal({ code, detail }: ContentError, language: Language): GatewayError {
  return new GatewayError(code, typeof detail === 'object' ? detail[language] : detail);
}
