/** Taking copies out of mailboxes. */
import { nextModseq } from '../next-modseq.ts';
import type { WriteContext } from '../write-context.ts';
import { releaseObject } from './object.ts';

export function removeMails(
  context: WriteContext,
  tenant: string,
  mailbox: number,
  uids: readonly number[],
): number {
  const { sql } = context;
  const modseq = nextModseq(sql, mailbox);
  for (const uid of uids) {
    const object = sql('DELETE FROM mail WHERE mailbox = ? AND uid = ? RETURNING object')
      .pluck()
      .get(mailbox, uid) as string | undefined;
    sql('DELETE FROM mail_seen WHERE mailbox = ? AND uid = ?').run(mailbox, uid);
    sql('INSERT INTO expunged (mailbox, uid, modseq) VALUES (?, ?, ?)').run(mailbox, uid, modseq);
    if (object !== undefined) releaseObject(context, tenant, object);
  }
  context.changes.push({ topic: 'mailbox', tenant, mailbox });
  return modseq;
}

/** Expunges every copy of the object, in whatever mailbox it lies. */
export function removeCopies(context: WriteContext, tenant: string, object: string): void {
  const rows = context
    .sql('SELECT mailbox, uid FROM mail WHERE tenant = ? AND object = ?')
    .all(tenant, object) as { mailbox: number; uid: number }[];
  for (const mailbox of new Set(rows.map((row) => row.mailbox)))
    removeMails(
      context,
      tenant,
      mailbox,
      rows.filter((row) => row.mailbox === mailbox).map(({ uid }) => uid),
    );
}
