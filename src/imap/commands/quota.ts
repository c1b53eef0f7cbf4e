/**
 * GETQUOTA, GETQUOTAROOT, SETQUOTA. RFC 9208, RFC 2087. Each tree of mailboxes that has a quota is a root of its own: a
 * user's, named by the login, and each shared mailbox's, named as clients see it. Limits come from the configuration.
 */
import { GatewayError } from '../../errors.ts';
import type { MailboxOwner, MailboxQuota } from '../../store/store.ts';
import type { CommandOf } from '../codec/command.ts';
import { octets, printAstring, printMailbox } from '../codec/printer.ts';
import { findMailbox, principalOf, tenantOf } from '../mailbox-access.ts';
import { ownTree, rootOf } from '../mailbox-names.ts';
import { type Answer, ok, type Session } from '../session.ts';

interface QuotaRoot {
  readonly name: string;
  readonly owner: MailboxOwner;
  readonly quota: MailboxQuota;
}

export async function getQuotaRoot(session: Session, command: CommandOf<'GETQUOTAROOT'>): Promise<Answer> {
  const { owner } = await findMailbox(session, command.mailbox);
  const root = quotaRoot(session, owner);
  const name = root ? ` ${printAstring(octets(root.name))}` : '';
  session.connection.send(`* QUOTAROOT ${printMailbox(command.mailbox)}${name}\r\n`);
  if (root) await sendQuota(session, root);
  return ok('Quota roots done');
}

/** @throws GatewayError `mailbox-unknown` for a root that is none, or none of this user's. */
export async function getQuota(session: Session, command: CommandOf<'GETQUOTA'>): Promise<Answer> {
  const owners = [ownTree(principalOf(session)), ...session.shared.map(({ owner }) => owner)];
  const root = owners.map((owner) => quotaRoot(session, owner)).find((known) => known?.name === command.root);
  if (!root) throw new GatewayError('mailbox-unknown', 'no such quota root');
  await sendQuota(session, root);
  return ok('Quota done');
}

export async function setQuota(): Promise<Answer> {
  throw new GatewayError('mailbox-not-permitted', 'quotas are set in the configuration');
}

function quotaRoot(session: Session, owner: MailboxOwner): QuotaRoot | null {
  const principal = principalOf(session);
  const quota = session.directory.quotaOf(principal.tenant, owner);
  const name = owner.type === 'user' ? owner.name : `${rootOf(principal)}/${owner.name}`;
  return quota && { name, owner, quota };
}

/** STORAGE counts units of 1024 bytes (RFC 9208 5.1): use rounded up, a limit down. */
async function sendQuota(session: Session, { name, owner, quota }: QuotaRoot): Promise<void> {
  const used = await session.deps.store.mailboxUsage(tenantOf(session), owner);
  const resources = [
    ...(quota.bytes === null
      ? []
      : [`STORAGE ${Math.ceil(used.bytes / 1024)} ${Math.floor(quota.bytes / 1024)}`]),
    ...(quota.messages === null ? [] : [`MESSAGE ${used.messages} ${quota.messages}`]),
  ];
  session.connection.send(`* QUOTA ${printAstring(octets(name))} (${resources.join(' ')})\r\n`);
}
