/** Placing copies into mailboxes. */
import type { Delivery } from '../../../evidence/entry.ts';
import type { MailboxDefinition, MailboxOwner } from '../../store.ts';
import type { WriteContext } from '../write-context.ts';
import type { WireDeposit } from './wire.ts';

export interface MailboxRow {
  readonly id: number;
  readonly tenant: string;
  readonly owner_type: 'user' | 'shared';
  readonly owner_name: string;
  readonly name: string;
  readonly special_use: string | null;
  readonly uidvalidity: number;
  readonly uidnext: number;
  readonly modseq: number;
  /** Counted by triggers as messages come and go. */
  readonly messages: number;
  readonly unseen: number;
  readonly bytes: number;
}

/** What a mailbox row has to know of the message. */
export interface DepositedMessage {
  readonly object: { readonly object: string; readonly size: number };
  readonly messageId: string | null;
}

/**
 * One mailbox row per deposit, made by `place`; the mailbox is made if it is missing. Returns where each one lies, by its
 * real name.
 */
export function deposit(
  context: WriteContext,
  tenant: string,
  deposits: readonly WireDeposit[],
  message: DepositedMessage,
  place: (context: WriteContext, mailbox: MailboxRow, mail: MailRow) => void = insertMail,
): Delivery[] {
  return deposits.map((d) => {
    const definition = { name: d.mailbox, specialUse: d.specialUse ?? null };
    const { mailbox } = ensureMailbox(context, tenant, d.owner, definition);
    place(context, mailbox, {
      object: message.object.object,
      prefix: d.prefix,
      from: 0,
      size: d.prefix.length + message.object.size,
      flags: d.flags,
      internalDate: context.now,
      messageId: message.messageId,
    });
    return {
      owner: d.owner.type === 'shared' ? `shared:${d.owner.name}` : d.owner.name,
      mailbox: mailbox.name,
      reason: d.reason,
    };
  });
}

/** The mailbox of that use, whatever it is called, else the one of that name; made if there is neither. */
export function ensureMailbox(
  context: WriteContext,
  tenant: string,
  owner: MailboxOwner,
  { name, specialUse }: MailboxDefinition,
): { readonly mailbox: MailboxRow; readonly made: boolean } {
  const { sql } = context;
  const used =
    specialUse === null
      ? undefined
      : (sql(
          'SELECT * FROM mailbox WHERE tenant = ? AND owner_type = ? AND owner_name = ? AND special_use = ?',
        ).get(tenant, owner.type, owner.name, specialUse) as MailboxRow | undefined);
  if (used !== undefined) return { mailbox: used, made: false };
  const named = findMailbox(context, tenant, owner, name);
  if (named === undefined)
    return { mailbox: makeMailbox(context, tenant, owner, name, specialUse), made: true };
  if (specialUse !== null && named.special_use === null)
    sql('UPDATE mailbox SET special_use = ? WHERE id = ?').run(specialUse, named.id);
  return { mailbox: named, made: false };
}

export function findMailbox(
  context: WriteContext,
  tenant: string,
  owner: MailboxOwner,
  name: string,
): MailboxRow | undefined {
  return context
    .sql('SELECT * FROM mailbox WHERE tenant = ? AND owner_type = ? AND owner_name = ? AND name = ?')
    .get(tenant, owner.type, owner.name, name) as MailboxRow | undefined;
}

export function makeMailbox(
  context: WriteContext,
  tenant: string,
  owner: MailboxOwner,
  name: string,
  specialUse: string | null,
): MailboxRow {
  const { sql } = context;
  // Never reused, also not for a mailbox of the same name made in the same second (RFC 3501 2.3.1.1).
  const uidvalidity = sql('UPDATE uidvalidity SET last = MAX(?, last + 1) RETURNING last')
    .pluck()
    .get(Math.floor(context.now / 1000)) as number;
  sql(
    'INSERT INTO mailbox (tenant, owner_type, owner_name, name, special_use, uidvalidity, uidnext, modseq) VALUES (?, ?, ?, ?, ?, ?, 1, 1)',
  ).run(tenant, owner.type, owner.name, name, specialUse, uidvalidity);
  context.changes.push({ topic: 'mailboxes', tenant, owner });
  return findMailbox(context, tenant, owner, name)!;
}

export interface MailRow {
  readonly object: string;
  readonly prefix: Uint8Array;
  readonly from: number;
  /** Bytes, prefix included. */
  readonly size: number;
  readonly flags: readonly string[];
  readonly internalDate: number;
  readonly messageId: string | null;
}

/** Gives the message the next UID of the mailbox. */
export function insertMail(
  context: WriteContext,
  mailbox: Pick<MailboxRow, 'id' | 'tenant'>,
  mail: MailRow,
): { uid: number; modseq: number } {
  const { sql } = context;
  const next = sql(
    'UPDATE mailbox SET uidnext = uidnext + 1, modseq = modseq + 1 WHERE id = ? RETURNING uidnext - 1 AS uid, modseq',
  ).get(mailbox.id) as { uid: number; modseq: number };
  const flags = [...new Set(mail.flags.filter((f) => f.toLowerCase() !== '\\recent'))];
  sql(
    'INSERT INTO mail (mailbox, uid, tenant, object, prefix, object_from, size, internal_date, flags, seen, modseq, message_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
  ).run(
    mailbox.id,
    next.uid,
    mailbox.tenant,
    mail.object,
    Buffer.from(mail.prefix),
    mail.from,
    mail.size,
    mail.internalDate,
    flags.join(' '),
    flags.includes('\\Seen') ? 1 : 0,
    next.modseq,
    mail.messageId,
  );
  context.changes.push({ topic: 'mailbox', tenant: mailbox.tenant, mailbox: mailbox.id });
  return next;
}
