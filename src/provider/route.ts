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
  /** Addresses of the tenant that fit no mailbox. */
  readonly unknown: readonly string[];
}

export interface Addressed {
  readonly envelopeTo: readonly string[];
  readonly actualRecipients: readonly string[];
}

/** For a message addressed to the tenant. Private mail that fits nobody goes to nobody. */
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
  const found = addresses.map((address) => {
    const { owner, forward } = placesOf(directory, tenant, address, isPrivate);
    // A private De-Mail is for the addressed person; others read a shared mailbox (TR-01201 FU 3.3).
    const tooMany = isPrivate && owner?.type === 'shared' && !tenant.privateMail.shared;
    return { address, owner: tooMany ? undefined : owner, forward };
  });
  const fits = found.filter(({ owner, forward }) => owner !== undefined || forward !== undefined);
  const unknown = found.filter((place) => !fits.includes(place)).map(({ address }) => address);
  const fallback = !isPrivate && (unknown.length > 0 || found.length === 0);
  return merge(
    [
      ...fits.map(({ address, owner, forward }) => ({ owner, forward, reason: address })),
      ...(fallback
        ? [
            {
              ...fallbackPlaces(directory, tenant, false),
              reason: unknown[0] ? `fallback for ${unknown[0]}` : 'fallback',
            },
          ]
        : []),
    ],
    unknown,
  );
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
  const place = { ...placesOf(directory, tenant, address, isPrivate), reason: 'sender' };
  return place.owner === undefined && place.forward === undefined
    ? routeFallback(directory, tenant, isPrivate)
    : merge([place], []);
}

/** The mailboxes of those addresses that are this tenant's and fit somebody; nowhere where none does. */
export function routeToRecipients(
  directory: Directory,
  tenant: TenantConfig,
  addresses: readonly string[],
  isPrivate: boolean,
): Route {
  const own = addresses.filter((address) => directory.tenantOfAddress(address)?.id === tenant.id);
  return merge(
    own.map((address) => ({ ...placesOf(directory, tenant, address, isPrivate), reason: address })),
    [],
  );
}

/** The fallback mailbox. */
export function routeFallback(directory: Directory, tenant: TenantConfig, isPrivate = false): Route {
  return merge([{ ...fallbackPlaces(directory, tenant, isPrivate), reason: 'fallback' }], []);
}

export const nowhere: Route = { destinations: [], forward: [], unknown: [] };

interface Place {
  readonly owner: MailboxOwner | undefined;
  readonly forward: string | undefined;
  readonly reason: string;
}

function placesOf(
  directory: Directory,
  tenant: TenantConfig,
  address: string,
  isPrivate: boolean,
): Omit<Place, 'reason'> {
  return {
    owner: tenant.delivery.facade ? directory.mailboxOf(tenant, address) : undefined,
    // The own server knows its own addresses: any that the mapping gives may exist there.
    forward: mayForward(tenant, isPrivate) ? directory.toInternal(tenant, address) : undefined,
  };
}

function fallbackPlaces(
  directory: Directory,
  tenant: TenantConfig,
  isPrivate: boolean,
): Omit<Place, 'reason'> {
  const owner = directory.fallbackOf(tenant);
  const address =
    owner.type === 'user' ? owner.name : tenant.sharedMailboxes.find((m) => m.name === owner.name)?.address;
  return {
    owner: tenant.delivery.facade ? owner : undefined,
    forward: mayForward(tenant, isPrivate) ? address : undefined,
  };
}

/** Private De-Mails are read at level high only (FU 3.3): they leave where the configuration says so by name. */
function mayForward({ delivery: { forward } }: TenantConfig, isPrivate: boolean): boolean {
  return forward !== undefined && (!isPrivate || forward.includePrivate);
}

/** Two addresses of one mailbox give one copy. */
function merge(places: readonly Place[], unknown: readonly string[]): Route {
  const destinations = new Map<string, Destination>();
  for (const { owner, reason } of places) {
    if (owner === undefined) continue;
    const key = `${owner.type}\n${owner.name}`;
    if (!destinations.has(key)) destinations.set(key, { owner, reason });
  }
  const forward = places.map((place) => place.forward).filter((address) => address !== undefined);
  return { destinations: [...destinations.values()], forward: [...new Set(forward)], unknown };
}
