/**
 * Private De-Mails (TR-01201 FU 3.3) that nobody's mailbox may take: who is told, and how they reach a person in
 * the end. No notice says what is in them, nor what they are about.
 */
import type { TenantConfig } from '../config/schema.ts';
import { deliveredBlock } from '../demail/block.ts';
import type { Directory } from '../directory/directory.ts';
import { depositPlace, INBOX } from '../directory/mailboxes.ts';
import type { Actor, ConfirmationEntry, Entry, InboundEntry, NotificationEntry } from '../evidence/entry.ts';
import { keywordOf, optionKeywords } from '../evidence/keywords.ts';
import type { Clock } from '../observe/clock.ts';
import type { Log } from '../observe/log.ts';
import type { MailboxOwner, Store, WaitingMessage } from '../store/store.ts';
import { composeMail, deliver, type TellOperators } from './notices.ts';
import { type Rounds, startRounds } from './rounds.ts';
import { fitsNobody, type Route, routeWaiting, type Withheld } from './route.ts';
import { keptBack } from './scanning.ts';
import { incidentTexts, withheldText } from './texts.ts';

export interface PrivateMailDeps {
  readonly store: Store;
  readonly directory: () => Directory;
  readonly tenant: string;
  readonly hostname: string;
  readonly tell: TellOperators;
  readonly log: Log;
  readonly clock: Clock;
}

type Message = Entry & (InboundEntry | ConfirmationEntry | NotificationEntry);

export interface PlaceOrder {
  readonly tenant: string;
  /** The entry that brought the message. */
  readonly index: number;
  /** Login, or shared mailbox that the configuration names for private mail; absent: whom it is addressed to. */
  readonly to?: string | undefined;
  readonly actor: Actor;
  readonly reason: string;
}

export interface PrivateMail {
  /** Tells operators and those who would have found it elsewhere; the same is told once. */
  told(config: TenantConfig, index: number, route: Pick<Route, 'waiting' | 'withheld'>): Promise<void>;
  /** Places a message that waits. @throws Error that says why it cannot be */
  place(order: PlaceOrder): Promise<void>;
  /** Once a minute: does the configuration by now name a place for what waits? */
  readonly rounds: Rounds;
}

export function createPrivateMail(deps: PrivateMailDeps): PrivateMail {
  const { store, directory, tenant, log } = deps;
  /** Entries of which everybody was told since the start. */
  const known = new Set<number>();

  async function tellOperators(
    config: TenantConfig,
    index: number,
    waiting: readonly string[],
  ): Promise<void> {
    const addresses = waiting.filter((address) => address !== '');
    const text = incidentTexts.undeliverable(`${tenant}/${index}`, addresses);
    await deps.tell(config, { text, once: `undeliverable/${index}` });
  }

  async function told(
    config: TenantConfig,
    index: number,
    { waiting, withheld }: Pick<Route, 'waiting' | 'withheld'>,
  ): Promise<void> {
    if (withheld.length > 0) {
      const entry = await messageOf(store, tenant, index);
      for (const kept of withheld) if (entry !== null) await tellWithheld(deps, config, entry, kept);
    }
    if (waiting.length > 0) await tellOperators(config, index, waiting);
    known.add(index);
  }

  async function lookOnce(stopped: () => boolean): Promise<void> {
    for (const message of await store.waitingPrivate(tenant)) {
      const config = directory().tenant(tenant);
      if (config === undefined || stopped()) return;
      const { index, addresses } = message;
      // A crash right after the message was recorded has told nobody.
      if (!known.has(index)) {
        const withheld = addresses.flatMap((address) => routeWaiting(directory(), config, address).withheld);
        await told(config, index, { waiting: addresses, withheld });
      }
      const entry = await messageOf(store, tenant, index);
      if (entry !== null && (await keptBack(store, tenant, entry)) !== null) continue;
      for (const address of addresses) {
        const route = routeWaiting(directory(), config, address);
        if (fitsNobody(route)) continue;
        const actor: Actor = { type: 'gateway', name: 'configuration' };
        await put(deps, config, { index, addresses: [address] }, route, {
          actor,
          reason: 'the configuration names a place by now',
        });
        log.info({ tenant, index }, 'private De-Mail placed');
      }
    }
  }

  return {
    told,
    rounds: startRounds(deps, lookOnce, 'private De-Mails that wait could not be looked at'),
    async place({ index, to, actor, reason }) {
      const config = directory().tenant(tenant);
      const message = (await store.waitingPrivate(tenant)).find((one) => one.index === index);
      if (config === undefined || message === undefined)
        throw new Error(`${tenant}/${index} does not wait; what does is listed by: private list`);
      const route = to === undefined ? routesOf(deps, config, message) : routeTo(deps, config, to);
      await put(deps, config, message, route, { actor, reason });
      log.info({ tenant, index }, 'private De-Mail placed by an operator');
    },
  };
}

