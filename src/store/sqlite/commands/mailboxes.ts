/** Mailboxes: make, rename, delete, subscribe, append, copy, move, flag, expunge. No evidence. */

import { HIERARCHY, INBOX } from '../../../directory/mailboxes.ts';
import { GatewayError } from '../../../errors.ts';
import { isGatewayKeyword } from '../../../evidence/keywords.ts';
import type {
  CopyResult,
  Filing,
  FlagChange,
  FlagRights,
  MailboxDefinition,
  MailboxOwner,
} from '../../store.ts';
import { nextModseq } from '../next-modseq.ts';
import type { WriteContext } from '../write-context.ts';
import {
  ensureMailbox,
  findMailbox,
  insertMail,
  type MailboxRow,
  type MailRow,
  makeMailbox,
} from './deposit.ts';
import { insertFingerprint, insertMessage, releaseObject } from './object.ts';
import { removeMails } from './removal.ts';
import { fileClientsCopy, isSentMailbox } from './sent-copies.ts';
import type { WireMessage } from './wire.ts';

export function ensureMailboxes(
  context: WriteContext,
  tenant: string,
  { owner, names }: { owner: MailboxOwner; names: readonly MailboxDefinition[] },
): void {
  for (const definition of names) {
    const { mailbox, made } = ensureMailbox(context, tenant, owner, definition);
    if (made && owner.type === 'user')
      subscribeMailbox(context, tenant, { user: owner.name, owner, name: mailbox.name, subscribed: true });
  }
}

/** @throws GatewayError `mailbox-exists`. */
export function createMailbox(
  context: WriteContext,
  tenant: string,
  { owner, name }: { owner: MailboxOwner; name: string },
): number {
  if (findMailbox(context, tenant, owner, name) !== undefined) throw new GatewayError('mailbox-exists', name);
  // RFC 3501 6.3.3: superior names are made as well.
  const levels = name.split(HIERARCHY);
  for (let depth = 1; depth < levels.length; depth++) {
    const superior = levels.slice(0, depth).join(HIERARCHY);
    if (findMailbox(context, tenant, owner, superior) === undefined)
      makeMailbox(context, tenant, owner, superior, null);
  }
  return makeMailbox(context, tenant, owner, name, null).id;
}

/** @throws GatewayError `mailbox-unknown`, `mailbox-exists`. */
export function renameMailbox(
  context: WriteContext,
  tenant: string,
  { owner, from, to }: { owner: MailboxOwner; from: string; to: string },
): void {
  const source = findMailbox(context, tenant, owner, from);
  const children = childrenOf(context, tenant, owner, from);
  // A name may hold others and be no mailbox itself (RFC 3501 6.3.4).
  if (source === undefined && children.length === 0) throw new GatewayError('mailbox-unknown', from);
  if (findMailbox(context, tenant, owner, to) !== undefined) throw new GatewayError('mailbox-exists', to);
  if (from === INBOX && source !== undefined) {
    const target = createMailbox(context, tenant, { owner, name: to });
    moveMessages(context, tenant, {
      from: source.id,
      uids: allUids(context, source.id),
      to: target,
      filing: {},
    });
    return;
  }
  const { sql } = context;
  const superior = to.split(HIERARCHY).slice(0, -1).join(HIERARCHY);
  if (superior !== '' && findMailbox(context, tenant, owner, superior) === undefined)
    createMailbox(context, tenant, { owner, name: superior });
  for (const row of source === undefined ? children : [source, ...children]) {
    const name = to + row.name.slice(from.length);
    if (findMailbox(context, tenant, owner, name) !== undefined)
      throw new GatewayError('mailbox-exists', name);
    sql('UPDATE mailbox SET name = ? WHERE id = ?').run(name, row.id);
    context.changes.push({ topic: 'mailbox', tenant, mailbox: row.id });
  }
  context.changes.push({ topic: 'mailboxes', tenant, owner });
}

function childrenOf(
  context: WriteContext,
  tenant: string,
  owner: MailboxOwner,
  parent: string,
): MailboxRow[] {
  const prefix = parent + HIERARCHY;
  return context
    .sql(
      'SELECT * FROM mailbox WHERE tenant = ? AND owner_type = ? AND owner_name = ? AND substr(name, 1, ?) = ?',
    )
    .all(tenant, owner.type, owner.name, prefix.length, prefix) as MailboxRow[];
}

