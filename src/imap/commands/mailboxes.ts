/** CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE. RFC 3501 6.3.3 to 6.3.7. */
import { HIERARCHY, INBOX, SHARED_ROOT } from '../../directory/mailboxes.ts';
import { GatewayError } from '../../errors.ts';
import type { CommandOf } from '../codec/command.ts';
import { findMailbox, locateName, principalOf, tenantOf } from '../mailbox-access.ts';
import { checkNewName, isDefaultMailbox, type StoreName } from '../mailbox-names.ts';
import { type Answer, ok, type Session } from '../session.ts';
import { leave } from './select.ts';

export async function create(session: Session, command: CommandOf<'CREATE'>): Promise<Answer> {
  const place = placeFor(session, command.mailbox);
  await session.deps.store.createMailbox(tenantOf(session), place.owner, place.name);
  return ok('Created');
}

export async function remove(session: Session, command: CommandOf<'DELETE'>): Promise<Answer> {
  const info = await findMailbox(session, command.mailbox);
  if (isDefaultMailbox(info.name))
    throw new GatewayError('mailbox-name-invalid', 'it belongs to the gateway');
  // Otherwise the session would lose its mailbox by its own doing.
  if (session.view?.id === info.id) leave(session);
  await session.deps.store.deleteMailbox(tenantOf(session), info.owner, info.name);
  return ok('Deleted');
}

export async function rename(session: Session, command: CommandOf<'RENAME'>): Promise<Answer> {
  const from = await findMailbox(session, command.from);
  if (isDefaultMailbox(from.name) && from.name !== INBOX)
    throw new GatewayError('mailbox-name-invalid', 'it belongs to the gateway');
  const to = placeFor(session, command.to);
  // Two trees have two owners: a rename would hand messages from one to the other.
  if (to.owner.type !== from.owner.type || to.owner.name !== from.owner.name)
    throw new GatewayError('mailbox-name-invalid', 'move the messages instead');
  if (to.name.startsWith(from.name + HIERARCHY) && from.name !== INBOX)
    throw new GatewayError('mailbox-name-invalid', 'a mailbox cannot move into itself');
  await session.deps.store.renameMailbox(tenantOf(session), from.owner, from.name, to.name);
  return ok('Renamed');
}

/** RFC 3501 6.3.6: a subscription may outlive its mailbox, so only a new one needs it. */
export async function subscribe(session: Session, command: CommandOf<'SUBSCRIBE'>): Promise<Answer> {
  const { owner, name } = await findMailbox(session, command.mailbox);
  const { login } = principalOf(session).user;
  await session.deps.store.subscribeMailbox(tenantOf(session), login, owner, name, true);
  return ok('Subscribed');
}

export async function unsubscribe(session: Session, command: CommandOf<'UNSUBSCRIBE'>): Promise<Answer> {
  const { owner, name } = locateName(session, command.mailbox);
  const { login } = principalOf(session).user;
  await session.deps.store.subscribeMailbox(tenantOf(session), login, owner, name, false);
  return ok('Unsubscribed');
}

/** RFC 3501 6.3.3: a separator at the end only announces that names below it will follow. */
function placeFor(session: Session, clientName: string): StoreName {
  const name = clientName.endsWith(HIERARCHY) ? clientName.slice(0, -HIERARCHY.length) : clientName;
  checkNewName(name);
  if (name === SHARED_ROOT) throw new GatewayError('mailbox-name-invalid', 'it holds the shared mailboxes');
  if (name.startsWith(SHARED_ROOT + HIERARCHY)) {
    try {
      return locateName(session, name);
    } catch {
      throw new GatewayError('mailbox-not-permitted', 'shared mailboxes are made in the configuration');
    }
  }
  return locateName(session, name);
}
