/** Reads over what is still to be done: outbox, forwarding, what was fetched. */
import { keyedDigest } from '../sealing.ts';
import type { ForwardItem, OutboxItem, Reader } from '../store.ts';
import type { ReadContext } from './read-context.ts';

type QueueReader = Pick<
  Reader,
  | 'dueTransactions'
  | 'nextTransactionAt'
  | 'openTransactions'
  | 'transaction'
  | 'dueForwards'
  | 'nextForwardAt'
  | 'openForwards'
  | 'fetchedUids'
  | 'fetchedAs'
  | 'openIntents'
>;

interface OutboxRow {
  tenant: string;
  letter: number;
  tx: number;
  private_id: string;
  state: OutboxItem['state'];
  attempts: number;
  accepted_at: number;
  next_attempt: number;
  last_reply: string | null;
}

interface ForwardRow {
  tenant: string;
  letter: number;
  recipients: string;
  prefix: Buffer;
  object: string;
  size: number;
  state: ForwardItem['state'];
  attempts: number;
  accepted_at: number;
  next_attempt: number;
  last_reply: string | null;
}

export function queueReader(context: ReadContext): QueueReader {
  const { sql } = context;

  function item(row: OutboxRow): OutboxItem {
    return {
      tenant: row.tenant,
      letter: row.letter,
      transaction: row.tx,
      privateId: row.private_id,
      recipients: sql('SELECT address FROM outbox_recipient WHERE tenant = ? AND letter = ? AND tx = ?')
        .pluck()
        .all(row.tenant, row.letter, row.tx) as string[],
      state: row.state,
      attempts: row.attempts,
      acceptedAt: row.accepted_at,
      nextAttempt: row.next_attempt,
      lastReply: row.last_reply,
    };
  }

  return {
    async dueTransactions(tenant, now, limit) {
      const rows = sql(
        `SELECT * FROM outbox WHERE tenant = ? AND state = 'queued' AND next_attempt <= ? ORDER BY next_attempt, letter, tx LIMIT ?`,
      ).all(tenant, now, limit);
      return (rows as OutboxRow[]).map(item);
    },
    async nextTransactionAt(tenant, now) {
      return sql(
        `SELECT MIN(next_attempt) FROM outbox WHERE tenant = ? AND state = 'queued' AND next_attempt > ?`,
      )
        .pluck()
        .get(tenant, now) as number | null;
    },
    async openTransactions(tenant) {
      return (
        sql('SELECT * FROM outbox WHERE tenant = ? ORDER BY letter, tx').all(tenant) as OutboxRow[]
      ).map(item);
    },
    async transaction(tenant, letter, transaction) {
      const row = sql('SELECT * FROM outbox WHERE tenant = ? AND letter = ? AND tx = ?').get(
        tenant,
        letter,
        transaction,
      ) as OutboxRow | undefined;
      return row === undefined ? null : item(row);
    },

    async dueForwards(tenant, now, limit) {
      const rows = sql(
        `SELECT * FROM forward WHERE tenant = ? AND state = 'queued' AND next_attempt <= ? ORDER BY next_attempt, letter LIMIT ?`,
      ).all(tenant, now, limit);
      return (rows as ForwardRow[]).map(toForward);
    },
    async nextForwardAt(tenant, now) {
      return sql(
        `SELECT MIN(next_attempt) FROM forward WHERE tenant = ? AND state = 'queued' AND next_attempt > ?`,
      )
        .pluck()
        .get(tenant, now) as number | null;
    },
    async openForwards(tenant) {
      return (sql('SELECT * FROM forward WHERE tenant = ? ORDER BY letter').all(tenant) as ForwardRow[]).map(
        toForward,
      );
    },

    async fetchedUids(tenant, account, folder, uidValidity) {
      return new Set(
        sql('SELECT uid FROM fetched WHERE tenant = ? AND account = ? AND folder = ? AND uidvalidity = ?')
          .pluck()
          .all(tenant, account, folder, uidValidity) as number[],
      );
    },
    async fetchedAs(tenant, account, sha256) {
      const object = keyedDigest(context.keys(tenant).address, sha256);
      const index = sql('SELECT MIN(idx) FROM fetched WHERE tenant = ? AND account = ? AND object = ?')
        .pluck()
        .get(tenant, account, object);
      return index as number | null;
    },
    async openIntents(tenant) {
      const indexes = sql('SELECT idx FROM open_intent WHERE tenant = ? ORDER BY idx').pluck().all(tenant);
      return (indexes as number[]).flatMap((index) => {
        const entry = context.entry(tenant, index);
        return entry?.kind === 'login-intent' || entry?.kind === 'deletion-intent' ? [entry] : [];
      });
    },
  };
}

function toForward(row: ForwardRow): ForwardItem {
  return {
    tenant: row.tenant,
    letter: row.letter,
    recipients: JSON.parse(row.recipients) as string[],
    source: { prefix: row.prefix, object: row.object, from: 0 },
    size: row.size,
    state: row.state,
    attempts: row.attempts,
    acceptedAt: row.accepted_at,
    nextAttempt: row.next_attempt,
    lastReply: row.last_reply,
  };
}