/** @throws GatewayError `mailbox-unknown`. */
export function deleteMailbox(
  context: WriteContext,
  tenant: string,
  { owner, name }: { owner: MailboxOwner; name: string },
): void {
  const mailbox = requireMailbox(context, tenant, owner, name);
  const { sql } = context;
  const objects = sql('SELECT DISTINCT object FROM mail WHERE mailbox = ?')
    .pluck()
    .all(mailbox.id) as string[];
  sql('DELETE FROM mail WHERE mailbox = ?').run(mailbox.id);
  sql('DELETE FROM mail_seen WHERE mailbox = ?').run(mailbox.id);
  sql('DELETE FROM expunged WHERE mailbox = ?').run(mailbox.id);
  sql('DELETE FROM mailbox WHERE id = ?').run(mailbox.id);
  for (const object of objects) releaseObject(context, tenant, object);
  context.changes.push(
    { topic: 'mailbox', tenant, mailbox: mailbox.id },
    { topic: 'mailboxes', tenant, owner },
  );
}

export function subscribeMailbox(
  context: WriteContext,
  tenant: string,
  { user, owner, name, subscribed }: { user: string; owner: MailboxOwner; name: string; subscribed: boolean },
): void {
  const statement = subscribed
    ? 'INSERT OR IGNORE INTO subscription (tenant, user, owner_type, owner_name, name) VALUES (?, ?, ?, ?, ?)'
    : 'DELETE FROM subscription WHERE tenant = ? AND user = ? AND owner_type = ? AND owner_name = ? AND name = ?';
  context.sql(statement).run(tenant, user, owner.type, owner.name, name);
}

export interface WireAppend {
  readonly mailbox: number;
  readonly message: WireMessage;
  readonly flags: readonly string[];
  readonly internalDate: number;
  readonly filing: Filing;
}

/** @throws GatewayError `mailbox-unknown`, `quota-exceeded`. */
export function appendMessage(
  context: WriteContext,
  tenant: string,
  { mailbox, message, flags, internalDate, filing }: WireAppend,
): { uid: number; modseq: number } {
  const target = requireMailboxId(context, tenant, mailbox);
  insertMessage(context, tenant, message);
  const placed = fileMail(context, target, filing, undefined, {
    object: message.object.object,
    prefix: Buffer.alloc(0),
    from: 0,
    size: message.object.size,
    flags,
    internalDate,
    messageId: message.messageId,
  });
  // Where a copy is there already, nothing names this one.
  if (isSentMailbox(target)) releaseObject(context, tenant, message.object.object);
  requireRoom(context, target, filing);
  return placed;
}

type Place = typeof fileClientsCopy;

/** A client's message: in a shared mailbox its \\Seen is that of the user alone. */
function fileMail(
  context: WriteContext,
  target: MailboxRow,
  { user, settable }: Filing,
  place: Place = isSentMailbox(target) ? fileClientsCopy : insertMail,
  mail: MailRow,
): { uid: number; modseq: number } {
  // Facts go along with a copy, whoever makes it.
  const flags = mail.flags.filter((flag) => isGatewayKeyword(flag) || mayTouch(settable, flag));
  if (target.owner_type !== 'shared') return place(context, target, { ...mail, flags });
  const placed = place(context, target, { ...mail, flags: flags.filter((flag) => flag !== '\\Seen') });
  if (user !== undefined && flags.includes('\\Seen'))
    context
      .sql('INSERT OR IGNORE INTO mail_seen (mailbox, uid, user) VALUES (?, ?, ?)')
      .run(target.id, placed.uid, user);
  return placed;
}

/**
 * After the fact, in the same transaction: nothing can come in between.
 * @param before the mailbox as it was: where it holds no more than that, a copy that was there already stands for it
 * @throws GatewayError `quota-exceeded`
 */
function requireRoom(context: WriteContext, before: MailboxRow, { quota }: Filing): void {
  if (quota === undefined) return;
  const { messages, bytes } = requireMailboxId(context, before.tenant, before.id);
  if (messages <= before.messages && bytes <= before.bytes) return;
  const used = context
    .sql(
      'SELECT SUM(messages) AS messages, SUM(bytes) AS bytes FROM mailbox WHERE tenant = ? AND owner_type = ? AND owner_name = ?',
    )
    .get(before.tenant, before.owner_type, before.owner_name) as { messages: number; bytes: number };
  if (used.bytes > (quota.bytes ?? Infinity) || used.messages > (quota.messages ?? Infinity))
    throw new GatewayError('quota-exceeded');
}

