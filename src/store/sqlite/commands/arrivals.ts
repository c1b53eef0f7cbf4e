/** Commands on the way in: fetched messages, notices, forwarding, and records of what people did. */
import type {
  AccessEntry,
  ConfirmationEntry,
  ForwardIntentEntry,
  ForwardOutcomeEntry,
  InboundEntry,
  IncidentEntry,
  NotificationEntry,
  OperationEntry,
  SentCopyEntry,
} from '../../../evidence/entry.ts';
import { doubtRestored } from '../restored-queue.ts';
import type { WriteContext } from '../write-context.ts';
import { openedBody } from '../writer-log.ts';
import { deposit } from './deposit.ts';
import { planReverification, recordVerdict, type WireVerdict } from './judgement.ts';
import { dropStaged, insertMessage, releaseObject } from './object.ts';
import { queueForward, type WireForward } from './queue-forward.ts';
import { hold } from './scanning.ts';
import { keepSignatures } from './signatures.ts';
import { factOf, type WireDeposit, type WireMessage, type WireNotice, type WireSignature } from './wire.ts';

type Body<E> = Omit<E, 'kind' | 'delivered' | 'message'>;
type FetchedBody<E> = Omit<Body<E>, 'signatures'>;

export function openTenant(context: WriteContext, tenant: string): void {
  const log = context.log(tenant);
  if (log.held) return;
  if (log.edge.size + log.pending.length === 0) context.append(tenant, openedBody(log));
  doubtRestored(context, tenant);
}

export type WireFetchedBody =
  | ({ readonly kind: 'inbound' } & FetchedBody<InboundEntry>)
  | ({ readonly kind: 'confirmation' } & FetchedBody<ConfirmationEntry>)
  | ({ readonly kind: 'notification' } & FetchedBody<NotificationEntry>)
  | ({ readonly kind: 'sent-copy' } & FetchedBody<SentCopyEntry>);

export interface WireFetched {
  readonly body: WireFetchedBody;
  readonly message: WireMessage;
  readonly signatures: readonly WireSignature[] | null;
  readonly deposits: readonly WireDeposit[];
  readonly forward: WireForward | null;
  /** Deposits and forwarding wait. */
  readonly held: boolean;
  readonly reverifyAt: number | null;
  readonly material: WireVerdict['material'];
  readonly notices: readonly WireNotice[];
}

export function recordFetched(
  context: WriteContext,
  tenant: string,
  { body, message, signatures, deposits, forward, held, reverifyAt, material, notices }: WireFetched,
): { index: number } | null {
  const { sql } = context;
  const { account, folder, uidValidity, uid } = body.source;
  const object = message.object.object;
  const known =
    (sql(
      'SELECT idx, 1 AS same FROM fetched WHERE tenant = ? AND account = ? AND folder = ? AND uidvalidity = ? AND uid = ?',
    ).get(tenant, account, folder, uidValidity, uid) as { idx: number; same: number } | undefined) ??
    (sql('SELECT idx, 0 AS same FROM fetched WHERE tenant = ? AND account = ? AND object = ? LIMIT 1').get(
      tenant,
      account,
      object,
    ) as { idx: number; same: number } | undefined);
  if (known !== undefined) {
    // The same bytes under another UID (new UIDVALIDITY, second folder): remember the UID, write no entry.
    if (known.same === 0)
      sql(
        'INSERT INTO fetched (tenant, account, folder, uidvalidity, uid, object, idx) VALUES (?, ?, ?, ?, ?, ?, ?)',
      ).run(tenant, account, folder, uidValidity, uid, object, known.idx);
    for (const staged of [message, ...notices.map((notice) => notice.message)])
      dropStaged(context, tenant, staged);
    return null;
  }
  insertMessage(context, tenant, message);
  const delivered = held ? [] : deposit(context, tenant, deposits, message);
  const entry = context.append(tenant, {
    ...body,
    ...keepSignatures(context, tenant, signatures),
    message: factOf(message.object),
    delivered,
  });
  sql(
    'INSERT INTO fetched (tenant, account, folder, uidvalidity, uid, object, idx) VALUES (?, ?, ?, ?, ?, ?, ?)',
  ).run(tenant, account, folder, uidValidity, uid, object, entry.index);
  if (held) hold(context, tenant, entry.index, { object, deposits, forward });
  else if (forward !== null) queueForward(context, tenant, entry.index, forward, message.object);
  if (material.length > 0) {
    // What the verdict rests on gets an entry of its own, so that it is evidence and can be repeated.
    const letter = body.kind === 'inbound' ? entry.index : body.letter;
    // Nobody's standing is disputed by a message that never counted.
    const recipients = body.kind === 'confirmation' && body.counts !== 'no' ? body.recipients : [];
    recordVerdict(context, tenant, {
      body: { about: entry.index, letter, recipients, verdict: body.verdict, checks: body.checks ?? [] },
      material,
      nextAttempt: reverifyAt,
    });
  } else if (reverifyAt !== null)
    planReverification(context, tenant, { about: entry.index, nextAttempt: reverifyAt });
  deliverNotices(context, tenant, notices);
  return { index: entry.index };
}

