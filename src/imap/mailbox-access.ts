/** From a client's name to the mailbox of the store. */
import type { Principal } from '../directory/directory.ts';
import { GatewayError } from '../errors.ts';
import type { MailboxInfo, MailboxOwner } from '../store/store.ts';
import { locate, type StoreName } from './mailbox-names.ts';
import type { Session } from './session.ts';

/** The user of a session that is logged in. */
export function principalOf(session: Session): Principal {
  if (!session.principal) throw new GatewayError('authentication-required');
  return session.principal;
}

export function tenantOf(session: Session): string {
  return principalOf(session).tenant.id;
}

/** @throws GatewayError `mailbox-unknown`. */
export function locateName(session: Session, name: string): StoreName {
  const found = locate(principalOf(session), session.shared, name);
  if (!found) throw new GatewayError('mailbox-unknown');
  return found;
}

/** @throws GatewayError `mailbox-unknown`. */
export async function findMailbox(session: Session, name: string): Promise<MailboxInfo> {
  const place = locateName(session, name);
  const info = await session.deps.store.mailbox(tenantOf(session), place.owner, place.name);
  if (!info) throw new GatewayError('mailbox-unknown');
  return info;
}

/** Where messages go: null where the client should make the mailbox first (RFC 3501 TRYCREATE). */
export async function findTarget(session: Session, name: string): Promise<MailboxInfo | null> {
  const place = locate(principalOf(session), session.shared, name);
  return place && session.deps.store.mailbox(tenantOf(session), place.owner, place.name);
}

/** Where one copy of each message is kept (store/sent-copies.ts). */
export function isSentMailbox({ specialUse }: MailboxInfo): boolean {
  return specialUse === '\\Sent';
}

const systemFlags = ['\\Answered', '\\Flagged', '\\Deleted', '\\Seen', '\\Draft'];

/** Flags that a client may set: RFC 3501 2.3.2 keeps \Recent and unknown system flags from it. */
export function storableFlags(flags: readonly string[]): string[] {
  return flags.filter((flag) => !flag.startsWith('\\') || systemFlags.includes(flag));
}

/** Whose \Seen counts: in a shared mailbox every reader has their own. */
export function seenUser(session: Session, owner: MailboxOwner): string | undefined {
  return owner.type === 'shared' ? principalOf(session).user.login : undefined;
}
