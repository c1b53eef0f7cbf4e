/**
 * Who gets a fetched message. Envelope-to says for whom this copy is; actual-recipient names all recipients at
 * first (TR-01201 IO 3.1), so it counts only where Envelope-to names nobody of this tenant, and never beyond the
 * tenant's own addresses: a copy must not reach people through somebody else's.
 */
import type { TenantConfig } from '../config/schema.ts';
import type { Directory } from '../directory/directory.ts';
import type { SubmissionEntry } from '../evidence/entry.ts';
import type { MailboxOwner } from '../store/store.ts';

interface Destination {
  readonly owner: MailboxOwner;
  readonly reason: string;
}

export interface Route {
  /** Facade mailboxes. */
  readonly destinations: readonly Destination[];
  /** Addresses at the tenant's own server. */
  readonly forward: readonly string[];
  /** Addresses for which private mail found no place: it waits for them. Empty string: nobody is named. */
  readonly waiting: readonly string[];
  /** Who learns of private mail that was kept from a place where they would have found it. */
  readonly withheld: readonly Withheld[];
}

/** Private mail for this address was kept from a shared mailbox, from the own server, or both. */
export interface Withheld {
  readonly address: string;
  readonly owners: readonly MailboxOwner[];
  /** Addresses at the tenant's own server. */
  readonly forward: readonly string[];
  /** It waits; otherwise it lies in the person's own mailbox in the facade. */
  readonly waits: boolean;
}

export interface Addressed {
  readonly envelopeTo: readonly string[];
  readonly actualRecipients: readonly string[];
}

/** For a message addressed to the tenant. Private mail that fits nobody waits. */
export function routeInbound(
  directory: Directory,
  tenant: TenantConfig,
  addressed: Addressed,
  isPrivate: boolean,
): Route {
  const own = (addresses: readonly string[]) =>
    [...new Set(addresses)].filter((address) => directory.tenantOfAddress(address)?.id === tenant.id);
  const envelope = own(addressed.envelopeTo);
  const addresses = envelope.length > 0 ? envelope : own(addressed.actualRecipients);
  const found = addresses.map((address) => placeOf(directory, tenant, address, address, isPrivate));
  const nobody = found.filter(isNoPlace).map(({ address }) => address);
  const named = addresses.length === 0 ? [''] : nobody;
  if (named.length === 0) return merge(found, []);
  const reason = nobody[0] ? `fallback for ${nobody[0]}` : 'fallback';
  const fallback = fallbackPlace(directory, tenant, reason, isPrivate);
  return merge([...found, ...fallback], isPrivate && fallback.length === 0 ? named : []);
}

/** For a message about a letter: whoever sent it, else the mailbox of its From, else the fallback mailbox. */
export function routeToSender(
  directory: Directory,
  tenant: TenantConfig,
  submission: Pick<SubmissionEntry, 'actor' | 'header' | 'envelope'>,
  isPrivate = false,
): Route {
  const { actor, header, envelope } = submission;
  const user = actor.type === 'user' ? directory.user(actor.name) : undefined;
  const address = user?.tenant.id === tenant.id ? user.user.login : (header.from ?? envelope.from);
  const place = placeOf(directory, tenant, address, 'sender', isPrivate);
  if (!isNoPlace(place)) return merge([place], []);
  const fallback = fallbackPlace(directory, tenant, 'fallback', isPrivate);
  return merge([place, ...fallback], isPrivate && fallback.length === 0 ? [address] : []);
}

/** The mailboxes of those addresses that are this tenant's and fit somebody; nowhere where none does. */
export function routeToRecipients(
  directory: Directory,
  tenant: TenantConfig,
  addresses: readonly string[],
  isPrivate: boolean,
): Route {
  const own = addresses.filter((address) => directory.tenantOfAddress(address)?.id === tenant.id);
  const places = own.map((address) => placeOf(directory, tenant, address, address, isPrivate));
  // Kept from somebody is not the same as fitting nobody.
  const waiting = places.filter((place) => isNoPlace(place) && place.withheld !== undefined);
  return merge(
    places,
    waiting.map(({ address }) => address),
  );
}

/** The fallback mailbox; for private mail the one that is named for it, else it waits for nobody in particular. */
export function routeFallback(directory: Directory, tenant: TenantConfig, isPrivate = false): Route {
  const places = fallbackPlace(directory, tenant, 'fallback', isPrivate);
  return merge(places, isPrivate && places.length === 0 ? [''] : []);
}

