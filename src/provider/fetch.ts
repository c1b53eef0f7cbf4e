/**
 * Fetching for one tenant's account: one connection at a time, IDLE and polling, reconnect with back-off.
 * What was recorded is known by folder, UIDVALIDITY and UID, and by its bytes: so a changed UIDVALIDITY, a lost
 * answer or a second look adds nothing. At the provider nothing is flagged or moved before the commit.
 */
import type { ImapFlow } from 'imapflow';
import type { ProviderConfig, TenantConfig } from '../config/schema.ts';
import type { Directory } from '../directory/directory.ts';
import { type Clock, pause } from '../observe/clock.ts';
import type { Log } from '../observe/log.ts';
import type { Store } from '../store/store.ts';
import { concernsAll, createFolder, type FetchSettings, type Folder, standardFetch } from './folder.ts';
import type { Gate } from './gate.ts';
import type { Health } from './health.ts';
import { createImapClient } from './imap-client.ts';
import type { Incidents } from './incidents.ts';
import type { Ingest } from './ingest.ts';
import { beginLogin, byGateway, type Login, type Occasion, pickedUpText, resultOfFailure } from './logins.ts';
import type { MailboxPolicy } from './mailbox-policy.ts';
import { watchSentCopies } from './sent-copies.ts';
import { createRequests, createSign, type Requests, type Sign } from './sign.ts';
import { incidentTexts, type Said } from './texts.ts';

export interface FetchDeps {
  readonly store: Store;
  readonly directory: () => Directory;
  readonly tenant: string;
  readonly ingest: Ingest;
  readonly health: Health;
  readonly gate: Gate;
  readonly mailbox: MailboxPolicy;
  readonly incidents: Incidents;
  readonly log: Log;
  readonly clock: Clock;
  readonly settings?: FetchSettings | undefined;
}

export interface Fetching {
  /**
   * Looks at the account now. Resolves after the next complete look; rejects when that look fails, and at once
   * while the gate is closed. `outsideHours`: one login and one look, whatever the calendar says.
   */
  fetchNow(outsideHours?: Occasion): Promise<void>;
  close(): Promise<void>;
}

export function startFetching(deps: FetchDeps): Fetching {
  const stop = new AbortController();
  const requests = createRequests();
  const { gate } = deps;
  let outside: Occasion | undefined;
  let again = false;
  const run = (async () => {
    while (!stop.signal.aborted) {
      const config = deps.directory().tenant(deps.tenant);
      const closed = gate.closed('imap', outside !== undefined);
      if (closed !== null) {
        requests.failed(new Error(closed.text));
        await Promise.race([gate.changed(), pause(deps.clock, 3_600_000, stop.signal), requests.asked()]);
        continue;
      }
      const occasion = gate.closed('imap') === null ? byGateway(again ? 'reconnect' : 'start') : outside;
      const once = gate.closed('imap') !== null;
      again = true;
      const wait =
        config === undefined || occasion === undefined
          ? 60_000
          : await connectedOnce(deps, config, { requests, occasion, once }, stop.signal);
      if (wait > 0) await Promise.race([pause(deps.clock, wait, stop.signal), requests.asked()]);
    }
  })();
  return {
    async fetchNow(outsideHours) {
      const closed = gate.closed('imap', outsideHours !== undefined);
      if (closed !== null) throw new Error(closed.text);
      if (outsideHours !== undefined && gate.closed('imap') !== null) outside = outsideHours;
      try {
        await requests.ask();
      } finally {
        if (outside === outsideHours) outside = undefined;
      }
    },
    async close() {
      const reason = new Error('the gateway is shutting down');
      stop.abort(reason);
      await run;
      requests.failed(reason);
    },
  };
}

interface Visit {
  readonly requests: Requests;
  readonly occasion: Occasion;
  /** One look, then the connection ends. */
  readonly once: boolean;
}

