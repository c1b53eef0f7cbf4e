/**
 * Fetching for one tenant's account: one connection at a time, IDLE and polling, reconnect with back-off.
 * What was recorded is known by folder, UIDVALIDITY and UID, and by its bytes: so a changed UIDVALIDITY, a lost
 * answer or a second look adds nothing. At the provider nothing is flagged or moved before the commit.
 */
import { ImapFlow } from 'imapflow';
import { readSecret } from '../config/files.ts';
import type { ProviderConfig, TenantConfig } from '../config/schema.ts';
import type { Directory } from '../directory/directory.ts';
import type { Log } from '../observe/log.ts';
import type { Store } from '../store/store.ts';
import { type Clock, pause } from './clock.ts';
import { imapOptions, loadTarget } from './connect.ts';
import { concernsAll, createFolder, type FetchSettings, type Folder, standardFetch } from './folder.ts';
import type { Health } from './health.ts';
import type { Incidents } from './incidents.ts';
import type { Ingest } from './ingest.ts';
import { createRequests, createSign, type Requests, type Sign } from './sign.ts';
import { incidentTexts, type Said } from './texts.ts';

export interface FetchDeps {
  readonly store: Store;
  readonly directory: () => Directory;
  readonly tenant: string;
  readonly ingest: Ingest;
  readonly health: Health;
  readonly incidents: Incidents;
  readonly log: Log;
  readonly clock: Clock;
  readonly settings?: FetchSettings | undefined;
}

export interface Fetching {
  /** Looks at the account now. Resolves after the next complete look; rejects when that look fails. */
  fetchNow(): Promise<void>;
  close(): Promise<void>;
}

export function startFetching(deps: FetchDeps): Fetching {
  const stop = new AbortController();
  const requests = createRequests();
  const run = (async () => {
    while (!stop.signal.aborted) {
      const config = deps.directory().tenant(deps.tenant);
      const wait = config === undefined ? 60_000 : await connectedOnce(deps, config, requests, stop.signal);
      if (wait > 0) await Promise.race([pause(deps.clock, wait, stop.signal), requests.asked()]);
    }
  })();
  return {
    fetchNow: () => requests.ask(),
    async close() {
      const reason = new Error('the gateway is shutting down');
      stop.abort(reason);
      await run;
      requests.failed(reason);
    },
  };
}

/** One connection from its beginning to its end. Returns the milliseconds to wait before the next. */
async function connectedOnce(
  deps: FetchDeps,
  config: TenantConfig,
  requests: Requests,
  signal: AbortSignal,
): Promise<number> {
  const { tenant, health, log } = deps;
  const sign = createSign();
  let client: ImapFlow | undefined;
  const stop = () => client?.close();
  signal.addEventListener('abort', stop, { once: true });
  try {
    client = await createClient(config.provider, deps.settings ?? standardFetch, sign);
    await client.connect();
    signal.throwIfAborted();
    await watch(deps, client, sign, requests, signal);
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

async function createClient(
  provider: ProviderConfig,
  settings: FetchSettings,
  sign: Sign,
): Promise<ImapFlow> {
  const target = await loadTarget(provider.imap, provider);
  const credentials =
    provider.user === undefined || provider.password === undefined
      ? undefined
      : { user: provider.user, pass: readSecret(provider.password) };
  const client = new ImapFlow({
    ...imapOptions(target),
    ...(credentials === undefined ? {} : { auth: credentials }),
    clientInfo: { name: 'demail-gateway' },
    disableCompression: true,
    connectionTimeout: 30_000,
    greetingTimeout: 30_000,
    socketTimeout: settings.silence,
    autoIdleDelay: 500,
    // A lost IDLE goes unnoticed: each poll ends it, and it never lasts longer than this.
    maxIdleTime: 5 * 60_000,
    maxLineLength: 8 * 1024 * 1024,
    maxLiteralSize: 2 * settings.chunkSize,
    maxResponseSize: 16 * 1024 * 1024,
  });
  // Before connect: an error that nobody listens to would end the process.
  client.on('error', () => sign.give());
  client.on('close', () => sign.give());
  client.on('exists', () => sign.give());
  return client;
}

/** A Sent folder that is missing or refused must not keep the mail in the inbox waiting. */
async function lookAtSent(
  { tenant, incidents, log }: FetchDeps,
  client: ImapFlow,
  sent: Folder,
  config: TenantConfig,
  signal: AbortSignal,
): Promise<void> {
  try {
    await sent.look(config, signal);
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
  requests: Requests,
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
    deps.health.succeeded();
    for (const request of round) request.succeeded();
    await Promise.race([pause(deps.clock, fetchInterval, signal), sign.given(), requests.asked()]);
    if (!client.usable && !signal.aborted) throw new Error('the provider closed the connection');
  }
}
