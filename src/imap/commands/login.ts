/** LOGIN, and what every login does. RFC 3501 6.2.3. */
import { GatewayError } from '../../errors.ts';
import { capabilities } from '../capabilities.ts';
import type { CommandOf } from '../codec/command.ts';
import { userLimits } from '../codec/parser.ts';
import { openTrees } from '../mailbox-trees.ts';
import { privateAccess } from '../private-mail.ts';
import { worthOf } from '../reloaded.ts';
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
  session.directory = deps.directory();
  session.shared = session.directory.sharedOf(principal);
  await openTrees(session, principal);
  session.privateAccess = privateAccess(principal, connection.peerCertificate);
  session.principal = principal;
  session.worth = worthOf(session);
  session.parser.setLimits({ ...userLimits, line: deps.limits.line, command: deps.limits.command });
  session.onLogin();
  const { restricted, problem } = session.privateAccess;
  session.log.info({ login: principal.user.login, ...(restricted && { restricted, problem }) }, 'logged in');
  return ok('Logged in', `CAPABILITY ${capabilities(session)}`);
}

export function requireTls(session: Session): void {
  if (!session.connection.secure) throw new GatewayError('tls-required');
}
