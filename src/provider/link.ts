/**
 * The link to the De-Mail providers: for each tenant its own outbox, its own fetching, its own forwarding.
 * Nothing is shared between tenants but the store, so no account can hold up another.
 */
import { readSecret } from '../config/files.ts';
import type { ProviderConfig, TenantConfig } from '../config/schema.ts';
import type { Directory } from '../directory/directory.ts';
import type { Actor } from '../evidence/entry.ts';
import type { Scanner } from '../inspection/scanner.ts';
import { type Clock, systemClock } from '../observe/clock.ts';
import type { Log } from '../observe/log.ts';
import type { Store } from '../store/store.ts';
import { type AccountStatus, heldStatus, statusOf } from './account-status.ts';
import { loadTarget } from './connect.ts';
import { settleCutOff } from './dangling.ts';
import { type Deadlines, startDeadlines } from './deadlines.ts';
import { startDiskWatch } from './disk.ts';
import { isDispute } from './disputes.ts';
import { type Fetching, startFetching } from './fetch.ts';
import type { FetchSettings } from './folder.ts';
import { type Forwarding, startForwarding } from './forward.ts';
import { createGate, type Gate } from './gate.ts';
import { createHealth, type Health } from './health.ts';
import { createHoldNotices } from './hold-notices.ts';
import { createIncidents, type Incidents } from './incidents.ts';
import { createIngest } from './ingest.ts';
import { anchorsOf } from './judge.ts';
import { checkLogins, type LoginFinding } from './login-check.ts';
import { beginLogin, byGateway, type Occasion, resultOfFailure } from './logins.ts';
import { createMailboxPolicy, type MailboxPolicy } from './mailbox-policy.ts';
import { operatorTeller, type TellOperators } from './notices.ts';
import { type Outbox, startOutbox } from './outbox.ts';
import { createPool, type Pool } from './pool.ts';
import { createPrivateMail, type PlaceOrder, type PrivateMail } from './private-mail.ts';
import { createReports } from './reports.ts';
import { startReverification } from './reverify.ts';
import type { Rounds } from './rounds.ts';
import { startScanning } from './scanning.ts';
import { createSettlement, type Decision, type Settlement } from './settle.ts';
import { startSilence } from './silence.ts';
import { openSession, type Timeouts } from './smtp-session.ts';
import { incidentTexts, type Said } from './texts.ts';

export interface LinkDeps {
  readonly store: Store;
  /** The directory of now: it is replaced on reload. */
  readonly directory: () => Directory;
  readonly log: Log;
  /** Name of this gateway in EHLO and Message-IDs. */
  readonly hostname: string;
  /** Its free space is watched. */
  readonly dataDir: string;
  /** Absent where no scanner is configured. */
  readonly scanner?: Scanner | undefined;
  readonly clock?: Clock;
  /** From 0 to below 1. */
  readonly random?: () => number;
  readonly timeouts?: Timeouts;
  readonly fetching?: FetchSettings;
}

/** A transaction of the outbox. */
interface TransactionName {
  readonly tenant: string;
  readonly letter: number;
  readonly transaction: number;
}

interface Intervention extends TransactionName {
  readonly actor: Actor;
  readonly reason: string;
}

export interface ProviderLink {
  /**
   * Looks at the tenant's account now. `outsideHours` goes past the calendar of an account at level high.
   * @throws Error what the account or its calendar says, or for an unknown tenant
   */
  fetchNow(tenant: string, outsideHours?: Occasion): Promise<void>;
  /**
   * Logs in by IMAP and SMTP to see whether the account works; `outsideHours`: whatever the calendar says.
   * @throws Error for an unknown tenant
   */
  checkLogin(tenant: string, occasion: Occasion, outsideHours: boolean): Promise<LoginFinding[]>;
  /** True where the tenant is locked: then nothing is handed over, fetched or accepted for sending. */
  isLocked(tenant: string): boolean;
  /** Everything of the tenant that waits is tried now. */
  retryNow(tenant: string): Promise<void>;
  /** One transaction is tried now. @throws Error where it does not wait in the queue */
  retryTransaction(intervention: Intervention): Promise<void>;
  /** Forwards a message to the tenant's own server now. @throws Error where it does not wait for that */
  retryForward(order: Omit<Intervention, 'transaction'>): Promise<void>;
  /** Settles a doubtful hand-over. @throws Error where it is not in doubt */
  settle(intervention: Intervention & { readonly decision: Decision }): Promise<void>;
  /** Closes a disputed confirmation. @throws Error where it is not open, or ends by itself */
  closeIncident(order: {
    readonly tenant: string;
    readonly incident: string;
    readonly actor: Actor;
    readonly reason: string;
  }): Promise<void>;
  /** Places a private De-Mail that waits. @throws Error that says why it cannot be */
  placePrivate(order: PlaceOrder): Promise<void>;
  status(): Promise<AccountStatus[]>;
  /** Where other services have operators told. */
  readonly incidents: Pick<Incidents, 'open' | 'close'>;
  /** One mail to a tenant's operators. */
  readonly tell: TellOperators;
  /** Follows a changed configuration: new tenants start, removed ones stop. */
  refresh(): Promise<void>;
  /** Lets running hand-overs finish for at most `graceMs` (5 s), then breaks them off. */
  close(graceMs?: number): Promise<void>;
}

