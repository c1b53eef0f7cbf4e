/**
 * What falls due without any attempt: delay notices, the end of retries, the policy for what is in doubt.
 * Looks once a minute, whether or not the provider can be reached.
 */
import type { TenantConfig } from '../config/schema.ts';
import type { Directory } from '../directory/directory.ts';
import type { Clock } from '../observe/clock.ts';
import type { Log } from '../observe/log.ts';
import type { OutboxItem, Store } from '../store/store.ts';
import type { Gate } from './gate.ts';
import type { Reports } from './reports.ts';
import { resumeReports } from './resume.ts';
import type { Settlement } from './settle.ts';

export interface DeadlineDeps {
  readonly store: Store;
  readonly directory: () => Directory;
  readonly tenant: string;
  readonly reports: Reports;
  readonly settlement: Settlement;
  readonly gate: Gate;
  /** Last failure of the account, for mails that were never tried. */
  readonly lastError: () => string | null;
  /** Keeps a transaction from being attempted meanwhile; null where an attempt runs. */
  readonly claim: (item: OutboxItem) => Disposable | null;
  readonly log: Log;
  readonly clock: Clock;
}

export interface Deadlines {
  /** Looks now; resolves when all that is due was done. */
  look(): Promise<void>;
  close(): Promise<void>;
}

const hour = 3_600_000;
/** Hours after which the sender is told that a mail still waits. */
const delayNotices = [1, 4, 24];
const interval = 60_000;
/** So many looks lie between two searches for reports that could not be written when they were due. */
const resumeEvery = 60;
/** The provider's own word on a doubtful hand-over usually comes within minutes; `resend` waits for it. */
const uncertainWait = 15 * 60_000;

export function startDeadlines(deps: DeadlineDeps): Deadlines {
  const { clock, log, tenant } = deps;
  let closed = false;
  let looking: Promise<void> | undefined;
  let timer: Disposable | undefined;
  /** Hours that the sender was told of last, by transaction: composing a report only to drop it costs. */
  let told: ReadonlyMap<string, number> = new Map();
  let looks = 0;

  function look(): Promise<void> {
    looking ??= lookOnce(deps, told)
      .then(async (now) => {
        told = now;
        looks += 1;
        if (looks % resumeEvery === 0) await resumeReports(deps);
      })
      .catch((error) => log.error({ tenant, error: String(error) }, 'deadlines could not be checked'))
      .finally(() => {
        looking = undefined;
        timer?.[Symbol.dispose]();
        if (!closed) timer = clock.after(interval, look);
      });
    return looking;
  }

  void look();
  return {
    look,
    async close() {
      closed = true;
      timer?.[Symbol.dispose]();
      await looking;
    },
  };
}

async function lookOnce(
  deps: DeadlineDeps,
  told: ReadonlyMap<string, number>,
): Promise<ReadonlyMap<string, number>> {
  const now = new Map<string, number>();
  const config = deps.directory().tenant(deps.tenant);
  if (config === undefined) return now;
  for (const item of await deps.store.openTransactions(deps.tenant)) {
    if (item.state === 'in-doubt') await lookAtDoubt(deps, config, item);
    if (item.state !== 'queued') continue;
    const name = `${item.letter}/${item.transaction}`;
    const hours = await lookAtQueued(deps, config, item, told.get(name));
    if (hours !== undefined) now.set(name, hours);
  }
  return now;
}

/** Returns the hours that the sender has been told of, if any. */
async function lookAtQueued(
  deps: DeadlineDeps,
  config: TenantConfig,
  item: OutboxItem,
  told: number | undefined,
): Promise<number | undefined> {
  const { store, tenant, reports, gate } = deps;
  const { retryFor } = config.provider;
  const now = deps.clock.now();
  const age = now - item.acceptedAt;
  const shut = gate.closed('smtp');
  const lastReply = shut?.text ?? item.lastReply ?? deps.lastError() ?? 'not tried yet';
  // Only time in which it could have been handed over counts, and after a lock everything gets its chance first.
  const tried = age - gate.closedBetween('smtp', item.acceptedAt, now);
  const mayExpire = shut === null && (gate.unlockedAt === null || now - gate.unlockedAt >= hour);
  if (tried >= retryFor && mayExpire) {
    using claim = deps.claim(item);
    const { letter, transaction } = item;
    const waiting = await store.transaction(tenant, letter, transaction);
    // Just being handed over, or gone already: an attempt that runs is never overtaken by the clock.
    if (claim === null || waiting?.state !== 'queued') return undefined;
    const { recipients } = waiting;
    await store.expireRecipients(tenant, { letter, transaction, recipients, lastReply });
    await reports.expired(waiting, lastReply);
    return undefined;
  }
  const due = delayNotices.findLast((hours) => age >= hours * hour && hours * hour < retryFor);
  if (due !== undefined && due !== told) await reports.delayed(item, due, lastReply);
  return due;
}

async function lookAtDoubt(deps: DeadlineDeps, config: TenantConfig, item: OutboxItem): Promise<void> {
  if (await deps.settlement.byProvider(item.letter, item.transaction)) return;
  if (config.provider.onUncertain !== 'resend') return;
  await deps.settlement.byPolicy(item, deps.clock.now() - uncertainWait);
}
