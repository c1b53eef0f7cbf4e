/**
 * The daily quota, counted from the evidence itself: nothing to keep in step, nothing to lose in a restart. The writer
 * is one thread, so no two submissions see the same rest.
 */
import { GatewayError } from '../../errors.ts';
import type { Transaction } from '../../evidence/entry.ts';
import type { DailyQuota } from '../store.ts';
import type { WriteContext } from './write-context.ts';

/** Rows looked at in one go on the way back to the begin of the day. */
const STEP = 500;

/** @throws GatewayError `daily-quota` where the transactions are more than is left */
export function checkDailyQuota(
  context: WriteContext,
  tenant: string,
  quota: DailyQuota,
  transactions: readonly Transaction[],
): void {
  const used = usedSince(context, tenant, quota.since);
  const asked = {
    messages: transactions.length,
    recipients: transactions.reduce((sum, t) => sum + new Set([...t.to, ...t.cc, ...t.bcc]).size, 0),
  };
  for (const what of ['messages', 'recipients'] as const) {
    if (used[what] + asked[what] > quota[what])
      throw new GatewayError('daily-quota', `${what} ${used[what]}`);
  }
}

interface Used {
  readonly messages: number;
  readonly recipients: number;
}

/** Every hand-over has a private-id of its own, with 128 random bits. */
function usedSince({ sql }: WriteContext, tenant: string, since: number): Used {
  const time = new Date(since).toISOString();
  let from = Number.MAX_SAFE_INTEGER;
  for (;;) {
    const rows = sql(
      'SELECT idx, time FROM message WHERE tenant = ? AND idx < ? ORDER BY idx DESC LIMIT ?',
    ).all(tenant, from, STEP) as { idx: number; time: string }[];
    const oldest = rows.at(-1);
    if (oldest === undefined) break;
    from = oldest.idx;
    if (oldest.time < time) break;
  }
  return sql(
    `SELECT COUNT(DISTINCT r.private_id) AS messages, COUNT(*) AS recipients
       FROM message m JOIN message_recipient r ON r.tenant = m.tenant AND r.idx = m.idx
       WHERE m.tenant = ? AND m.idx >= ? AND m.kind = 'submission' AND m.time >= ?`,
  ).get(tenant, from, time) as Used;
}