/** Notices that belong to the commit of another command. */
export function deliverNotices(context: WriteContext, tenant: string, notices: readonly WireNotice[]): void {
  for (const notice of notices) deliverNotice(context, tenant, notice);
}

export function deliverNotice(
  context: WriteContext,
  tenant: string,
  { body, message, deposits, forward, once }: WireNotice,
): { index: number } | null {
  const { sql } = context;
  const letter = body.letter ?? -1;
  if (
    once !== null &&
    sql('SELECT 1 FROM notice_once WHERE tenant = ? AND letter = ? AND name = ?').get(
      tenant,
      letter,
      once,
    ) !== undefined
  ) {
    dropStaged(context, tenant, message);
    return null;
  }
  insertMessage(context, tenant, message);
  const delivered = deposit(context, tenant, deposits, message);
  const entry = context.append(tenant, {
    kind: 'notice',
    ...body,
    message: factOf(message.object),
    delivered,
  });
  if (once !== null)
    sql('INSERT INTO notice_once (tenant, letter, name, idx) VALUES (?, ?, ?, ?)').run(
      tenant,
      letter,
      once,
      entry.index,
    );
  if (forward !== null && forward.length > 0)
    queueForward(
      context,
      tenant,
      entry.index,
      { recipients: forward, prefix: Buffer.alloc(0) },
      message.object,
    );
  return { index: entry.index };
}

export function recordForwardIntent(
  context: WriteContext,
  tenant: string,
  body: Body<ForwardIntentEntry>,
): void {
  const { changes } = context
    .sql(`UPDATE forward SET state = 'attempting', attempts = ? WHERE tenant = ? AND letter = ?`)
    .run(body.attempt, tenant, body.letter);
  if (changes === 0) throw new Error(`${tenant}/${body.letter} is not waiting to be forwarded`);
  context.append(tenant, { kind: 'forward-intent', ...body });
}

export interface WireForwardOutcome {
  readonly body: Body<ForwardOutcomeEntry>;
  readonly nextAttempt: number | null;
}

export function recordForwardOutcome(
  context: WriteContext,
  tenant: string,
  { body, nextAttempt }: WireForwardOutcome,
): void {
  const { sql } = context;
  const row = sql('SELECT recipients, object FROM forward WHERE tenant = ? AND letter = ?').get(
    tenant,
    body.letter,
  ) as { recipients: string; object: string } | undefined;
  if (row === undefined) throw new Error(`${tenant}/${body.letter} is not waiting to be forwarded`);
  context.append(tenant, { kind: 'forward-outcome', ...body });
  const done = new Set(body.recipients.filter((r) => r.result !== 'deferred').map((r) => r.address));
  const open = (JSON.parse(row.recipients) as string[]).filter((address) => !done.has(address));
  if (open.length === 0 || body.result === 'failed' || body.result === 'done') {
    sql('DELETE FROM forward WHERE tenant = ? AND letter = ?').run(tenant, body.letter);
    releaseObject(context, tenant, row.object);
    return;
  }
  if (nextAttempt === null) throw new Error('a deferred forwarding needs the time of its next attempt');
  sql(
    `UPDATE forward SET state = 'queued', recipients = ?, next_attempt = ?, last_reply = ? WHERE tenant = ? AND letter = ?`,
  ).run(JSON.stringify(open), nextAttempt, body.reply, tenant, body.letter);
  context.changes.push({ topic: 'forward', tenant });
}

export function recordAccess(context: WriteContext, tenant: string, body: Body<AccessEntry>): void {
  context.append(tenant, { kind: 'access', ...body });
}

export function recordOperation(context: WriteContext, tenant: string, body: Body<OperationEntry>): void {
  context.append(tenant, { kind: 'operation', ...body });
}

export function recordIncident(context: WriteContext, tenant: string, body: Body<IncidentEntry>): boolean {
  const { sql } = context;
  const open =
    sql('SELECT 1 FROM incident WHERE tenant = ? AND incident = ?').get(tenant, body.incident) !== undefined;
  if (open === (body.state === 'opened')) return false;
  const entry = context.append(tenant, { kind: 'incident', ...body });
  if (body.state === 'opened')
    sql('INSERT INTO incident (tenant, incident, since, text) VALUES (?, ?, ?, ?)').run(
      tenant,
      body.incident,
      entry.time,
      body.text,
    );
  else sql('DELETE FROM incident WHERE tenant = ? AND incident = ?').run(tenant, body.incident);
  return true;
}
