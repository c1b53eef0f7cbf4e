/**
 * The wiring: opens the store, starts the services on it, closes them in reverse order. Nothing here knows
 * what a service does; services know nothing of each other.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigError } from './config/load.ts';
import type { Config } from './config/schema.ts';
import { type ControlRequest, serveControl } from './control.ts';
import { createAuthenticator } from './directory/authenticator.ts';
import { createDirectory } from './directory/create.ts';
import { type ImapServer, startImap } from './imap/server.ts';
import type { ImapLimits } from './imap/session.ts';
import { createScanner } from './inspection/scanner.ts';
import { lockStore } from './lock.ts';
import { systemClock } from './observe/clock.ts';
import type { Log } from './observe/log.ts';
import { tlsServerOptions } from './pki/tls.ts';
import { copiesOf, pathsOf } from './preservation/configured-copies.ts';
import type { Copies } from './preservation/copies.ts';
import { createPreservation } from './preservation/create.ts';
import type { Preservation } from './preservation/preservation.ts';
import { type OrderDeps, obeyRetention } from './preservation/retention-orders.ts';
import { startRetention } from './preservation/retention-schedule.ts';
import { startScrub } from './preservation/scrub.ts';
import { type ProviderLink, startProviderLink } from './provider/link.ts';
import { compareConfigs, type Reloaded, readListenerTls } from './reload.ts';
import { startSmtp } from './smtp/listener.ts';
import { openSqliteStore } from './store/sqlite/open.ts';
import { openScrubSource } from './store/sqlite/scrub-source.ts';
import type { Store } from './store/store.ts';
import { startTransparency } from './transparency/start.ts';
import { startWitness } from './transparency/witness.ts';

export type ListenerName = keyof Config['listeners'];
export type ListenerPorts = Readonly<Partial<Record<ListenerName, number>>>;

export interface GatewayOptions {
  readonly config: Config;
  /** Where the configuration came from, for `status`. */
  readonly configFile: string;
  readonly log: Log;
  /** Reads the configuration again; absent: it cannot be reloaded. @throws ConfigError */
  readonly load?: () => Config;
}

/** Every reason why a configuration could not be taken over. */
export interface ReloadRefused {
  readonly errors: readonly string[];
}

export interface Gateway {
  /** Ports as bound. */
  readonly ports: ListenerPorts;
  /** Resolves when the control socket was asked to stop the gateway. */
  readonly stopRequested: Promise<void>;
  /** Reads configuration and certificates again. What cannot be used changes nothing, and is logged. */
  reload(): Promise<Reloaded | ReloadRefused>;
  /** Drains and closes everything, the last opened first. */
  close(): Promise<void>;
}

/**
 * Starts everything.
 * @throws Unavailable where the store is in use or a port is busy (it names the port and its key)
 * @throws KeyError where the store must not be used as it is
 */
