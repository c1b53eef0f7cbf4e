/**
 * Forwarding to the tenant's own mail server: SMTP with verified TLS or LMTP, to one fixed host, with a queue of
 * its own. The envelope sender is empty: a bounce or an out-of-office answer must never travel to a De-Mail
 * address as plain e-mail. What is in doubt is sent again: the server's own a copy twice beats none.
 */
import { createHash } from 'node:crypto';
import type { ForwardConfig, TenantConfig } from '../config/schema.ts';
import type { Directory } from '../directory/directory.ts';
import type { Entry, ForwardIntentEntry, RecipientResult } from '../evidence/entry.ts';
import { isPrivateEntry } from '../evidence/private.ts';
import { type BackOff, backOffDelay, type Clock } from '../observe/clock.ts';
import type { Log } from '../observe/log.ts';
import type { ByteSource, ForwardItem, Store } from '../store/store.ts';
import { hasEightBit } from './attempt.ts';
import { createDue } from './due.ts';
import type { Health } from './health.ts';
import type { TellOperators } from './notices.ts';
import type { Pool } from './pool.ts';
import type { SmtpSession, Transmission } from './smtp-session.ts';
import { incidentTexts } from './texts.ts';

export interface ForwardDeps {
  readonly store: Store;
  readonly directory: () => Directory;
  readonly tenant: string;
  readonly tell: TellOperators;
  readonly health: Health;
  readonly pool: Pool;
  readonly log: Log;
  readonly clock: Clock;
  readonly random: () => number;
}

export interface Forwarding {
  wake(): void;
  /** Lets running transfers finish for at most `graceMs`, then breaks them off. */
  close(graceMs: number): Promise<void>;
}

const retryBackOff: BackOff = { first: 60_000, longest: 1_800_000 };
/** Connections at once to the tenant's own server. */
const width = 2;

/** Starts the worker; resolves once transfers cut off by a crash are queued again. */
export async function startForwarding(deps: ForwardDeps): Promise<Forwarding> {
  const { store, tenant, health, clock } = deps;
  const stop = new AbortController();
  for (const item of await store.openForwards(tenant)) {
    if (item.state === 'attempting') await recover(deps, item);
  }
  const due = createDue<ForwardItem>({
    clock,
    log: deps.log,
    width: () => (configOf(deps)?.delivery.forward === undefined ? 0 : health.failures > 0 ? 1 : width),
    notBefore: () => health.retryAt,
    list: (limit) => store.dueForwards(tenant, clock.now(), limit),
    next: () => store.nextForwardAt(tenant, clock.now()),
    key: (item) => String(item.letter),
    run: (item) => forward(deps, item, stop.signal),
  });
  const subscription = store.changes.subscribe((change) => {
    if (change.topic === 'forward' && change.tenant === tenant) due.wake();
  });
  due.wake();
  return {
    wake: due.wake,
    async close(graceMs) {
      subscription[Symbol.dispose]();
      using _cut = clock.after(graceMs, () => stop.abort(new Error('the gateway is shutting down')));
      await due.close();
      deps.pool.close();
    },
  };
}

function configOf(deps: ForwardDeps): TenantConfig | undefined {
  return deps.directory().tenant(deps.tenant);
}

async function recover(deps: ForwardDeps, item: ForwardItem): Promise<void> {
  const timeline = await deps.store.timeline(deps.tenant, item.letter);
  const intent = timeline.findLast((e): e is Entry & ForwardIntentEntry => e.kind === 'forward-intent');
  const reply = 'the gateway stopped between sending and the reply';
  await deps.store.recordForwardOutcome(deps.tenant, {
    letter: item.letter,
    attempt: item.attempts,
    result: 'in-doubt',
    recipients: item.recipients.map((address) => ({ address, result: 'deferred', reply })),
    reply,
    peer: { endpoint: intent?.endpoint ?? '' },
    nextAttempt: deps.clock.now(),
  });
}

async function forward(deps: ForwardDeps, item: ForwardItem, signal: AbortSignal): Promise<void> {
  const { store, tenant, health, pool, log } = deps;
  const config = configOf(deps);
  const settings = config?.delivery.forward;
  if (config === undefined || settings === undefined) return;
  let session: SmtpSession;
  try {
    session = await pool.take(signal);
  } catch (error) {
    if (signal.aborted) return;
    const wait = health.failed(error);
    log.warn({ tenant, wait, error: String(error) }, 'own mail server cannot be reached');
    return;
  }
  health.succeeded();
  try {
    const attempt = item.attempts + 1;
    const measured = await measure(store, tenant, item.source);
    const { endpoint } = session.peer;
    const { letter, recipients } = item;
    await store.recordForwardIntent(tenant, {
      letter,
      attempt,
      endpoint,
      recipients,
      sha256: measured.sha256,
      size: item.size,
    });
    // Checked at the last moment too: private mail leaves only where the configuration says so by name.
    const sent = (await barred(deps, settings, letter))
      ? refusedHere(recipients)
      : await session.send(
          {
            from: '',
            recipients,
            size: item.size,
            eightBit: measured.eightBit,
            content: () => store.readSource(tenant, item.source),
            wholeSet: false,
          },
          signal,
        );
    await conclude(deps, config, item, attempt, session, sent);
  } finally {
    pool.give(session);
  }
}

async function barred(deps: ForwardDeps, settings: ForwardConfig, letter: number): Promise<boolean> {
  if (settings.includePrivate) return false;
  const entry = await deps.store.entry(deps.tenant, letter);
  return entry !== null && isPrivateEntry(entry);
}

function refusedHere(recipients: readonly string[]): Transmission {
  const reply = '550 5.7.1 private De-Mail is not forwarded (refused by the gateway)';
  const results = recipients.map((address) => ({ address, result: 'refused', reply }) as const);
  return { end: 'answered', recipients: results, takers: [], reply };
}

async function measure(store: Store, tenant: string, source: ByteSource) {
  const hash = createHash('sha256');
  let eightBit = false;
  for await (const chunk of store.readSource(tenant, source)) {
    hash.update(chunk);
    eightBit ||= hasEightBit(chunk);
  }
  return { sha256: hash.digest('hex'), eightBit };
}

async function conclude(
  deps: ForwardDeps,
  config: TenantConfig,
  item: ForwardItem,
  attempt: number,
  session: SmtpSession,
  sent: Transmission,
): Promise<void> {
  const { store, tenant, clock, log } = deps;
  const tooOld = clock.now() - item.acceptedAt >= config.provider.retryFor;
  const recipients: readonly RecipientResult[] = tooOld
    ? sent.recipients.map((r) => (r.result === 'deferred' ? { ...r, result: 'refused' } : r))
    : sent.recipients;
  const waiting = recipients.some((r) => r.result === 'deferred');
  const lost = recipients.filter((r) => r.result === 'refused');
  await store.recordForwardOutcome(tenant, {
    letter: item.letter,
    attempt,
    result: waiting
      ? sent.end === 'in-doubt'
        ? 'in-doubt'
        : 'deferred'
      : lost.length > 0
        ? 'failed'
        : 'done',
    recipients,
    reply: sent.reply,
    peer: session.peer,
    ...(waiting ? { nextAttempt: clock.now() + backOffDelay(retryBackOff, attempt, deps.random) } : {}),
  });
  log.info({ tenant, letter: item.letter, attempt, end: sent.end, reply: sent.reply }, 'forwarding');
  if (lost.length > 0) {
    await deps.tell(config, {
      letter: item.letter,
      once: `not-forwarded/${attempt}`,
      text: incidentTexts.notForwarded(`${tenant}/${item.letter}`, lost),
    });
  }
}