interface Account {
  readonly outbox: Outbox;
  readonly fetching: Fetching;
  readonly forwarding: Forwarding;
  readonly mailbox: MailboxPolicy;
  readonly deadlines: Deadlines;
  readonly reverification: Rounds;
  readonly silence: Rounds;
  readonly privateMail: PrivateMail;
  readonly scanning: Rounds;
  readonly settlement: Settlement;
  readonly gate: Gate;
  /** How the account is reached, as configured at its start. */
  readonly connectsBy: string;
  readonly health: { readonly smtp: Health; readonly imap: Health; readonly forward: Health };
}

export async function startProviderLink(deps: LinkDeps): Promise<ProviderLink> {
  const { store, directory } = deps;
  const clock = deps.clock ?? systemClock;
  const tell = operatorTeller({ store, directory, hostname: deps.hostname, clock });
  const incidents = await createIncidents({ ...deps, clock, tell });
  const disk = startDiskWatch({ ...deps, clock, incidents });
  const accounts = new Map<string, Account>();
  /** Tenants whose log is held: nothing can be recorded, so nothing is begun. */
  const held = new Set<string>();
  const holds = createHoldNotices({ ...deps, clock });

  async function refresh() {
    const wanted = new Set(directory().tenants.map((tenant) => tenant.id));
    for (const id of wanted) {
      const running = accounts.get(id);
      if (running?.connectsBy === connectsBy(deps, id)) {
        running.gate.refresh();
        continue;
      }
      // Another address or certificate: connections of the old kind end first.
      if (running !== undefined) {
        accounts.delete(id);
        await closeAccount(running, 5_000);
      } else if (await isHeld(id)) {
        held.add(id);
        continue;
      } else await incidents.learn(id);
      held.delete(id);
      accounts.set(id, await startAccount({ ...deps, clock }, incidents, tell, id));
    }
    for (const id of held) if (!wanted.has(id)) held.delete(id);
    for (const [id, account] of accounts) {
      if (wanted.has(id)) continue;
      accounts.delete(id);
      await closeAccount(account, 5_000);
    }
    for (const { id, provider } of directory().tenants) watchAnchors(deps, incidents, id, provider);
  }

  function account(tenant: string): Account {
    const found = accounts.get(tenant);
    if (found === undefined && held.has(tenant))
      throw new Error(`the evidence log of ${tenant} is held: nothing is handed over or fetched`);
    if (found === undefined) throw new Error(`no tenant ${tenant} is served here`);
    return found;
  }

  async function isHeld(tenant: string): Promise<boolean> {
    const reasons = await store.holds(tenant);
    if (reasons.length > 0) await holds.tell(tenant, reasons);
    return reasons.length > 0;
  }

  // A witness may find out while the gateway runs; the gate has closed by then.
  const following = store.changes.subscribe((change) => {
    if (change.topic !== 'lock' || held.has(change.tenant)) return;
    isHeld(change.tenant).catch((error) => deps.log.error({ error: String(error) }, 'hold not told'));
  });

  async function closeAll(graceMs: number) {
    following[Symbol.dispose]();
    disk.close();
    await Promise.all([...accounts.values()].map((a) => closeAccount(a, graceMs)));
    accounts.clear();
    await incidents.settled();
    incidents.stop();
  }

  try {
    await refresh();
  } catch (error) {
    await closeAll(0);
    throw error;
  }
  return {
    incidents,
    tell,
    fetchNow: async (tenant, outsideHours) => account(tenant).fetching.fetchNow(outsideHours),
    checkLogin: async (tenant, occasion, outsideHours) =>
      checkLogins(
        { store, gate: account(tenant).gate, hostname: deps.hostname },
        configOf(deps, tenant),
        occasion,
        outsideHours,
      ),
    isLocked: (tenant) => held.has(tenant) || (accounts.get(tenant)?.gate.locked ?? false),
    async retryNow(tenant) {
      const { health, outbox, forwarding } = account(tenant);
      for (const item of await store.openTransactions(tenant)) {
        if (item.state !== 'queued') continue;
        await store.rescheduleTransaction(tenant, item.letter, item.transaction, clock.now()).catch(() => {});
      }
      health.smtp.retryNow();
      health.forward.retryNow();
      outbox.wake();
      forwarding.wake();
    },
    async retryTransaction({ tenant, letter, transaction, actor, reason }) {
      const { health, outbox } = account(tenant);
      await store.rescheduleTransaction(tenant, letter, transaction, clock.now());
      const subject = `${tenant}/${letter} transaction ${transaction}`;
      await store.recordOperation(tenant, { actor, action: 'queue retry', subject, reason });
      health.smtp.retryNow();
      outbox.wake();
    },
    async retryForward({ tenant, letter, actor, reason }) {
      const { health, forwarding } = account(tenant);
      await store.rescheduleForward(tenant, letter, clock.now());
      await store.recordOperation(tenant, {
        actor,
        action: 'queue forward',
        subject: `${tenant}/${letter}`,
        reason,
      });
      health.forward.retryNow();
      forwarding.wake();
    },
    async closeIncident({ tenant, incident, actor, reason }) {
      if (!isDispute(incident))
        throw new Error(`${incident} ends by itself, when what is wrong is well again`);
      const open = await store.incidents(tenant);
      if (!open.some((one) => one.incident === incident))
        throw new Error(`${incident} is not open for ${tenant}`);
      await store.recordOperation(tenant, { actor, action: 'incident close', subject: incident, reason });
      incidents.close(tenant, incident, incidentTexts.disputeClosed(actor.name, reason));
      await incidents.settled();
    },
    settle: async (intervention) => account(intervention.tenant).settlement.byOperator(intervention),
    placePrivate: async (order) => account(order.tenant).privateMail.place(order),
    status: () =>
      Promise.all([
        ...[...accounts].map(([tenant, a]) => statusOf(deps, tenant, a)),
        ...[...held].filter((tenant) => !accounts.has(tenant)).map((tenant) => heldStatus(deps, tenant)),
      ]),
    refresh,
    close: (graceMs = 5_000) => closeAll(graceMs),
  };
}