export async function startGateway({ config, configFile, log, load }: GatewayOptions): Promise<Gateway> {
  await using opened = new AsyncDisposableStack();
  await mkdir(config.data, { recursive: true, mode: 0o700 });
  opened.use(await lockStore(config.data, 'gateway'));
  const copies = copiesOf(config);
  if (copies !== null) opened.use(copies);
  const store = opened.use(
    await openSqliteStore({
      directory: config.data,
      ...(copies !== null && { feed: copies.feed }),
      ...(config.keys?.directory !== undefined && { keysDirectory: config.keys.directory }),
      recoveryCertificates: config.keys?.recovery ?? [],
      ...(config.checkpoints && { checkpointsDirectory: config.checkpoints.directory }),
      checkpointFolders: config.evidence.checkpointFolders,
      ...(config.evidence.tiles && { tilesDirectory: config.evidence.tiles.directory }),
      originPrefix: config.hostname,
      warn: (text) => log.warn({ room: 'store' }, text),
    }),
  );
  const tls = await readListenerTls(config);
  let current = { config, directory: createDirectory(config), tls };
  const deps = { store, directory: () => current.directory, log };
  const tenants = config.tenants.map(({ id }) => id);
  // Before anything is signed: what have the witnesses seen of these logs?
  const transparency = opened.use(
    await startTransparency({ store, config: config.evidence, tenants, originPrefix: config.hostname, log }),
  );
  for (const id of tenants) await store.openTenant(id);
  const witness = config.witness && opened.use(await startWitness(config.witness, log));

  const authenticator = createAuthenticator({ ...deps, limits: config.limits });
  const scanner = config.malware && createScanner(config.malware);
  const inside = { ...deps, dataDir: config.data, scanner };
  const link = await startProviderLink({ ...inside, hostname: config.hostname });
  opened.defer(() => link.close());
  const preservation = await createPreservation({
    config,
    store,
    incidents: link.incidents,
    clock: systemClock,
    log,
  });
  if (preservation !== null) opened.defer(() => preservation.close());
  const scrub = opened.use(
    startScrub({
      open: () => openScrubSource(pathsOf(config)),
      settings: config.preservation.scrub,
      file: join(config.data, 'scrub.json'),
      incidents: link.incidents,
      clock: systemClock,
      log: log.child({ room: 'preservation' }),
    }),
  );
  const retention = startRetention({
    store,
    tenants: () => current.config.tenants,
    tell: link.tell,
    clock: systemClock,
    log: log.child({ room: 'preservation' }),
  });
  opened.defer(() => retention.close());
  copies?.watch({
    tenants: () => current.config.tenants.map(({ id }) => id),
    incidents: link.incidents,
    clock: systemClock,
    log: log.child({ room: 'preservation' }),
  });
  const smtp = await startSmtp({ ...inside, config, authenticator, tls, isLocked: link.isLocked });
  let imap: ImapServer | undefined;
  // Clients drain side by side, so that the whole end stays within its limit.
  opened.defer(async () => void (await Promise.all([smtp.close(), imap?.close()])));
  imap = await startImap({
    ...deps,
    authenticator,
    tls: () => tlsServerOptions(current.tls),
    listeners: config.listeners,
    limits: imapLimits(config),
    scanner: config.malware?.append ? scanner : undefined,
  });

  const running = { smtp, imap };
  async function takeOver(next: Config): Promise<Reloaded> {
    const compared = compareConfigs(current.config, next, config);
    const wanted = { config: next, directory: createDirectory(next), tls: await readListenerTls(next) };
    for (const { id } of next.tenants) await store.openTenant(id);
    // From here on nothing is refused any more.
    if (next.log.level !== current.config.log.level) log.level = next.log.level;
    current = wanted;
    running.smtp.reloaded({ tls: wanted.tls, relays: next.relays });
    running.imap.reloaded();
    await link.refresh().catch((error) => log.error({ error: String(error) }, 'accounts not all restarted'));
    log.info({ ...compared }, 'configuration reloaded');
    return compared;
  }
  let reloading: Promise<unknown> = Promise.resolve();
  /** One after the other: two at once could leave the older one in force. */
  function reload(): Promise<Reloaded | ReloadRefused> {
    const next = reloading.then(async () => {
      try {
        if (load === undefined) throw new Error('this gateway was started without a file');
        return await takeOver(load());
      } catch (error) {
        const errors = error instanceof ConfigError ? error.lines : [(error as Error).message];
        log.error({ errors }, 'configuration not reloaded; the one in force stays');
        return { errors };
      }
    });
    reloading = next;
    return next;
  }

  const ports = { ...smtp.ports, ...imap.ports };
  const stop = Promise.withResolvers<void>();
  const startedAt = new Date().toISOString();
  const status = async () => ({
    pid: process.pid,
    startedAt,
    config: configFile,
    data: config.data,
    ports,
    accounts: await link.status(),
    tilesPort: transparency.port,
    witness: witness === undefined ? null : { port: witness.port, key: witness.key },
    held: Object.fromEntries(
      (await Promise.all(tenants.map(async (id) => [id, await store.holds(id)] as const))).filter(
        ([, holds]) => holds.length > 0,
      ),
    ),
    preservation: (await preservation?.status()) ?? null,
    copies: (await copies?.status()) ?? null,
    scrub: scrub.status(),
  });
  opened.use(
    await serveControl(
      config.data,
      (request) =>
        obey(request, {
          store,
          link,
          preservation,
          retention: { store, authenticator, schedule: retention },
          copies,
          imap: running.imap,
          config: () => current.config,
          status,
          reload,
          stop: stop.resolve,
        }),
      log.child({ room: 'control' }),
    ),
  );
  log.info({ ports, data: config.data }, 'gateway ready');
  const held = opened.move();
  return { ports, stopRequested: stop.promise, reload, close: () => held.disposeAsync() };
}