/** Where private mail that waits for an address goes by now: to nobody again, or to a place. */
export function routeWaiting(directory: Directory, tenant: TenantConfig, address: string): Route {
  const place = address === '' ? undefined : placeOf(directory, tenant, address, address, true);
  if (place !== undefined && !isNoPlace(place)) return merge([place], []);
  const fallback = fallbackPlace(directory, tenant, `fallback for ${address || 'nobody named'}`, true);
  return merge(place === undefined ? fallback : [place, ...fallback], []);
}

/** True where the message goes nowhere and waits for nobody. */
export function fitsNobody({ destinations, forward, waiting }: Route): boolean {
  return destinations.length + forward.length + waiting.length === 0;
}

interface Place {
  readonly address: string;
  readonly owner: MailboxOwner | undefined;
  readonly forward: string | undefined;
  readonly withheld: Withheld | undefined;
  readonly reason: string;
}

function isNoPlace({ owner, forward }: Place): boolean {
  return owner === undefined && forward === undefined;
}

function placeOf(
  directory: Directory,
  tenant: TenantConfig,
  address: string,
  reason: string,
  isPrivate: boolean,
): Place {
  const fitting = directory.mailboxOf(tenant, address);
  const owner = tenant.delivery.facade ? fitting : undefined;
  // The own server knows its own addresses: any that the mapping gives may exist there.
  const forward = tenant.delivery.forward === undefined ? undefined : directory.toInternal(tenant, address);
  if (!isPrivate) return { address, owner, forward, withheld: undefined, reason };
  // Others read a shared mailbox, here and at the own server (TR-01201 FU 3.3).
  const common = fitting?.type === 'shared' && !tenant.privateMail.shared.includes(fitting.name);
  const keptOwner = owner !== undefined && common ? membersOf(tenant, owner) : [];
  const keptForward = forward !== undefined && (common || !tenant.delivery.forward!.includePrivate);
  const place = { owner: common ? undefined : owner, forward: keptForward ? undefined : forward };
  return {
    address,
    ...place,
    withheld:
      keptOwner.length > 0 || keptForward
        ? {
            address,
            owners: keptOwner,
            forward: keptForward && forward !== undefined ? [forward] : [],
            waits: place.owner === undefined,
          }
        : undefined,
    reason,
  };
}

function membersOf(tenant: TenantConfig, { name }: MailboxOwner): MailboxOwner[] {
  const members = tenant.sharedMailboxes.find((mailbox) => mailbox.name === name)?.members ?? [];
  return members.map((login) => ({ type: 'user', name: login }));
}

/** One place or none. */
function fallbackPlace(
  directory: Directory,
  tenant: TenantConfig,
  reason: string,
  isPrivate: boolean,
): Place[] {
  const { facade, forward } = tenant.delivery;
  const owner = isPrivate ? privateFallbackOf(tenant) : directory.fallbackOf(tenant);
  if (owner === undefined) return [];
  const address =
    owner.type === 'user' ? owner.name : tenant.sharedMailboxes.find((m) => m.name === owner.name)?.address;
  const forwards = forward !== undefined && (!isPrivate || forward.includePrivate);
  const place = {
    address: address ?? '',
    owner: facade ? owner : undefined,
    forward: forwards ? address : undefined,
    withheld: undefined,
    reason,
  };
  return isNoPlace(place) ? [] : [place];
}

function privateFallbackOf({ privateMail, sharedMailboxes }: TenantConfig): MailboxOwner | undefined {
  const { fallback } = privateMail;
  if (fallback === undefined) return undefined;
  const shared = sharedMailboxes.some(({ name }) => name === fallback);
  return { type: shared ? 'shared' : 'user', name: fallback };
}

/** Two addresses of one mailbox give one copy. */
function merge(places: readonly Place[], waiting: readonly string[]): Route {
  const destinations = new Map<string, Destination>();
  for (const { owner, reason } of places) {
    if (owner === undefined) continue;
    const key = `${owner.type}\n${owner.name}`;
    if (!destinations.has(key)) destinations.set(key, { owner, reason });
  }
  const forward = places.map((place) => place.forward).filter((address) => address !== undefined);
  return {
    destinations: [...destinations.values()],
    forward: [...new Set(forward)],
    waiting: [...new Set(waiting)],
    withheld: places.map((place) => place.withheld).filter((withheld) => withheld !== undefined),
  };
}