export function recordFingerprints(
  context: WriteContext,
  tenant: string,
  {
    mailbox,
    fingerprints,
  }: { mailbox: number; fingerprints: readonly (readonly [uid: number, fingerprint: string])[] },
): void {
  requireMailboxId(context, tenant, mailbox);
  for (const [uid, fingerprint] of fingerprints) {
    const object = context
      .sql('SELECT object FROM mail WHERE mailbox = ? AND uid = ?')
      .pluck()
      .get(mailbox, uid) as string | undefined;
    if (object !== undefined) insertFingerprint(context, tenant, object, fingerprint);
  }
}

interface StoredMail {
  uid: number;
  object: string;
  prefix: Buffer;
  object_from: number;
  size: number;
  internal_date: number;
  flags: string;
  message_id: string | null;
}

export interface WireCopy {
  readonly from: number;
  readonly uids: readonly number[];
  readonly to: number;
  readonly filing: Filing;
}

/** @throws GatewayError `mailbox-unknown`, `quota-exceeded`: then nothing is copied. */
export function copyMessages(
  context: WriteContext,
  tenant: string,
  { from, uids, to, filing }: WireCopy,
): CopyResult {
  const before = requireMailboxId(context, tenant, to);
  const copied = copyRows(context, tenant, { from, uids, to, filing });
  requireRoom(context, before, filing);
  return copied;
}

function copyRows(
  context: WriteContext,
  tenant: string,
  { from, uids, to, filing }: WireCopy,
  place?: Place,
): CopyResult {
  const source = requireMailboxId(context, tenant, from);
  const target = requireMailboxId(context, tenant, to);
  const pairs: [number, number][] = [];
  for (const uid of [...uids].sort((a, b) => a - b)) {
    const mail = context.sql('SELECT * FROM mail WHERE mailbox = ? AND uid = ?').get(from, uid) as
      | StoredMail
      | undefined;
    if (mail === undefined) continue;
    const copy = fileMail(context, target, filing, place, {
      object: mail.object,
      prefix: mail.prefix,
      from: mail.object_from,
      size: mail.size,
      flags: flagsFor(context, source, uid, mail.flags, filing.user),
      internalDate: mail.internal_date,
      messageId: mail.message_id,
    });
    pairs.push([uid, copy.uid]);
  }
  return { uidValidity: target.uidvalidity, pairs };
}

/** A message's flags as the user sees them: in a shared mailbox everybody has a \\Seen of their own. */
function flagsFor(
  context: WriteContext,
  mailbox: MailboxRow,
  uid: number,
  stored: string,
  user: string | undefined,
): string[] {
  const flags = stored === '' ? [] : stored.split(' ');
  if (mailbox.owner_type !== 'shared' || user === undefined) return flags;
  const seen = context
    .sql('SELECT 1 FROM mail_seen WHERE mailbox = ? AND uid = ? AND user = ?')
    .get(mailbox.id, uid, user);
  return [...flags.filter((flag) => flag !== '\\Seen'), ...(seen === undefined ? [] : ['\\Seen'])];
}

/** @throws GatewayError `mailbox-unknown`, `quota-exceeded`; within one tree nothing is added. */
export function moveMessages(context: WriteContext, tenant: string, move: WireCopy): CopyResult {
  const [from, to] = [move.from, move.to].map((id) => requireMailboxId(context, tenant, id)) as [
    MailboxRow,
    MailboxRow,
  ];
  // Within one mailbox, which RFC 6851 3.3 permits, the copy that is there is the one that goes.
  const result = copyRows(context, tenant, move, move.from === move.to ? insertMail : undefined);
  removeMails(
    context,
    tenant,
    move.from,
    result.pairs.map(([uid]) => uid),
  );
  if (from.owner_type !== to.owner_type || from.owner_name !== to.owner_name)
    requireRoom(context, to, move.filing);
  return result;
}

