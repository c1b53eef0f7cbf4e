/** Commands on the way out: submission, hand-over, expiry. Each writes its rows and its entry. */
import type {
  ExpiredEntry,
  HandoverIntentEntry,
  HandoverOutcomeEntry,
  HandoverSettledEntry,
  SubmissionEntry,
} from '../../../evidence/entry.ts';
import type { DailyQuota } from '../../store.ts';
import { checkDailyQuota } from '../daily-quota.ts';
import type { WriteContext } from '../write-context.ts';
import { deliverNotices } from './arrivals.ts';
import { deposit, insertMail } from './deposit.ts';
import { insertMessage, insertObject } from './object.ts';
import { fileLettersCopy, isSentMailbox } from './sent-copies.ts';
import { keepSignatures } from './signatures.ts';
import {
  factOf,
  type WireDeposit,
  type WireMessage,
  type WireNotice,
  type WireObject,
  type WireSignature,
} from './wire.ts';

type Body<E> = Omit<E, 'kind' | 'delivered' | 'message'>;

export interface WireSubmission {
  readonly body: Omit<Body<SubmissionEntry>, 'signatures'>;
  readonly message: WireMessage;
  readonly signatures: readonly WireSignature[] | null;
  readonly deposits: readonly WireDeposit[];
  readonly dailyQuota: DailyQuota | null;
}

export function acceptSubmission(
  context: WriteContext,
  tenant: string,
  { body, message, signatures, deposits, dailyQuota }: WireSubmission,
): { letter: number } {
  if (dailyQuota !== null) checkDailyQuota(context, tenant, dailyQuota, body.transactions);
  insertMessage(context, tenant, message);
  const delivered = deposit(context, tenant, deposits, message, (_, mailbox, mail) =>
    (isSentMailbox(mailbox) ? fileLettersCopy : insertMail)(context, mailbox, mail),
  );
  const entry = context.append(tenant, {
    kind: 'submission',
    ...body,
    ...keepSignatures(context, tenant, signatures),
    message: factOf(message.object),
    delivered,
  });
  for (const t of body.transactions) {
    context
      .sql(
        `INSERT INTO outbox (tenant, letter, tx, private_id, state, attempts, accepted_at, next_attempt, last_reply) VALUES (?, ?, ?, ?, 'queued', 0, ?, ?, NULL)`,
      )
      .run(tenant, entry.index, t.id, t.privateId, context.now, context.now);
    for (const address of new Set([...t.to, ...t.cc, ...t.bcc])) {
      context
        .sql('INSERT INTO outbox_recipient (tenant, letter, tx, address) VALUES (?, ?, ?, ?)')
        .run(tenant, entry.index, t.id, address);
    }
  }
  context.changes.push({ topic: 'outbox', tenant });
  return { letter: entry.index };
}

export interface WireIntent {
  readonly body: Omit<Body<HandoverIntentEntry>, 'handed'>;
  readonly handed: {
    readonly sha256: string;
    readonly size: number;
    readonly header: WireObject;
    readonly bodyFrom: number;
  };
}

export function recordHandoverIntent(
  context: WriteContext,
  tenant: string,
  { body, handed }: WireIntent,
): void {
  const state = stateOf(context, tenant, body.letter, body.transaction);
  if (state !== 'queued')
    throw new Error(
      `transaction ${tenant}/${body.letter}.${body.transaction} is ${state ?? 'not in the outbox'}, it cannot be attempted`,
    );
  const open = openRecipients(context, tenant, body.letter, body.transaction);
  const foreign = body.recipients.filter((address) => !open.has(address));
  if (foreign.length > 0)
    throw new Error(
      `transaction ${tenant}/${body.letter}.${body.transaction} has no open recipient ${foreign.join(', ')}`,
    );
  insertObject(context, tenant, handed.header, null);
  context.append(tenant, {
    kind: 'handover-intent',
    ...body,
    handed: {
      sha256: handed.sha256,
      size: handed.size,
      header: factOf(handed.header),
      bodyFrom: handed.bodyFrom,
    },
  });
  context
    .sql(`UPDATE outbox SET state = 'attempting', attempts = ? WHERE tenant = ? AND letter = ? AND tx = ?`)
    .run(body.attempt, tenant, body.letter, body.transaction);
}

export interface WireOutcome {
  readonly body: Body<HandoverOutcomeEntry>;
  readonly nextAttempt: number | null;
  readonly notices: readonly WireNotice[];
}

