/**
 * The outbox of one tenant's account. Connections and back-off are its own: a dead account delays nobody else.
 *
 * The provider routes by chosen-recipient, which must name exactly the recipients of the transaction (TR-01201
 * IO 3.1). So a recipient set is handed over whole or not at all: when the peer refuses some recipients, the
 * connection is dropped before the first byte of content, their refusal is recorded, and the others are handed
 * over at once with a header that names only them.
 *
 * In doubt is what failed after the last byte of content was on its way and before a reply came. Everything
 * that failed earlier is deferred: without the final dot, the peer has no message (RFC 5321 4.1.1.4).
 */
import type { TenantConfig } from '../config/schema.ts';
import type { Directory } from '../directory/directory.ts';
import type { Entry, Peer, RecipientResult, SubmissionEntry } from '../evidence/entry.ts';
import { type BackOff, backOffDelay, type Clock } from '../observe/clock.ts';
import type { Log } from '../observe/log.ts';
import { CorruptObject, type OutboxItem, type Store } from '../store/store.ts';
import { CannotHandOver, type Prepared, prepare } from './attempt.ts';
import { createDue } from './due.ts';
import type { Gate } from './gate.ts';
import type { Health } from './health.ts';
import type { Incidents } from './incidents.ts';
import type { Pool } from './pool.ts';
import type { Reports } from './reports.ts';
import { holdCutOff, resumeReports } from './resume.ts';
import type { Settlement } from './settle.ts';
import { concernsAccount, type SmtpSession, type Transmission } from './smtp-session.ts';
import { incidentTexts } from './texts.ts';

export interface OutboxDeps {
  readonly store: Store;
  readonly directory: () => Directory;
  readonly tenant: string;
  readonly hostname: string;
  readonly reports: Reports;
  readonly settlement: Settlement;
  readonly health: Health;
  readonly gate: Gate;
  readonly incidents: Incidents;
  readonly pool: Pool;
  readonly log: Log;
  readonly clock: Clock;
  readonly random: () => number;
}

export interface Outbox {
  /** Looks for work now. */
  wake(): void;
  /** Number of hand-overs running. */
  running(): number;
  /** Keeps a transaction from being attempted until the claim is disposed of; null where one runs now. */
  claim(item: TransactionId): Disposable | null;
  /** Lets running hand-overs finish for at most `graceMs`, then breaks them off. */
  close(graceMs: number): Promise<void>;
}

type TransactionId = Pick<OutboxItem, 'letter' | 'transaction'>;

/** Milliseconds between two looks at a locked account. */
const lockedLook = 3_600_000;
const retryBackOff: BackOff = { first: 60_000, longest: 3_600_000 };

/** Starts the worker; resolves once hand-overs cut off by a crash are marked as in doubt. */
export async function startOutbox(deps: OutboxDeps): Promise<Outbox> {
  const { store, tenant, health, gate, pool, log, clock } = deps;
  const stop = new AbortController();
  await holdCutOff(deps);
  await resumeReports(deps);
  const due = createDue({
    clock,
    log,
    width: () => (health.failures > 0 ? 1 : (config(deps)?.provider.connections ?? 0)),
    notBefore: () => {
      const shut = gate.closed('smtp');
      // A lock has no end that is known; its lifting wakes the worker.
      return shut === null
        ? health.retryAt
        : Math.max(health.retryAt, shut.until ?? clock.now() + lockedLook);
    },
    list: (limit) => store.dueTransactions(tenant, clock.now(), limit),
    next: () => store.nextTransactionAt(tenant, clock.now()),
    key: nameOf,
    run: (item) => handOver(deps, item, stop.signal).catch((error) => complain(deps, error)),
  });
  const subscription = store.changes.subscribe((change) => {
    if (change.topic === 'outbox' && change.tenant === tenant) due.wake();
  });
  // What is being handed over reaches its outcome; kept connections end with the gate.
  const atGate = gate.onChange(() => {
    if (gate.closed('smtp') !== null) pool.drop();
    due.wake();
  });
  due.wake();
  return {
    wake: due.wake,
    running: due.running,
    claim: (item) => due.claim(nameOf(item)),
    async close(graceMs) {
      subscription[Symbol.dispose]();
      atGate[Symbol.dispose]();
      const cut = clock.after(graceMs, () => stop.abort(new Error('the gateway is shutting down')));
      await due.close();
      cut[Symbol.dispose]();
      stop.abort();
      pool.close();
      log.debug({ tenant }, 'outbox closed');
    },
  };
}

function nameOf({ letter, transaction }: TransactionId): string {
  return `${letter}/${transaction}`;
}

function config(deps: OutboxDeps): TenantConfig | undefined {
  return deps.directory().tenant(deps.tenant);
}

async function handOver(deps: OutboxDeps, item: OutboxItem, signal: AbortSignal): Promise<void> {
  const { store, tenant, health, gate, pool, log } = deps;
  const submission = await store.submissionOf(tenant, item.letter);
  if (submission === null) throw new Error(`letter ${tenant}/${item.letter} has no submission entry`);
  const run: Run = { item, submission, open: new Set(item.recipients), attempt: item.attempts };
  let recipients = await passGate(deps, run);
  while (recipients.length > 0 && !signal.aborted && gate.closed('smtp') === null) {
    let session: SmtpSession;
    try {
      session = await pool.take(signal);
    } catch (error) {
      // Closed while the login was prepared: the letter waits as it is.
      if (signal.aborted || gate.closed('smtp') !== null) return;
      // Nothing of this mail was tried: the account waits, the mail's own attempts do not count.
      const wait = health.failed(error);
      log.warn({ tenant, wait, error: String(error) }, 'provider cannot be reached for hand-over');
      return;
    }
    try {
      recipients = await attemptOnce(deps, run, session, recipients, signal);
    } finally {
      if (gate.closed('smtp') === null) pool.give(session);
      else session.close();
    }
  }
}

