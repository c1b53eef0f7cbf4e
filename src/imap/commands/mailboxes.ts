/** CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE. RFC 3501 6.3.3 to 6.3.7. */
import { HIERARCHY, INBOX, isStandard } from '../../directory/mailboxes.ts';
import { GatewayError } from '../../errors.ts';
import type { CommandOf } from '../codec/command.ts';
import { findMailbox, locateName, principalOf, requireRight, tenantOf } from '../mailbox-access.ts';
import { checkNewName, normaliseName, rootOf, type StoreName } from '../mailbox-names.ts';
import { type Answer, ok, type Session } from '../session.ts';
import { leave } from './select.ts';

export async function create(session: Session, command: CommandOf<'CREATE'>): Promise<Answer> {
  const place = placeFor(session, command.mailbox);
  requireRight(session, place.owner, 'insert');
  await session.deps.store.createMailbox(tenantOf(session), place.owner, place.name);
  return ok('Created');
}

export async function remove(session: Session, command: CommandOf<'DELETE'>): Promise<Answer> {
  const info = await findMailbox(session, command.mailbox);
  requireRight(session, info.owner, 'delete');
  if (isStandard(info)) throw new GatewayError('mailbox-name-invalid', 'it belongs to the gateway');
  // Otherwise the session would lose its mailbox by its own doing.
  if (session.view?.id === info.id) leave(session);
  await session.deps.store.deleteMailbox(tenantOf(session), info.owner, info.name);
  return ok('Deleted');
}

export async function rename(session: Session, command: CommandOf<'RENAME'>): Promise<Answer> {
  const from = await renamed(session, command.from);
  const to = placeFor(session, command.to);
  // RFC 4314 4: deletion of the old name, insertion of the new one.
  requireRight(session, from.owner, 'delete');
  requireRight(session, to.owner, 'insert');
  // Two trees have two owners: a rename would hand messages from one to the other.
  if (to.owner.type !== from.owner.type || to.owner.name !== from.owner.name)
    throw new GatewayError('mailbox-name-invalid', 'move the messages instead');
  if (to.name.startsWith(from.name + HIERARCHY) && from.name !== INBOX)
    throw new GatewayError('mailbox-name-invalid', 'a mailbox cannot move into itself');
  await session.deps.store.renameMailbox(tenantOf(session), from.owner, from.name, to.name);
  return ok('Renamed');
}

/** A mailbox, or a name that only holds others: also that can be renamed (RFC 3501 6.3.5). */
async function renamed(session: Session, name: string): Promise<StoreName> {
  const place = locateName(session, normaliseName(name));
  const tree = await session.deps.store.mailboxes(tenantOf(session), place.owner);
  const holdsOthers = tree.some((other) => other.name.startsWith(place.name + HIERARCHY));
  return holdsOthers ? place : findMailbox(session, name);
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
  const name = normaliseName(
    clientName.endsWith(HIERARCHY) ? clientName.slice(0, -HIERARCHY.length) : clientName,
  );
  checkNewName(name);
  const root = rootOf(principalOf(session));
  if (name === root) throw new GatewayError('mailbox-name-invalid', 'it holds the shared mailboxes');
  const place = locateName(session, name);
  if (place.owner.type === 'user' && name.startsWith(root + HIERARCHY))
    throw new GatewayError('mailbox-not-permitted', 'shared mailboxes are made in the configuration');
  return place;
}
