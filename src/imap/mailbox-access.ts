/** From a client's name to the mailbox of the store, and what the user may do there. */
import { type MailboxRight, mailboxRights } from '../config/schema.ts';
import type { Principal } from '../directory/directory.ts';
import { SENT_USE } from '../directory/mailboxes.ts';
import { GatewayError } from '../errors.ts';
import { isGatewayKeyword } from '../evidence/keywords.ts';
import type { Filing, FlagRights, MailboxInfo, MailboxOwner } from '../store/store.ts';
import { locate, normaliseName, type StoreName } from './mailbox-names.ts';
import type { Session } from './session.ts';

/** The user of a session that is logged in. */
export function principalOf(session: Session): Principal {
  if (!session.principal) throw new GatewayError('authentication-required');
  return session.principal;
}

export function tenantOf(session: Session): string {
  return principalOf(session).tenant.id;
}

export function locateName(session: Session, name: string): StoreName {
  return locate(principalOf(session), session.shared, name);
}

/** @throws GatewayError `mailbox-unknown`. */
export async function findMailbox(session: Session, name: string): Promise<MailboxInfo> {
  const info = await lookUp(session, name);
  if (!info) throw new GatewayError('mailbox-unknown');
  return info;
}

/**
 * Where messages go: null where the client should make the mailbox first (RFC 3501 TRYCREATE).
 * @throws GatewayError `mailbox-not-permitted` where the user may put nothing into it
 */
export async function findTarget(session: Session, name: string): Promise<MailboxInfo | null> {
  requireRight(session, locateName(session, normaliseName(name)).owner, 'insert');
  return lookUp(session, name);
}

/** As it is written, else in the one spelling that new names get. */
async function lookUp(session: Session, name: string): Promise<MailboxInfo | null> {
  for (const spelling of new Set([name, normaliseName(name)])) {
    const { owner, name: stored } = locateName(session, spelling);
    const info = await session.deps.store.mailbox(tenantOf(session), owner, stored);
    if (info) return info;
  }
  return null;
}

/** What the user may do in the owner's mailboxes by now. */
export function rightsOn(session: Session, owner: MailboxOwner): readonly MailboxRight[] {
  if (owner.type === 'user') return mailboxRights;
  return session.shared.find((access) => access.owner.name === owner.name)?.rights ?? [];
}

/** @throws GatewayError `mailbox-not-permitted`. */
export function requireRight(session: Session, owner: MailboxOwner, right: MailboxRight): void {
  if (!rightsOn(session, owner).includes(right)) throw new GatewayError('mailbox-not-permitted');
}

/** \Seen is everybody's own in a shared mailbox, so whoever reads may set it. */
export function flagRights(session: Session, owner: MailboxOwner): FlagRights {
  const rights = rightsOn(session, owner);
  return { seen: true, deleted: rights.includes('delete'), others: rights.includes('flag') };
}

/** How messages of this session come into the owner's mailboxes. */
export function filingInto(session: Session, owner: MailboxOwner): Filing {
  const { tenant, user } = principalOf(session);
  const quota = session.deps.directory().quotaOf(tenant, owner);
  return {
    user: user.login,
    settable: flagRights(session, owner),
    ...(quota === null ? {} : { quota }),
  };
}

/** Where one copy of each message is kept (store/sent-copies.ts). */
export function isSentMailbox({ specialUse }: MailboxInfo): boolean {
  return specialUse === SENT_USE;
}

const systemFlags = ['\\Answered', '\\Flagged', '\\Deleted', '\\Seen', '\\Draft'];

/**
 * Flags that a client may set: RFC 3501 2.3.2 keeps \Recent and unknown system flags from it, and what states a fact is
 * the gateway's to say.
 */
export function storableFlags(flags: readonly string[]): string[] {
  return flags.filter((flag) =>
    flag.startsWith('\\') ? systemFlags.includes(flag) : !isGatewayKeyword(flag),
  );
}

/** Whose \Seen counts: in a shared mailbox every reader has their own. */
export function seenUser(session: Session, owner: MailboxOwner): string | undefined {
  return owner.type === 'shared' ? principalOf(session).user.login : undefined;
}