export function recordHandoverOutcome(
  context: WriteContext,
  tenant: string,
  { body, nextAttempt, notices }: WireOutcome,
): void {
  const state = stateOf(context, tenant, body.letter, body.transaction);
  if (state !== 'attempting')
    throw new Error(
      `transaction ${tenant}/${body.letter}.${body.transaction} is ${state ?? 'not in the outbox'}, it has no outcome`,
    );
  context.append(tenant, { kind: 'handover-outcome', ...body });
  deliverNotices(context, tenant, notices);
  if (body.result === 'in-doubt') {
    context
      .sql(`UPDATE outbox SET state = 'in-doubt', last_reply = ? WHERE tenant = ? AND letter = ? AND tx = ?`)
      .run(body.reply, tenant, body.letter, body.transaction);
    return;
  }
  for (const r of body.recipients) {
    if (r.result !== 'deferred') removeRecipient(context, tenant, body.letter, body.transaction, r.address);
  }
  if (closeIfDone(context, tenant, body.letter, body.transaction)) return;
  if (nextAttempt === null) throw new Error('a deferred hand-over needs the time of its next attempt');
  context
    .sql(
      `UPDATE outbox SET state = 'queued', next_attempt = ?, last_reply = ? WHERE tenant = ? AND letter = ? AND tx = ?`,
    )
    .run(nextAttempt, body.reply, tenant, body.letter, body.transaction);
  context.changes.push({ topic: 'outbox', tenant });
}

export function settleHandover(
  context: WriteContext,
  tenant: string,
  { body, notices }: { readonly body: Body<HandoverSettledEntry>; readonly notices: readonly WireNotice[] },
): void {
  const state = stateOf(context, tenant, body.letter, body.transaction);
  if (state === undefined)
    throw new Error(`transaction ${tenant}/${body.letter}.${body.transaction} is not in the outbox`);
  context.append(tenant, { kind: 'handover-settled', ...body });
  deliverNotices(context, tenant, notices);
  if (body.decision === 'resend') {
    context
      .sql(`UPDATE outbox SET state = 'queued', next_attempt = ? WHERE tenant = ? AND letter = ? AND tx = ?`)
      .run(context.now, tenant, body.letter, body.transaction);
  } else {
    for (const address of body.recipients)
      removeRecipient(context, tenant, body.letter, body.transaction, address);
    // Recipients that the doubtful attempt did not name were waiting for another: they wait no longer.
    if (!closeIfDone(context, tenant, body.letter, body.transaction) && state === 'in-doubt') {
      context
        .sql(
          `UPDATE outbox SET state = 'queued', next_attempt = ? WHERE tenant = ? AND letter = ? AND tx = ?`,
        )
        .run(context.now, tenant, body.letter, body.transaction);
    }
  }
  context.changes.push({ topic: 'outbox', tenant });
}

export function expireRecipients(context: WriteContext, tenant: string, body: Body<ExpiredEntry>): void {
  if (stateOf(context, tenant, body.letter, body.transaction) === undefined)
    throw new Error(`transaction ${tenant}/${body.letter}.${body.transaction} is not in the outbox`);
  context.append(tenant, { kind: 'expired', ...body });
  for (const address of body.recipients)
    removeRecipient(context, tenant, body.letter, body.transaction, address);
  closeIfDone(context, tenant, body.letter, body.transaction);
}

export function rescheduleTransaction(
  context: WriteContext,
  tenant: string,
  at: { letter: number; transaction: number; nextAttempt: number },
): void {
  const { changes } = context
    .sql(`UPDATE outbox SET next_attempt = ? WHERE tenant = ? AND letter = ? AND tx = ? AND state = 'queued'`)
    .run(at.nextAttempt, tenant, at.letter, at.transaction);
  if (changes === 0)
    throw new Error(`transaction ${tenant}/${at.letter}.${at.transaction} is not waiting in the outbox`);
  context.changes.push({ topic: 'outbox', tenant });
}

function stateOf(context: WriteContext, tenant: string, letter: number, tx: number): string | undefined {
  return (
    context
      .sql('SELECT state FROM outbox WHERE tenant = ? AND letter = ? AND tx = ?')
      .get(tenant, letter, tx) as { state: string } | undefined
  )?.state;
}

function openRecipients(context: WriteContext, tenant: string, letter: number, tx: number): Set<string> {
  return new Set(
    context
      .sql('SELECT address FROM outbox_recipient WHERE tenant = ? AND letter = ? AND tx = ?')
      .pluck()
      .all(tenant, letter, tx) as string[],
  );
}

function removeRecipient(
  context: WriteContext,
  tenant: string,
  letter: number,
  tx: number,
  address: string,
): void {
  context
    .sql('DELETE FROM outbox_recipient WHERE tenant = ? AND letter = ? AND tx = ? AND address = ?')
    .run(tenant, letter, tx, address);
}

/** Takes a transaction without open recipients out of the outbox. */
function closeIfDone(context: WriteContext, tenant: string, letter: number, tx: number): boolean {
  if (openRecipients(context, tenant, letter, tx).size > 0) return false;
  context.sql('DELETE FROM outbox WHERE tenant = ? AND letter = ? AND tx = ?').run(tenant, letter, tx);
  return true;
}