/** Bytes that cannot be read as they were written are no matter of one mail. */
function complain({ tenant, incidents }: OutboxDeps, error: unknown): never {
  if (error instanceof CorruptObject) {
    incidents.open(tenant, 'corrupt-object', incidentTexts.corrupt(error.message));
  }
  throw error;
}

interface Run {
  readonly item: OutboxItem;
  readonly submission: Entry & SubmissionEntry;
  /** Recipients without a final result. */
  readonly open: Set<string>;
  attempt: number;
}

/**
 * The last gate: the sender belongs to this tenant, every recipient to De-Mail (TR-01201 GS 10.2). What was
 * accepted under another configuration is refused here, without any contact. Returns who may be handed over.
 */
async function passGate(deps: OutboxDeps, run: Run): Promise<readonly string[]> {
  const directory = deps.directory();
  const { item, submission } = run;
  const foreign = directory.tenantOfAddress(submission.sender)?.id !== deps.tenant;
  const barred = item.recipients.filter((address) => foreign || !directory.isDemailAddress(address));
  if (barred.length > 0) {
    const reply = foreign
      ? '550 5.7.1 sender address does not belong to this tenant (refused by the gateway)'
      : '550 5.1.2 recipient is not a De-Mail address (refused by the gateway)';
    await abandon(deps, run, barred, reply);
  }
  return [...run.open];
}

/** Given up by the gateway itself, without any contact to the provider. */
async function abandon(deps: OutboxDeps, run: Run, recipients: readonly string[], reply: string) {
  const { letter, transaction } = run.item;
  await deps.store.settleHandover(deps.tenant, {
    letter,
    transaction,
    recipients,
    decision: 'abandoned',
    by: 'policy',
    actor: { type: 'gateway', name: 'provider link' },
    reason: reply,
  });
  for (const address of recipients) run.open.delete(address);
  deps.log.warn({ tenant: deps.tenant, letter, transaction, reply }, 'hand-over refused by the gateway');
  const results = recipients.map((address) => ({ address, result: 'refused', reply }) as const);
  await deps.reports.failed(run.submission, transaction, results);
}

/** One intent, one hand-over, one outcome. Returns the recipients to hand over again at once. */
async function attemptOnce(
  deps: OutboxDeps,
  run: Run,
  session: SmtpSession,
  recipients: readonly string[],
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { store, tenant } = deps;
  const { item, submission } = run;
  let prepared: Prepared;
  try {
    prepared = await prepare(
      { store, directory: deps.directory(), hostname: deps.hostname },
      submission,
      item.transaction,
      recipients,
    );
  } catch (error) {
    if (!(error instanceof CannotHandOver)) throw error;
    await abandon(deps, run, recipients, `554 5.6.0 ${error.message} (refused by the gateway)`);
    return [];
  }
  run.attempt += 1;
  await store.recordHandoverIntent(tenant, {
    letter: item.letter,
    transaction: item.transaction,
    attempt: run.attempt,
    endpoint: session.peer.endpoint,
    recipients,
    handed: {
      sha256: prepared.sha256,
      size: prepared.size,
      header: prepared.header,
      bodyFrom: prepared.bodyFrom,
    },
    edits: prepared.edits,
  });
  const sent = await session.send(
    {
      from: submission.sender,
      recipients,
      size: prepared.size,
      eightBit: prepared.eightBit,
      content: prepared.content,
      wholeSet: true,
    },
    signal,
  );
  if (concernsAccount(sent.reply)) deps.health.failed(new Error(sent.reply));
  else if (sent.end === 'answered' || sent.end === 'unsent') deps.health.succeeded();
  await conclude(deps, run, session.peer, sent);
  return sent.end === 'unsent' ? sent.takers : [];
}

/** Records how it ended, then tells whoever must know. */
async function conclude(deps: OutboxDeps, run: Run, peer: Peer, sent: Transmission): Promise<void> {
  const { store, tenant, clock, log, reports } = deps;
  const { item, attempt } = run;
  const { letter, transaction } = item;
  const doubtful = sent.end === 'in-doubt';
  if (!doubtful) {
    for (const { address, result } of sent.recipients) if (result !== 'deferred') run.open.delete(address);
  }
  const remain = !doubtful && run.open.size > 0;
  const by = (wanted: RecipientResult['result']) => sent.recipients.filter((r) => r.result === wanted);
  const accepted = doubtful ? [] : by('accepted').map(({ address }) => address);
  await store.recordHandoverOutcome(tenant, {
    letter,
    transaction,
    attempt,
    result: doubtful ? 'in-doubt' : remain ? 'deferred' : 'done',
    recipients: sent.recipients,
    reply: sent.reply,
    peer,
    notices: await reports.handedOver(run.submission, accepted),
    ...(remain ? { nextAttempt: clock.now() + backOffDelay(retryBackOff, attempt, deps.random) } : {}),
  });
  log.info(
    { tenant, letter, transaction, attempt, end: sent.end, peer: peer.endpoint, reply: sent.reply },
    'hand-over',
  );
  if (doubtful) {
    // The confirmation may have come before we knew that we would need it.
    if (!(await deps.settlement.byProvider(letter, transaction))) {
      await reports.inDoubt({ ...item, attempts: attempt }, sent.reply);
    }
    return;
  }
  await reports.failed(run.submission, transaction, by('refused'));
}