/** Where all addresses of the message lead by the configuration as it is. @throws Error where one leads nowhere */
function routesOf({ directory }: PrivateMailDeps, config: TenantConfig, message: WaitingMessage): Route {
  const routes = message.addresses.map((address) => routeWaiting(directory(), config, address));
  const lost = routes.findIndex(fitsNobody);
  if (lost >= 0)
    throw new Error(
      `the configuration names no place for ${message.addresses[lost] || 'it'}; say to whom it goes: --to LOGIN`,
    );
  const destinations = routes.flatMap((route) => route.destinations);
  return {
    destinations: destinations.filter(
      ({ owner }, i) => i === destinations.findIndex((other) => ownerName(other.owner) === ownerName(owner)),
    ),
    forward: [...new Set(routes.flatMap((route) => route.forward))],
    waiting: [],
    withheld: [],
  };
}

/** @throws Error where that is no person, and no shared mailbox that the configuration names for private mail */
function routeTo({ directory }: PrivateMailDeps, config: TenantConfig, to: string): Route {
  const principal = directory().user(to);
  const shared = config.privateMail.shared.includes(to);
  if (principal?.tenant.id !== config.id && !shared)
    throw new Error(`${to} is no login of ${config.id}, nor a shared mailbox named in privateMail.shared`);
  const owner =
    principal?.tenant.id === config.id
      ? ({ type: 'user', name: principal.user.login } as const)
      : ({ type: 'shared', name: to } as const);
  return { destinations: [{ owner, reason: 'operator' }], forward: [], waiting: [], withheld: [] };
}

async function put(
  { store, tenant }: PrivateMailDeps,
  config: TenantConfig,
  { index, addresses }: WaitingMessage,
  route: Route,
  by: { readonly actor: Actor; readonly reason: string },
): Promise<void> {
  const entry = await messageOf(store, tenant, index);
  if (entry === null) throw new Error(`${tenant}/${index} is no message`);
  const against = await keptBack(store, tenant, entry);
  if (against !== null) throw new Error(`${tenant}/${index} cannot be placed: ${against}`);
  const letter = entry.kind === 'inbound' ? index : entry.letter;
  const submission =
    entry.kind === 'inbound' || letter === null ? null : await store.submissionOf(tenant, letter);
  const judged = await store.latestVerdict(tenant, index);
  const verdict = judged?.verdict ?? entry.verdict;
  const block = (reason: string | null) =>
    deliveredBlock({
      tenant: config.id,
      kind: entry.kind === 'inbound' ? 'inbound' : (entry.demail.messageType ?? 'unknown'),
      verdict,
      privateId: entry.demail.privateId,
      ...(entry.kind === 'inbound'
        ? {}
        : {
            letter: letter === null ? null : `${tenant}/${letter}`,
            recipients: entry.recipients,
            inReplyTo: submission?.header.messageId ?? null,
          }),
      ...(entry.kind === 'confirmation' ? { counts: entry.counts, statedTime: entry.statedTime } : {}),
      reason,
    });
  const destinations = route.destinations.filter(
    ({ owner }) => !entry.delivered.some((delivery) => delivery.owner === ownerName(owner)),
  );
  await store.placeWaiting(tenant, {
    letter: letter ?? index,
    about: index,
    addresses,
    ...by,
    // Who was addressed by two names has their copy.
    deposits: destinations.map(({ owner, reason }) => ({
      owner,
      ...(entry.kind === 'inbound' ? { mailbox: INBOX } : depositPlace(config, owner, 'confirmations')),
      reason,
      prefix: block(reason),
      flags: [
        ...(verdict === 'not-checked' ? [] : [keywordOf(verdict)]),
        ...optionKeywords(entry.demail.options, true),
      ],
    })),
    ...(route.forward.length === 0 ? {} : { forward: { recipients: route.forward, prefix: block(null) } }),
  });
}

/** As entries name the owner of a mailbox. */
function ownerName({ type, name }: MailboxOwner): string {
  return type === 'shared' ? `shared:${name}` : name;
}

/** To the persons and to the own server: that there is one, from whom, since when, and what to do. */
async function tellWithheld(
  { store, tenant, hostname, clock }: PrivateMailDeps,
  config: TenantConfig,
  entry: Message,
  { address, owners, forward, waits }: Withheld,
): Promise<void> {
  const text = withheldText(config.language, {
    address,
    letter: `${tenant}/${entry.index}`,
    sender: entry.demail.sender ?? entry.header.from,
    time: entry.time,
    isLetter: entry.kind === 'inbound',
    waits,
  });
  const to = [...new Set([...owners.map(({ name }) => name), ...forward])];
  const route: Route = {
    destinations: owners.map((owner) => ({ owner, reason: `member of ${address}` })),
    forward,
    waiting: [],
    withheld: [],
  };
  await deliver(store, config, route, {
    letter: entry.kind === 'inbound' ? entry.index : entry.letter,
    about: 'private',
    text: `private mail for ${address}: ${waits ? 'it waits' : 'in the facade only'}`,
    bytes: composeMail(hostname, new Date(clock.now()), to, text),
    once: `private/${entry.index}/${address}`,
  });
}

async function messageOf(store: Store, tenant: string, index: number): Promise<Message | null> {
  const entry = await store.entry(tenant, index);
  return entry?.kind === 'inbound' || entry?.kind === 'confirmation' || entry?.kind === 'notification'
    ? entry
    : null;
}