type Deps = LinkDeps & { readonly clock: Clock };

async function startAccount(
  deps: Deps,
  incidents: Incidents,
  tell: TellOperators,
  tenant: string,
): Promise<Account> {
  const { store, directory, clock } = deps;
  await store.openTenant(tenant);
  const random = deps.random ?? Math.random;
  const log = deps.log.child({ tenant });
  const { hostname } = deps;
  const gate = await createGate({ store, directory, tenant, clock, log });
  const base = {
    store,
    directory,
    tenant,
    log,
    clock,
    random,
    incidents,
    tell,
    hostname,
    gate,
    dataDir: deps.dataDir,
  };
  const health = (incident: string, what: Said) =>
    createHealth({ tenant, incident, what }, incidents, clock, random);
  const sides = {
    smtp: health('account-smtp', {
      de: 'Die Übergabe an den De-Mail-Anbieter',
      en: 'Hand-over to the De-Mail provider',
    }),
    imap: health('account-imap', {
      de: 'Das Abholen vom De-Mail-Anbieter',
      en: 'Fetching from the De-Mail provider',
    }),
    forward: health('own-server', {
      de: 'Das Weiterleiten an den eigenen Mailserver',
      en: 'Forwarding to the own mail server',
    }),
  };
  await settleCutOff(base);
  const reports = createReports(base);
  const settlement = createSettlement({ ...base, reports });
  const privateMail = createPrivateMail(base);
  const scanning = startScanning({ ...base, reports, scanner: deps.scanner });
  const ingest = createIngest({ ...base, reports, settlement, privateMail, scanning });
  const outbox = await startOutbox({
    ...base,
    reports,
    settlement,
    health: sides.smtp,
    pool: providerPool(deps, tenant, gate),
  });
  const mailbox = createMailboxPolicy({ ...base, settings: deps.fetching });
  const deadlines = startDeadlines({
    ...base,
    reports,
    settlement,
    claim: outbox.claim,
    lastError: () => (sides.smtp.failures > 0 ? sides.smtp.lastError : null),
  });
  return {
    outbox,
    forwarding: await startForwarding({ ...base, health: sides.forward, pool: forwardPool(deps, tenant) }),
    fetching: startFetching({ ...base, ingest, mailbox, health: sides.imap, settings: deps.fetching }),
    mailbox,
    deadlines,
    reverification: startReverification({ ...base, reports, settlement }),
    silence: startSilence({ ...base, reports }),
    privateMail,
    scanning,
    settlement,
    gate,
    connectsBy: connectsBy(deps, tenant),
    health: sides,
  };
}

