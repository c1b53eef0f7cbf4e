/**
 * Mails that the gateway itself writes, to the sender of a letter or to the tenant's operators: composed,
 * recorded as evidence and placed into the INBOX in one commit.
 */
import { randomUUID } from 'node:crypto';
import type { TenantConfig } from '../config/schema.ts';
import type { Directory } from '../directory/directory.ts';
import { INBOX } from '../directory/mailboxes.ts';
import type { NoticeEntry } from '../evidence/entry.ts';
import { composeNotice, type NoticeInput } from '../mime/notice.ts';
import type { Clock } from '../observe/clock.ts';
import type { Deposit, Notice, Store } from '../store/store.ts';
import { type Route, routeFallback } from './route.ts';
import { stageMessage } from './staging.ts';
import { type OperatorMatter, operatorText, type Said, type Text } from './texts.ts';

/** A composed mail and what the log says about it. */
export interface Outgoing {
  readonly letter: number | null;
  readonly about: NoticeEntry['about'];
  /** For the log: what the mail tells. */
  readonly text: string;
  readonly bytes: Uint8Array;
  /** Recipients of the letter that it tells of. */
  readonly recipients?: readonly string[];
  /** Names it within the letter: a second one of that name is not sent. */
  readonly once?: string;
}

/** Records the mail and places it, by the route, into INBOX and the queue to the own server. */
export async function deliver(
  store: Store,
  tenant: TenantConfig,
  route: Route,
  outgoing: Outgoing,
): Promise<void> {
  const notice = await stageNotice(store, tenant, route, outgoing);
  await store.deliverNotice(tenant.id, notice, outgoing.once);
}

/** The mail as a command takes it that commits it together with what it tells. */
export async function stageNotice(
  store: Store,
  tenant: TenantConfig,
  route: Route,
  outgoing: Outgoing,
): Promise<Notice> {
  const { letter, about, text, recipients } = outgoing;
  const deposits = route.destinations.map(
    ({ owner, reason }): Deposit => ({ owner, mailbox: INBOX, reason, prefix: new Uint8Array(), flags: [] }),
  );
  const message = await stageMessage(store, tenant.id, [outgoing.bytes]);
  return {
    letter,
    about,
    text,
    ...(recipients === undefined ? {} : { recipients }),
    message,
    deposits,
    ...(route.forward.length === 0 ? {} : { forward: route.forward }),
  };
}

/** Every operator of the tenant, in the facade and at the own server. */
export function routeToOperators(directory: Directory, tenant: TenantConfig): Route {
  const { facade, forward } = tenant.delivery;
  const destinations = tenant.operators.flatMap((login) => {
    const owner = directory.mailboxOf(tenant, login);
    return facade && owner !== undefined ? [{ owner, reason: 'operator' }] : [];
  });
  const addresses = forward === undefined ? [] : [...tenant.operators];
  const route: Route = { destinations, forward: addresses, waiting: [], withheld: [] };
  return destinations.length + addresses.length > 0 ? route : routeFallback(directory, tenant);
}

/** Tells a tenant's operators; `once` names it within the letter (or among all, where that is null). */
export type TellOperators = (
  tenant: TenantConfig,
  told: {
    readonly text: Said;
    /** What the mail is about; a planned erasure is no incident. */
    readonly about?: OperatorMatter;
    readonly letter?: number | null;
    readonly once?: string;
  },
) => Promise<void>;

/** One mail to all operators. Its text names entries and addresses, never what a mail says. */
export function operatorTeller(deps: {
  readonly store: Store;
  readonly directory: () => Directory;
  readonly hostname: string;
  readonly clock: Clock;
}): TellOperators {
  const { store, directory, hostname, clock } = deps;
  return async (tenant, { text: said, about = 'incident', letter = null, once }) => {
    const text = said[tenant.language];
    const mail = operatorText(tenant.language, about, tenant.name, text);
    await deliver(store, tenant, routeToOperators(directory(), tenant), {
      letter,
      about,
      text,
      bytes: composeMail(hostname, new Date(clock.now()), tenant.operators, mail),
      ...(once === undefined ? {} : { once }),
    });
  };
}

/** Who a mail of the gateway is from, and under which name it is known. */
export function letterhead(hostname: string, now: Date): Pick<NoticeInput, 'from' | 'date' | 'messageId'> {
  return {
    from: { name: 'De-Mail-Gateway', address: `mailer-daemon@${hostname}` },
    date: now,
    messageId: `<${randomUUID()}@${hostname}>`,
  };
}

/** A plain mail. */
export function composeMail(
  hostname: string,
  now: Date,
  to: readonly string[],
  text: Text,
  inReplyTo: string | null = null,
): Buffer {
  return composeNotice({
    ...letterhead(hostname, now),
    to: to.map((address) => ({ address })),
    subject: text.subject,
    text: text.body,
    inReplyTo,
  });
}
