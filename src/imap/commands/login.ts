/** LOGIN, and what every login does. RFC 3501 6.2.3. */
import { defaultMailboxes } from '../../directory/mailboxes.ts';
import { GatewayError } from '../../errors.ts';
import { capabilities } from '../capabilities.ts';
import type { CommandOf } from '../codec/command.ts';
import { userLimits } from '../codec/parser.ts';
import { ownTree } from '../mailbox-names.ts';
import { privateAccess } from '../private-mail.ts';
import { rightsOf } from '../reloaded.ts';
import { type Answer, ok, type Session } from '../session.ts';

export async function login(session: Session, command: CommandOf<'LOGIN'>): Promise<Answer> {
  return logIn(session, command.user, command.password);
}

/**
 * @throws GatewayError `tls-required`, `authentication-failed`, `authentication-limited`.
 */
export async function logIn(session: Session, user: string, password: string): Promise<Answer> {
  requireTls(session);
  const { deps, connection } = session;
  const principal = await deps.authenticator.login(user, password, connection.peer);
  const tenant = principal.tenant.id;
  const shared = deps.directory().sharedOf(principal);
  await deps.store.ensureMailboxes(tenant, ownTree(principal), defaultMailboxes);
  const subscribed = await deps.store.subscriptions(tenant, principal.user.login);
  for (const owner of shared) {
    await deps.store.ensureMailboxes(tenant, owner, defaultMailboxes);
    // A client that shows subscribed mailboxes only would never find a shared one by itself.
    if (subscribed.some(({ owner: { type, name } }) => type === owner.type && name === owner.name)) continue;
    for (const { name } of defaultMailboxes)
      await deps.store.subscribeMailbox(tenant, principal.user.login, owner, name, true);
  }
  session.privateAccess = privateAccess(principal, connection.peerCertificate);
  session.principal = principal;
  session.shared = shared;
  session.rights = rightsOf(session);
  session.parser.setLimits(userLimits);
  session.onLogin();
  const { restricted, problem } = session.privateAccess;
  session.log.info({ login: principal.user.login, ...(restricted && { restricted, problem }) }, 'logged in');
  return ok('Logged in', `CAPABILITY ${capabilities(session)}`);
}

export function requireTls(session: Session): void {
  if (!session.connection.secure) throw new GatewayError('tls-required');
}
