/**
 * One copy of each De-Mail in a Sent mailbox. The gateway files its own in the commit of the submission; clients append
 * another, before or after, several of them where a user has several. Which are the same is told by the fingerprint that
 * each came with, so it is settled in the commit of whatever comes second, also after a restart.
 */

import { SENT_USE } from '../../../directory/mailboxes.ts';
import { isGatewayKeyword, letterKeywordNames } from '../../../evidence/keywords.ts';
import { keywordsOfRendering } from '../keywords.ts';
import { nextModseq } from '../next-modseq.ts';
import { letterOf } from '../renderings.ts';
import type { WriteContext } from '../write-context.ts';
import { insertMail, type MailboxRow, type MailRow } from './deposit.ts';
import { removeMails } from './removal.ts';

interface Copy {
  readonly uid: number;
  readonly object: string;
  readonly flags: string;
  readonly modseq: number;
}

type Placed = { readonly uid: number; readonly modseq: number };

export function isSentMailbox(mailbox: Pick<MailboxRow, 'special_use'>): boolean {
  return mailbox.special_use === SENT_USE;
}

/**
 * The copy of a letter that is accepted in this commit; its entry is not written yet. Every letter gets one of its own.
 * A client's copy gives way to it; one of the same bytes becomes it, and keeps its UID.
 */
export function fileLettersCopy(context: WriteContext, mailbox: MailboxRow, mail: MailRow): void {
  const early = copiesOf(context, mailbox, mail).filter(
    ({ object }) => letterOf(context.sql, mailbox.tenant, object) === null,
  );
  const same = early.find(({ object }) => object === mail.object);
  const { uid } = same ?? insertMail(context, mailbox, mail);
  if (same !== undefined) takeOver(context, mailbox, uid, mail.flags);
  giveWay(
    context,
    mailbox,
    early.filter((copy) => copy !== same),
    uid,
  );
}

/** A message that a client appends, copies or moves there: the copy that is there already, or a new one. */
export function fileClientsCopy(context: WriteContext, mailbox: MailboxRow, mail: MailRow): Placed {
  const { sql } = context;
  const isLetter = (object: string) => letterOf(sql, mailbox.tenant, object) !== null;
  const copies = copiesOf(context, mailbox, mail);
  const known = copies.find(({ object }) => object === mail.object);
  if (known !== undefined) return takeOver(context, mailbox, known.uid, mail.flags);
  const ofLetters = copies.filter(({ object }) => isLetter(object));
  if (isLetter(mail.object)) {
    // A letter's own copy comes back, such as from the archive: it is the one that stays.
    const placed = insertMail(context, mailbox, mail);
    giveWay(
      context,
      mailbox,
      copies.filter((copy) => !ofLetters.includes(copy)),
      placed.uid,
    );
    return placed;
  }
  const filed = ofLetters[0] ?? copies[0];
  if (filed !== undefined) return takeOver(context, mailbox, filed.uid, mail.flags);
  const flags = [
    ...mail.flags.filter((flag) => !letterKeywordNames.includes(flag)),
    ...keywordsOfRendering(context, mailbox, mail.object),
  ];
  return insertMail(context, mailbox, { ...mail, flags });
}

/** Copies of the same message that lie in the mailbox. */
function copiesOf({ sql }: WriteContext, mailbox: MailboxRow, mail: MailRow): Copy[] {
  if (mail.messageId === null) return [];
  // Hardly any letter finds another under its Message-ID. Without the name of the index SQLite walks the mailbox, for its order.
  const candidates = sql(
    `SELECT uid, object, flags, modseq FROM mail INDEXED BY mail_message_id
     WHERE mailbox = ? AND message_id = ? ORDER BY uid`,
  ).all(mailbox.id, mail.messageId) as Copy[];
  if (candidates.length === 0) return candidates;
  const fingerprintOf = sql('SELECT fingerprint FROM fingerprint WHERE tenant = ? AND object = ?').pluck();
  const wanted = fingerprintOf.get(mailbox.tenant, mail.object);
  if (wanted === undefined) return [];
  return candidates.filter(({ object }) => fingerprintOf.get(mailbox.tenant, object) === wanted);
}

/** Takes copies out of the mailbox; what a person marked on them goes over to the one that stays. */
function giveWay(context: WriteContext, mailbox: MailboxRow, copies: readonly Copy[], staying: number): void {
  if (copies.length === 0) return;
  for (const { uid, flags } of copies) {
    takeOver(context, mailbox, staying, flags.split(' '));
    context
      .sql(
        'INSERT OR IGNORE INTO mail_seen (mailbox, uid, user) SELECT mailbox, ?, user FROM mail_seen WHERE mailbox = ? AND uid = ?',
      )
      .run(staying, mailbox.id, uid);
  }
  removeMails(
    context,
    mailbox.tenant,
    mailbox.id,
    copies.map(({ uid }) => uid),
  );
}

/**
 * Adds the flags of a copy that is not filed or goes. Not \Deleted, which is done with it, and is taken off the one that
 * stands for it: else the next EXPUNGE would take along what was filed for good. Not \Draft, for a letter is none; and
 * no keyword that states a fact, which is the gateway's to set.
 */
function takeOver(context: WriteContext, mailbox: MailboxRow, uid: number, flags: readonly string[]): Placed {
  const { sql } = context;
  const stored = sql('SELECT uid, object, flags, modseq FROM mail WHERE mailbox = ? AND uid = ?').get(
    mailbox.id,
    uid,
  ) as Copy;
  const before = stored.flags === '' ? [] : stored.flags.split(' ');
  const kept = before.filter((flag) => flag.toLowerCase() !== '\\deleted');
  const have = new Set(before.map((flag) => flag.toLowerCase()));
  const added = flags.filter(
    (flag) =>
      flag !== '' &&
      !have.has(flag.toLowerCase()) &&
      !isGatewayKeyword(flag) &&
      !['\\deleted', '\\draft', '\\recent'].includes(flag.toLowerCase()),
  );
  if (added.length === 0 && kept.length === before.length) return stored;
  const after = [...kept, ...new Set(added)];
  const modseq = nextModseq(sql, mailbox.id);
  sql('UPDATE mail SET flags = ?, seen = ?, modseq = ? WHERE mailbox = ? AND uid = ?').run(
    after.join(' '),
    after.includes('\\Seen') ? 1 : 0,
    modseq,
    mailbox.id,
    uid,
  );
  context.changes.push({ topic: 'mailbox', tenant: mailbox.tenant, mailbox: mailbox.id });
  return { uid, modseq };
}
