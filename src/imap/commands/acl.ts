/**
 * MYRIGHTS, GETACL, LISTRIGHTS: RFC 4314. Rights come from the configuration, so SETACL and DELETEACL change nothing.
 * `a` is a user's own right in their own mailboxes alone; in shared ones nobody administers.
 */
import type { MailboxRight } from '../../config/schema.ts';
import { GatewayError } from '../../errors.ts';
import type { MailboxInfo } from '../../store/store.ts';
import type { CommandOf } from '../codec/command.ts';
import { printAstring, printMailbox } from '../codec/printer.ts';
import { findMailbox, principalOf, rightsOn } from '../mailbox-access.ts';
import { type Answer, ok, type Session } from '../session.ts';

/** RFC 4314 2.1. Who reads has a \\Seen of their own; who deletes removes mailboxes, too. */
const letters: Readonly<Record<MailboxRight, string>> = {
  read: 'lrs',
  insert: 'ik',
  flag: 'w',
  delete: 'xte',
};

function lettersOn(session: Session, { owner }: MailboxInfo): string {
  const granted = rightsOn(session, owner)
    .map((right) => letters[right])
    .join('');
  const all = owner.type === 'user' ? `${granted}a` : granted;
  // In the order of RFC 4314 2.1.
  return [...'lrswikxtea'].filter((letter) => all.includes(letter)).join('');
}

export async function myRights(session: Session, command: CommandOf<'MYRIGHTS'>): Promise<Answer> {
  const info = await findMailbox(session, command.mailbox);
  session.connection.send(`* MYRIGHTS ${printMailbox(command.mailbox)} ${lettersOn(session, info)}\r\n`);
  return ok('Rights done');
}

export async function getAcl(session: Session, command: CommandOf<'GETACL'>): Promise<Answer> {
  const info = await administered(session, command.mailbox);
  const { login } = principalOf(session).user;
  session.connection.send(
    `* ACL ${printMailbox(command.mailbox)} ${printAstring(login)} ${lettersOn(session, info)}\r\n`,
  );
  return ok('ACL done');
}

/** What the owner always has, and nothing for anybody else. */
export async function listRights(session: Session, command: CommandOf<'LISTRIGHTS'>): Promise<Answer> {
  const info = await administered(session, command.mailbox);
  const own = command.identifier.toLowerCase() === principalOf(session).user.login.toLowerCase();
  const always = own ? lettersOn(session, info) : '""';
  session.connection.send(
    `* LISTRIGHTS ${printMailbox(command.mailbox)} ${printAstring(command.identifier)} ${always}\r\n`,
  );
  return ok('Rights done');
}

export async function setAcl(session: Session, command: CommandOf<'SETACL' | 'DELETEACL'>): Promise<Answer> {
  await administered(session, command.mailbox);
  throw new GatewayError('mailbox-not-permitted', 'rights are set in the configuration');
}

/** @throws GatewayError `mailbox-unknown`, `mailbox-not-permitted`. */
async function administered(session: Session, name: string): Promise<MailboxInfo> {
  const info = await findMailbox(session, name);
  if (info.owner.type !== 'user') throw new GatewayError('mailbox-not-permitted');
  return info;
}