/** One connection from its beginning to its end. Returns the milliseconds to wait before the next. */
async function connectedOnce(
  deps: FetchDeps,
  config: TenantConfig,
  visit: Visit,
  stopping: AbortSignal,
): Promise<number> {
  const { tenant, health, log, gate } = deps;
  const { requests } = visit;
  const sign = createSign();
  using open = gate.whileOpen('imap', visit.once);
  const signal = AbortSignal.any([stopping, open.signal]);
  let client: ImapFlow | undefined;
  const stop = () => client?.close();
  signal.addEventListener('abort', stop, { once: true });
  try {
    client = await createImapClient(config.provider, deps.settings ?? standardFetch, sign.give);
    await loggedIn(deps, client, config.provider, visit, sign, signal);
    return 0;
  } catch (error) {
    if (signal.aborted) return 0;
    const wait = health.failed(error);
    log.warn({ tenant, wait, error: String(error) }, 'fetching from the provider failed');
    requests.failed(error);
    return wait;
  } finally {
    signal.removeEventListener('abort', stop);
    client?.close();
  }
}

/** From the intent over the login to the end of the connection; the outcome follows the first look. */
async function loggedIn(
  deps: FetchDeps,
  client: ImapFlow,
  provider: ProviderConfig,
  visit: Visit,
  sign: Sign,
  signal: AbortSignal,
): Promise<void> {
  const { tenant, ingest } = deps;
  signal.throwIfAborted();
  const login = await beginLogin(deps, provider, 'imap', visit.occasion);
  // The gate may have closed while the intent was written.
  if (signal.aborted) return login.conclude('failed', `not tried: ${(signal.reason as Error).message}`);
  ingest.pickedUp();
  try {
    await client.connect();
  } catch (error) {
    await login.conclude(resultOfFailure(error), (error as Error).message.slice(0, 500));
    throw error;
  }
  try {
    signal.throwIfAborted();
    await watch(deps, client, sign, visit, login, signal);
  } finally {
    const picked = pickedUpText(tenant, ingest.pickedUp());
    await login.conclude('logged-in', `${picked}; the connection ended during the first look`);
  }
}

/** A Sent folder that is missing or refused must not keep the mail in the inbox waiting. */
async function lookAtSent(
  deps: FetchDeps,
  client: ImapFlow,
  sent: Folder,
  config: TenantConfig,
  signal: AbortSignal,
): Promise<void> {
  const { tenant, incidents, log } = deps;
  try {
    await sent.look(config, signal);
    await watchSentCopies(deps, config);
    incidents.close(tenant, 'sent-folder', incidentTexts.worksAgain(sentFolderText));
  } catch (error) {
    if (!client.usable || signal.aborted || concernsAll(error)) throw error;
    log.warn({ error: String(error) }, 'sent folder cannot be read');
    incidents.open(tenant, 'sent-folder', incidentTexts.fails(sentFolderText, String(error)));
  }
}

const sentFolderText: Said = {
  de: 'Das Lesen des Gesendet-Ordners beim Anbieter',
  en: 'Reading the Sent folder at the provider',
};

/** Looks, waits for a sign or the interval, looks again, until the connection ends. */
async function watch(
  deps: FetchDeps,
  client: ImapFlow,
  sign: Sign,
  { requests, once }: Visit,
  login: Login,
  signal: AbortSignal,
): Promise<void> {
  const folders = new Map<string, Folder>();
  const folder = (name: string) => {
    const known = folders.get(name);
    if (known !== undefined) return known;
    const made = createFolder(deps, client, name);
    folders.set(name, made);
    return made;
  };
  while (!signal.aborted) {
    const config = deps.directory().tenant(deps.tenant);
    if (config === undefined) return;
    const { inbox, sentFolder, fetchInterval } = config.provider;
    const round = requests.take();
    sign.clear();
    // The inbox last, because IDLE then runs on it.
    if (sentFolder !== undefined) await lookAtSent(deps, client, folder(sentFolder), config, signal);
    await folder(inbox).look(config, signal);
    deps.ingest.roundEnded();
    await login.conclude('logged-in', pickedUpText(deps.tenant, deps.ingest.pickedUp()));
    deps.health.succeeded();
    for (const request of round) request.succeeded();
    if (once) return;
    // With another folder open IDLE hears nothing of the inbox: look at it again at once.
    if (await deps.mailbox.look(client, config, signal)) continue;
    await Promise.race([pause(deps.clock, fetchInterval, signal), sign.given(), requests.asked()]);
    if (!client.usable && !signal.aborted) throw new Error('the provider closed the connection');
  }
}
