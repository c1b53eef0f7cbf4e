/**
 * A queue that came out of a backup, or stands before lost entries: what it holds may have been sent since. Nothing of
 * it leaves before the provider's confirmations and Sent copies, or an operator, have said what became of it.
 */
import type { WriteContext } from './write-context.ts';

/** The time at which a held forwarding is due: never. Epoch ms of 9999-12-31. */
export const NEVER = 253_402_214_400_000;

/** Once after a restore, as soon as the log may be continued. */
export function doubtRestored(context: WriteContext, tenant: string): void {
  const reason = context.sql('SELECT reason FROM restored WHERE tenant = ?').pluck().get(tenant) as
    | string
    | undefined;
  if (reason === undefined) return;
  doubtQueue(context, tenant, reason);
}

/** An operator lets a forwarding go now. @throws Error where it does not wait */
export function rescheduleForward(
  context: WriteContext,
  tenant: string,
  { letter, nextAttempt }: { readonly letter: number; readonly nextAttempt: number },
): void {
  const { changes } = context
    .sql(`UPDATE forward SET next_attempt = ? WHERE tenant = ? AND letter = ? AND state = 'queued'`)
    .run(nextAttempt, tenant, letter);
  if (changes === 0) throw new Error(`${tenant}/${letter} is not waiting to be forwarded`);
  context.changes.push({ topic: 'forward', tenant });
}

/** Puts every hand-over that waits in doubt, and holds every forwarding. */
export function doubtQueue(context: WriteContext, tenant: string, reply: string): void {
  const { sql } = context;
  sql('DELETE FROM restored WHERE tenant = ?').run(tenant);
  const waiting = sql(
    `SELECT letter, tx, attempts FROM outbox WHERE tenant = ? AND state = 'queued' ORDER BY letter, tx`,
  ).all(tenant) as { letter: number; tx: number; attempts: number }[];
  for (const { letter, tx, attempts } of waiting) {
    const addresses = sql(
      'SELECT address FROM outbox_recipient WHERE tenant = ? AND letter = ? AND tx = ? ORDER BY address',
    )
      .pluck()
      .all(tenant, letter, tx) as string[];
    context.append(tenant, {
      kind: 'handover-outcome',
      letter,
      transaction: tx,
      attempt: attempts,
      result: 'in-doubt',
      recipients: addresses.map((address) => ({ address, result: 'deferred', reply })),
      reply,
      peer: { endpoint: '' },
    });
    sql(
      `UPDATE outbox SET state = 'in-doubt', last_reply = ? WHERE tenant = ? AND letter = ? AND tx = ?`,
    ).run(reply, tenant, letter, tx);
  }
  const forwards = sql(
    'SELECT letter, attempts, recipients FROM forward WHERE tenant = ? ORDER BY letter',
  ).all(tenant) as { letter: number; attempts: number; recipients: string }[];
  for (const { letter, attempts, recipients } of forwards) {
    context.append(tenant, {
      kind: 'forward-outcome',
      letter,
      attempt: attempts,
      result: 'in-doubt',
      recipients: (JSON.parse(recipients) as string[]).map((address) => ({
        address,
        result: 'deferred',
        reply,
      })),
      reply,
      peer: { endpoint: '' },
    });
    sql(
      `UPDATE forward SET state = 'queued', next_attempt = ?, last_reply = ? WHERE tenant = ? AND letter = ?`,
    ).run(NEVER, reply, tenant, letter);
  }
}