function imapLimits({ limits: { imap, imapSessions, messageSize } }: Config): ImapLimits {
  const { loginTimeout: loginTimeoutMs, idleTimeout: idleTimeoutMs, ...sizes } = imap;
  return { sessions: imapSessions, messageSize, loginTimeoutMs, idleTimeoutMs, ...sizes };
}

interface Powers {
  readonly store: Store;
  readonly link: ProviderLink;
  readonly config: () => Config;
  readonly reload: Gateway['reload'];
  readonly preservation: Preservation | null;
  readonly retention: OrderDeps;
  readonly copies: Copies | null;
  readonly imap: ImapServer;
  readonly status: () => Promise<unknown>;
  readonly stop: () => void;
}

/** Does what a command asked for over the control socket. */
async function obey(
  request: ControlRequest,
  { store, link, preservation, retention, copies, imap, config, status, reload, stop }: Powers,
): Promise<unknown> {
  switch (request.command) {
    case 'status':
      return await status();
    case 'stop':
      stop();
      return { pid: process.pid };
    case 'reload':
      return await reload();
    case 'fetch-now': {
      const wanted = request.tenant === undefined ? config().tenants.map(({ id }) => id) : [request.tenant];
      await Promise.all(wanted.map((tenant) => link.fetchNow(tenant, request.outsideHours)));
      return { tenants: wanted };
    }
    case 'check-login': {
      const { tenant, actor, reason, outsideHours } = request;
      return await link.checkLogin(tenant, { actor, reason }, outsideHours);
    }
    case 'tenant-lock': {
      const { tenant, ...lock } = request;
      if (!(await store.tenants()).includes(tenant)) throw new Error(`no tenant ${tenant} is known here`);
      return { changed: await store.setLock(tenant, lock) };
    }
    case 'evidence-seal':
      if (preservation === null) throw new Error('preservation.seal names no time-stamping authority');
      return await preservation.sealNow();
    case 'backup-create':
      if (copies === null)
        throw new Error('the running gateway was started without preservation.backup: restart it');
      return await copies.backUp();
    case 'keys-rotate': {
      const { tenant, actor, reason } = request;
      if (!(await store.tenants()).includes(tenant)) throw new Error(`no tenant ${tenant} is known here`);
      return await store.rotateKeys(tenant, { actor, reason });
    }
    case 'queue-retry':
      return await link.retryTransaction(request);
    case 'queue-forward':
      return await link.retryForward(request);
    case 'queue-settle':
      return await link.settle(request);
    case 'incident-close':
      return await link.closeIncident(request);
    case 'retention-run':
    case 'retention-hold':
    case 'retention-propose':
    case 'retention-approve':
    case 'retention-withdraw':
      return await obeyRetention(retention, request);
    case 'search-text-rebuild':
      return await imap.rebuildSearchText(request.tenant);
    case 'private-operators':
      return Object.fromEntries(config().tenants.map(({ id, privateMail }) => [id, privateMail.operators]));
    case 'private-deliver':
      return await link.placePrivate(request);
    case 'rotate-log-key': {
      const { tenant, actor, reason, overlapMs } = request;
      return await store.rotateLogKey(tenant, { actor, reason, overlapMs });
    }
    case 'close-log': {
      const { tenant, actor, reason } = request;
      const opened = await store.closeLog(tenant, { actor, reason });
      await link.refresh();
      return opened;
    }
    case 'record-access':
      return await store.recordAccess(request.tenant, request.access);
  }
}
