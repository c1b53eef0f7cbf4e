/** Reads over verdicts, what is awaited, what waits, and locks. */
import type { CheckFact, Entry, VerdictEntry } from '../../evidence/entry.ts';
import type { AwaitedConfirmation, Reader } from '../store.ts';
import type { ReadContext } from './read-context.ts';
import { holdRows } from './tenant-logs.ts';

type JudgementReader = Pick<
  Reader,
  | 'dueReverifications'
  | 'nextReverificationAt'
  | 'latestVerdict'
  | 'verdictsAbout'
  | 'awaited'
  | 'missingSentCopies'
  | 'waitingPrivate'
  | 'lock'
>;

export function judgementReader(context: ReadContext): JudgementReader {
  const { sql } = context;
  return {
    async dueReverifications(tenant, now, limit) {
      return sql(
        'SELECT idx FROM reverify WHERE tenant = ? AND next_attempt <= ? ORDER BY next_attempt LIMIT ?',
      )
        .pluck()
        .all(tenant, now, limit) as number[];
    },
    async nextReverificationAt(tenant, now) {
      return sql('SELECT MIN(next_attempt) FROM reverify WHERE tenant = ? AND next_attempt > ?')
        .pluck()
        .get(tenant, now) as number | null;
    },
    async latestVerdict(tenant, index) {
      const later = sql('SELECT MAX(idx) FROM verdict WHERE tenant = ? AND about = ?')
        .pluck()
        .get(tenant, index) as number | null;
      const entry = context.entry(tenant, later ?? index);
      if (entry === null || !('verdict' in entry)) return null;
      return { index: entry.index, verdict: entry.verdict, time: entry.time, checks: checksOf(entry) };
    },
    async verdictsAbout(tenant, index) {
      const later = sql('SELECT idx FROM verdict WHERE tenant = ? AND about = ? ORDER BY idx')
        .pluck()
        .all(tenant, index) as number[];
      return later
        .map((idx) => context.entry(tenant, idx))
        .filter((entry): entry is Entry & VerdictEntry => entry?.kind === 'verdict');
    },
    async awaited(tenant, confirmation, before, limit) {
      return sql(
        'SELECT letter, recipient, confirmation, since FROM awaited WHERE tenant = ? AND confirmation = ? AND told = 0 AND since IS NOT NULL AND since <= ? ORDER BY since LIMIT ?',
      ).all(tenant, confirmation, before, limit) as AwaitedConfirmation[];
    },
    async missingSentCopies(tenant, from, to, limit) {
      const letters = sql(
        "SELECT letter FROM awaited WHERE tenant = ? AND confirmation = 'sent-copy' AND told = 0 AND since IS NOT NULL AND since BETWEEN ? AND ? ORDER BY since LIMIT ?",
      )
        .pluck()
        .all(tenant, from, to, limit) as number[];
      return [...new Set(letters)];
    },
    async waitingPrivate(tenant) {
      const rows = sql('SELECT idx, address FROM waiting_private WHERE tenant = ? ORDER BY idx, address').all(
        tenant,
      ) as { idx: number; address: string }[];
      const messages = new Map<number, string[]>();
      for (const { idx, address } of rows) messages.set(idx, [...(messages.get(idx) ?? []), address]);
      return [...messages].map(([index, addresses]) => ({ index, addresses }));
    },
    async lock(tenant) {
      const [hold] = holdRows(sql, tenant);
      if (hold !== undefined)
        return { reason: `the evidence log is held: ${hold.reason}`, since: hold.since, actor: 'gateway' };
      return (
        (sql('SELECT reason, since, actor FROM tenant_lock WHERE tenant = ?').get(tenant) as
          | { reason: string; since: string; actor: string }
          | undefined) ?? null
      );
    },
  };
}

function checksOf(entry: Entry): readonly CheckFact[] {
  return 'checks' in entry && entry.checks !== undefined ? entry.checks : [];
}
