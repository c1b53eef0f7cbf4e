/** The mod-sequence of a change in a mailbox (RFC 7162): greater than every one before, and the mailbox's HIGHESTMODSEQ. */
import type Database from 'better-sqlite3';

export function nextModseq(sql: (text: string) => Database.Statement, mailbox: number): number {
  const row = sql('UPDATE mailbox SET modseq = modseq + 1 WHERE id = ? RETURNING modseq').get(mailbox);
  return (row as { modseq: number }).modseq;
}