export function changeFlags(
  context: WriteContext,
  tenant: string,
  { mailbox, uids, change }: { mailbox: number; uids: readonly number[]; change: FlagChange },
): { changed: number[]; refused: number[] } {
  const row = requireMailboxId(context, tenant, mailbox);
  const { sql } = context;
  const perUserSeen = row.owner_type === 'shared' ? change.user : undefined;
  const changed: number[] = [];
  const refused: number[] = [];
  let modseq: number | null = null;
  for (const uid of uids) {
    const mail = sql('SELECT flags, modseq FROM mail WHERE mailbox = ? AND uid = ?').get(mailbox, uid) as
      | { flags: string; modseq: number }
      | undefined;
    if (mail === undefined) continue;
    if (change.unchangedSince !== undefined && mail.modseq > change.unchangedSince) {
      refused.push(uid);
      continue;
    }
    const before = flagsFor(context, row, uid, mail.flags, change.user);
    const after = applyFlags(before, change);
    if (sameFlags(before, after)) {
      changed.push(uid);
      continue;
    }
    modseq ??= nextModseq(sql, mailbox);
    const flags = perUserSeen === undefined ? after : after.filter((f) => f !== '\\Seen');
    sql('UPDATE mail SET flags = ?, seen = ?, modseq = ? WHERE mailbox = ? AND uid = ?').run(
      flags.join(' '),
      flags.includes('\\Seen') ? 1 : 0,
      modseq,
      mailbox,
      uid,
    );
    if (perUserSeen !== undefined) {
      sql(
        after.includes('\\Seen')
          ? 'INSERT OR IGNORE INTO mail_seen (mailbox, uid, user) VALUES (?, ?, ?)'
          : 'DELETE FROM mail_seen WHERE mailbox = ? AND uid = ? AND user = ?',
      ).run(mailbox, uid, perUserSeen);
    }
    changed.push(uid);
  }
  if (modseq !== null) context.changes.push({ topic: 'mailbox', tenant, mailbox });
  return { changed, refused };
}

/** Flags compare without case (RFC 3501 2.3.2); the first spelling stays. */
function applyFlags(before: readonly string[], change: FlagChange): string[] {
  const wanted = new Map(
    change.flags
      .filter((f) => f.toLowerCase() !== '\\recent' && mayTouch(change.settable, f))
      .map((f) => [f.toLowerCase(), f]),
  );
  const kept =
    change.op === 'replace'
      ? before.filter((f) => wanted.has(f.toLowerCase()) || !mayTouch(change.settable, f))
      : before.filter((f) => change.op === 'add' || !wanted.has(f.toLowerCase()));
  if (change.op === 'remove') return kept;
  const have = new Set(kept.map((f) => f.toLowerCase()));
  return [...kept, ...[...wanted].filter(([key]) => !have.has(key)).map(([, flag]) => flag)];
}

function mayTouch(rights: FlagRights | undefined, flag: string): boolean {
  if (rights === undefined) return true;
  if (isGatewayKeyword(flag)) return false;
  const name = flag.toLowerCase();
  if (name === '\\seen') return rights.seen;
  return name === '\\deleted' ? rights.deleted : rights.others;
}

function sameFlags(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((f) => b.includes(f));
}

export function expunge(
  context: WriteContext,
  tenant: string,
  { mailbox, uids }: { mailbox: number; uids: readonly number[] | null },
): { uids: number[]; modseq: number } {
  const row = requireMailboxId(context, tenant, mailbox);
  const deleted = (
    context.sql('SELECT uid, flags FROM mail WHERE mailbox = ? ORDER BY uid').all(mailbox) as {
      uid: number;
      flags: string;
    }[]
  )
    .filter((m) => m.flags.split(' ').some((f) => f.toLowerCase() === '\\deleted'))
    .map((m) => m.uid);
  const limit = uids === null ? null : new Set(uids);
  const gone = limit === null ? deleted : deleted.filter((uid) => limit.has(uid));
  return { uids: gone, modseq: gone.length === 0 ? row.modseq : removeMails(context, tenant, mailbox, gone) };
}

function allUids(context: WriteContext, mailbox: number): number[] {
  return context.sql('SELECT uid FROM mail WHERE mailbox = ? ORDER BY uid').pluck().all(mailbox) as number[];
}

function requireMailbox(
  context: WriteContext,
  tenant: string,
  owner: MailboxOwner,
  name: string,
): MailboxRow {
  const row = findMailbox(context, tenant, owner, name);
  if (row === undefined) throw new GatewayError('mailbox-unknown', name);
  return row;
}

/** A mailbox id is only good under its own tenant. */
function requireMailboxId(context: WriteContext, tenant: string, id: number): MailboxRow {
  const row = context.sql('SELECT * FROM mailbox WHERE id = ? AND tenant = ?').get(id, tenant) as
    | MailboxRow
    | undefined;
  if (row === undefined) throw new GatewayError('mailbox-unknown');
  return row;
}