async function closeAccount(account: Account, graceMs: number): Promise<void> {
  for (const health of Object.values(account.health)) health.close();
  await Promise.all([
    account.deadlines.close(),
    account.reverification.close(),
    account.silence.close(),
    account.privateMail.rounds.close(),
    account.fetching.close().then(() => account.scanning.close()),
    account.outbox.close(graceMs),
    account.forwarding.close(graceMs),
  ]);
  account.gate.close();
}

/** Without an anchor no signature leads anywhere, and no confirmation ever counts. */
function watchAnchors({ log }: LinkDeps, incidents: Incidents, tenant: string, provider: ProviderConfig) {
  if (anchorsOf(provider).length > 0) incidents.close(tenant, 'no-anchors', incidentTexts.anchorsConfigured);
  else {
    log.warn({ tenant }, 'neither signatureAnchors nor trustAnchors: no confirmation will count');
    incidents.open(tenant, 'no-anchors', incidentTexts.noAnchors);
  }
}

function providerPool(deps: Deps, tenant: string, gate: Gate): Pool {
  return createPool(deps.clock, async (signal) => {
    const { provider } = configOf(deps, tenant);
    const target = await loadTarget(provider.smtp, provider);
    const occasion = byGateway('hand-over');
    const login = await beginLogin({ store: deps.store, tenant }, provider, 'smtp', occasion);
    try {
      // The gate may have closed while the intent was written.
      const shut = gate.closed('smtp');
      if (shut !== null) {
        await login.conclude('failed', `not tried: ${shut.text}`);
        throw new Error(shut.text);
      }
      const session = await openSession(
        target,
        { hostname: deps.hostname, credentials: credentialsOf(provider), timeouts: deps.timeouts },
        signal,
      );
      await login.conclude('logged-in', 'for hand-over; SMTP picks nothing up');
      return session;
    } catch (error) {
      await login.conclude(resultOfFailure(error), (error as Error).message.slice(0, 500));
      throw error;
    }
  });
}

function forwardPool(deps: Deps, tenant: string): Pool {
  return createPool(deps.clock, async (signal) => {
    const settings = configOf(deps, tenant).delivery.forward;
    if (settings === undefined) throw new Error('forwarding is not configured any more');
    const target = await loadTarget(settings, settings);
    return openSession(
      target,
      { hostname: deps.hostname, lmtp: settings.protocol === 'lmtp', timeouts: deps.timeouts },
      signal,
    );
  });
}

function connectsBy(deps: Pick<Deps, 'directory'>, tenant: string): string {
  const { account, smtp, imap, user, password, clientIdentity, trustAnchors } = configOf(
    deps,
    tenant,
  ).provider;
  return JSON.stringify([account, smtp, imap, user, password, clientIdentity, trustAnchors]);
}

function configOf(deps: Pick<Deps, 'directory'>, tenant: string): TenantConfig {
  const config = deps.directory().tenant(tenant);
  if (config === undefined) throw new Error(`tenant ${tenant} is no longer configured`);
  return config;
}

function credentialsOf({ user, password }: ProviderConfig) {
  return user === undefined || password === undefined ? undefined : { user, password: readSecret(password) };
}
