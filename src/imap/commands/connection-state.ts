/** Commands about the connection itself: CAPABILITY, NOOP, LOGOUT, STARTTLS, ID, ENABLE, NAMESPACE. */
import { HIERARCHY } from '../../directory/mailboxes.ts';
import { capabilities } from '../capabilities.ts';
import type { CommandOf } from '../codec/command.ts';
import { printMailbox, printString } from '../codec/printer.ts';
import { principalOf } from '../mailbox-access.ts';
import { rootOf } from '../mailbox-names.ts';
import { type Answer, badAnswer, enableCondstore, ok, type Session } from '../session.ts';

/** RFC 3501 6.1.1. */
export async function capability(session: Session): Promise<Answer> {
  session.connection.send(`* CAPABILITY ${capabilities(session)}\r\n`);
  return ok('Capability done');
}

/** RFC 3501 6.1.2, 6.4.1: what there is to tell is told before the answer of every command. */
export async function noop(): Promise<Answer> {
  return ok('Done');
}

/** RFC 3501 6.1.3. */
export async function logout(session: Session): Promise<Answer> {
  session.connection.send('* BYE Goodbye\r\n');
  session.ended = true;
  return ok('Logged out');
}

/** RFC 3501 6.2.1. */
export async function starttls(session: Session): Promise<Answer> {
  if (session.connection.secure) return badAnswer('TLS is already on');
  return {
    ...ok('Begin TLS now'),
    after: async () => {
      session.parser.discard();
      const { secureContext, asksForCertificate, limits } = session.deps;
      await session.connection.upgrade(secureContext(), limits.loginTimeoutMs, asksForCertificate());
      session.parser.discard();
    },
  };
}

/** RFC 2971. What the client says of itself is logged for support; names and versions are no secrets. */
export async function id(session: Session, command: CommandOf<'ID'>): Promise<Answer> {
  const said = (key: string) =>
    command.params.find(([name]) => name.toLowerCase() === key)?.[1]?.slice(0, 80);
  if (command.params.length > 0)
    session.log.info({ client: said('name'), version: said('version') }, 'client');
  session.connection.send('* ID ("name" "demail-gateway")\r\n');
  return ok('ID done');
}

/** RFC 5161; CONDSTORE by RFC 7162 3.1.8. */
export async function enable(session: Session, command: CommandOf<'ENABLE'>): Promise<Answer> {
  const condstore = command.capabilities.includes('CONDSTORE');
  if (condstore) enableCondstore(session);
  session.connection.send(condstore ? '* ENABLED CONDSTORE\r\n' : '* ENABLED\r\n');
  return ok('Enabled');
}

/** RFC 2342. Shared mailboxes are shared, not another user's. */
export async function namespace(session: Session): Promise<Answer> {
  const separator = printString(HIERARCHY);
  const shared =
    session.shared.length > 0
      ? `((${printMailbox(rootOf(principalOf(session)) + HIERARCHY)} ${separator}))`
      : 'NIL';
  session.connection.send(`* NAMESPACE (("" ${separator})) NIL ${shared}\r\n`);
  return ok('Namespace done');
}
