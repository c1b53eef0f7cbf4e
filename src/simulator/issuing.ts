/** Issuing confirmations and notifications: composed, sealed, laid into the mailboxes they are for. */
import { headerValue, topmost } from './header.ts';
import { composeIdentification, type IdentificationOrder } from './identification.ts';
import { reseal, type Sealed } from './integrity.ts';
import { type Lie, type Lies, openMemory, stranger } from './lies.ts';
import type { ConfirmationKind, Faults } from './options.ts';
import { addressOf, mailboxesOf } from './recipients.ts';
import type { Signer } from './signer.ts';
import {
  type ConfirmationOrder,
  composeConfirmation,
  composeNotification,
  type NotificationOrder,
} from './system-mail.ts';
import { type Letterhead, norm } from './system-message.ts';

export type Certified = Omit<ConfirmationOrder, 'about' | 'privateIdOf' | 'to'>;

export interface Issuing {
  /** To the sender, and to the recipients too unless it is of dispatch. */
  confirm(order: Certified): Promise<void>;
  /** To the sender, and to those in `cc`; `to` sends it to somebody else. */
  notify(original: Sealed['fields'], order: Notification): Promise<void>;
  /** To the audience, and to whom it identifies: ID IO 2.1.1. */
  identify(order: IdentificationOrder): Promise<void>;
  /** The recipient's copy of a letter, as a provider shows it who lies about letters too. */
  shown(message: Sealed): Promise<Sealed>;
}

export type Notification = Omit<NotificationOrder, 'original' | 'to' | 'time'> & { readonly to?: string };

export function openIssuing(
  faults: Faults,
  head: Letterhead,
  crookedSigner: (lies: Lies) => Promise<Signer>,
  layFor: (address: string, message: Sealed) => Promise<void>,
  now: () => Date,
): Issuing {
  const memory = openMemory<Sealed>();

  /** One confirmation, unless the provider is broken or lies. */
  async function composed(honestOrder: ConfirmationOrder): Promise<Sealed[]> {
    const lies = new Set(faults.lies);
    const previous = memory.previousLetter(honestOrder.original);
    const order: ConfirmationOrder = {
      ...honestOrder,
      ...(previous && lies.has('swapped') ? { about: previous } : {}),
      ...(previous && lies.has('private-id') ? { privateIdOf: previous } : {}),
    };
    const letterhead = { ...head, signer: await crookedSigner(lies) };
    const compose = (wanted: ConfirmationOrder) => composeConfirmation(wanted, letterhead, lies);
    const first = await compose(order);
    const before = memory.previousConfirmation(order.kind, first);
    return [
      first,
      ...(faults.duplicateConfirmations ? [first] : []),
      ...(before && lies.has('replayed') ? [before] : []),
      ...(lies.has('replayed-renamed') ? [await compose(order)] : []),
      ...(lies.has('stranger') ? [await compose({ ...order, recipients: [stranger] })] : []),
    ];
  }

  return {
    async confirm(order) {
      const to = confirmationAddress(order.original);
      const addresses = order.kind === 'dispatch' ? [to] : [to, ...order.recipients];
      for (const confirmation of await composed({ ...order, to })) {
        for (const address of addresses) await layFor(address, confirmation);
      }
    },
    async notify(original, order) {
      const to = order.to ?? confirmationAddress(original);
      const notification = await composeNotification({ ...order, original, to, time: now() }, head);
      for (const address of [to, ...(order.cc ?? [])]) await layFor(address, notification);
    },
    async identify(order) {
      const lies = new Set<Lie>(faults.lies);
      const identification = composeIdentification(
        order,
        { ...head, signer: await crookedSigner(lies) },
        lies,
      );
      for (const address of [order.audience, order.subject]) await layFor(address, identification);
    },
    async shown(message) {
      const lies = new Set<Lie>(faults.lies);
      if (lies.size === 0) return message;
      const signed = topmost(message.fields, 'X-de-mail-signature-certificate') !== undefined;
      return reseal(message, {
        domain: head.provider,
        selector: norm.selector,
        hash: head.hash,
        lies,
        ...(signed ? { signer: await crookedSigner(lies) } : {}),
      });
    },
  };
}

/** Was it asked for? */
export function asked(message: Sealed, kind: ConfirmationKind): boolean {
  const names = { dispatch: 'dispatch', receipt: 'receipt', retrieval: 'retrieve' };
  return headerValue(message.fields, `X-de-mail-confirmation-of-${names[kind]}`) === 'yes';
}

/** Confirmations go to Reply-To where there is one: FU 5.1, no. 10. */
export function confirmationAddress(original: Sealed['fields']): string {
  const replyTo = mailboxesOf(headerValue(original, 'Reply-To') ?? '')?.[0];
  return replyTo ?? addressOf(headerValue(original, 'X-de-mail-sender') ?? '') ?? '';
}
