/**
 * What falls due without any attempt: delay notices, the end of retries, the policy for what is in doubt.
 * Looks once a minute, whether or not the provider can be reached.
 */
import type { TenantConfig } from '../config/schema.ts';
import type { Directory } from '../directory/directory.ts';
import type { Log } from '../observe/log.ts';
import type { OutboxItem, Store } from '../store/store.ts';
import type { Clock } from './clock.ts';
import type { Reports } from './reports.ts';
import type { Settlement } from './settle.ts';

export interface DeadlineDeps {
  readonly store: Store;
  readonly directory: () => Directory;
  readonly tenant: string;
  readonly reports: Reports;
  readonly settlement: Settlement;
  /** Last failure of the account, for mails that were never tried. */
  readonly lastError: () => string | null;
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
/** The provider's own word on a doubtful hand-over usually comes within minutes; `resend` waits for it. */
export const uncertainWait = 15 * 60_000;

export function startDeadlines(deps: DeadlineDeps): Deadlines {
  const { clock, log, tenant } = deps;
  let closed = false;
  let looking: Promise<void> | undefined;
  let timer: Disposable | undefined;

  function look(): Promise<void> {
    looking ??= lookOnce(deps)
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

async function lookOnce(deps: DeadlineDeps): Promise<void> {
  const config = deps.directory().tenant(deps.tenant);
  if (config === undefined) return;
  for (const item of await deps.store.openTransactions(deps.tenant)) {
    if (item.state === 'in-doubt') await lookAtDoubt(deps, config, item);
    else if (item.state === 'queued') await lookAtQueued(deps, config, item);
  }
}

async function lookAtQueued(deps: DeadlineDeps, config: TenantConfig, item: OutboxItem): Promise<void> {
  const { store, tenant, reports } = deps;
  const age = deps.clock.now() - item.acceptedAt;
  const lastReply = item.lastReply ?? deps.lastError() ?? 'not tried yet';
  if (age >= config.provider.retryFor) {
    const { letter, transaction, recipients } = item;
    await store.expireRecipients(tenant, { letter, transaction, recipients, lastReply });
    await reports.expired(item, lastReply);
    return;
  }
  const passed = delayNotices.findLast(
    (hours) => age >= hours * hour && hours * hour < config.provider.retryFor,
  );
  if (passed !== undefined) await reports.delayed(item, passed, lastReply);
}

async function lookAtDoubt(deps: DeadlineDeps, config: TenantConfig, item: OutboxItem): Promise<void> {
  if (await deps.settlement.byProvider(item.letter, item.transaction)) return;
  if (config.provider.onUncertain !== 'resend') return;
  await deps.settlement.byPolicy(item, deps.clock.now() - uncertainWait);
}
