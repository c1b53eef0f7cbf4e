/** What an operator is told about each account: is it served, when did it last work, what waits. */
import type { Directory } from '../directory/directory.ts';
import type { Store } from '../store/store.ts';
import type { Gate } from './gate.ts';
import type { Health } from './health.ts';
import type { MailboxPolicy } from './mailbox-policy.ts';
import type { Outbox } from './outbox.ts';

export interface AccountStatus {
  readonly tenant: string;
  readonly account: string;
  /** Handing over. */
  readonly smtp: SideStatus;
  /** Fetching. */
  readonly imap: SideStatus;
  /** Forwarding to the tenant's own server; null where it is not configured. */
  readonly forward: (SideStatus & { readonly queued: number }) | null;
  readonly queued: number;
  readonly inDoubt: number;
  readonly running: number;
  /** Locked by an operator, or its log is held: nothing is handed over or fetched. */
  readonly locked: boolean;
  /** The mailbox at the provider in bytes, as measured last; null before the first measurement. */
  readonly mailbox: {
    readonly used: number;
    readonly limit: number | null;
    readonly source: 'quota' | 'sum';
    /** RFC 3339. */
    readonly measured: string;
  } | null;
  /** Days after which copies there are deleted; null: never. */
  readonly deleteAfterDays: number | null;
}

interface SideStatus {
  /** RFC 3339, or null where nothing has succeeded since the start. */
  readonly lastSuccess: string | null;
  /** The last failure, or null while all is well. */
  readonly lastError: string | null;
  /** Why no login is allowed now (lock, calendar), and until when; null where it is. */
  readonly waits: string | null;
}

interface StatusDeps {
  readonly store: Store;
  readonly directory: () => Directory;
}

interface RunningAccount {
  readonly outbox: Pick<Outbox, 'running'>;
  readonly mailbox: Pick<MailboxPolicy, 'usage'>;
  readonly gate: Gate;
  readonly health: { readonly smtp: Health; readonly imap: Health; readonly forward: Health };
}

/** Of an account that is served. */
export async function statusOf(
  deps: StatusDeps,
  tenant: string,
  account: RunningAccount,
): Promise<AccountStatus> {
  const config = deps.directory().tenant(tenant);
  const open = await deps.store.openTransactions(tenant);
  const { smtp, imap, forward } = account.health;
  const { usage } = account.mailbox;
  const deleteAfter = config?.provider.deleteAfter;
  return {
    tenant,
    account: config?.provider.account ?? '',
    smtp: { ...sideOf(smtp), waits: account.gate.closed('smtp')?.text ?? null },
    imap: { ...sideOf(imap), waits: account.gate.closed('imap')?.text ?? null },
    locked: account.gate.locked,
    mailbox: usage && {
      used: usage.used,
      limit: usage.limit,
      source: usage.source,
      measured: new Date(usage.at).toISOString(),
    },
    deleteAfterDays: deleteAfter === undefined ? null : deleteAfter / 86_400_000,
    forward:
      config?.delivery.forward === undefined
        ? null
        : { ...sideOf(forward), queued: (await deps.store.openForwards(tenant)).length },
    queued: open.filter((item) => item.state !== 'in-doubt').length,
    inDoubt: open.filter((item) => item.state === 'in-doubt').length,
    running: account.outbox.running(),
  };
}

/** Of a tenant whose link was never begun, because its log is held. */
export async function heldStatus(deps: StatusDeps, tenant: string): Promise<AccountStatus> {
  const open = await deps.store.openTransactions(tenant);
  const waits = (await deps.store.lock(tenant))?.reason ?? null;
  const side = { lastSuccess: null, lastError: null, waits };
  return {
    tenant,
    account: deps.directory().tenant(tenant)?.provider.account ?? '',
    smtp: side,
    imap: side,
    forward: null,
    locked: true,
    queued: open.filter((item) => item.state !== 'in-doubt').length,
    inDoubt: open.filter((item) => item.state === 'in-doubt').length,
    running: 0,
    mailbox: null,
    deleteAfterDays: null,
  };
}

function sideOf(health: Health): SideStatus {
  return {
    lastSuccess: health.lastSuccess === null ? null : new Date(health.lastSuccess).toISOString(),
    lastError: health.failures > 0 ? health.lastError : null,
    waits: null,
  };
}
