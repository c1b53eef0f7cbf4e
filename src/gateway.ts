/**
 * The wiring: opens the store, starts the services on it, closes them in reverse order. Nothing here knows
 * what a service does; services know nothing of each other.
 */
import { mkdir, readFile } from 'node:fs/promises';
import type { Config } from './config/schema.ts';
import { type ControlRequest, serveControl } from './control.ts';
import { createAuthenticator } from './directory/authenticator.ts';
import { createDirectory } from './directory/create.ts';
import { type ImapServer, startImap } from './imap/server.ts';
import { createScanner } from './inspection/scanner.ts';
import { lockStore } from './lock.ts';
import type { Log } from './observe/log.ts';
import { tlsServerOptions } from './pki/tls.ts';
import { type ProviderLink, startProviderLink } from './provider/link.ts';
import { startSmtp } from './smtp/listener.ts';
import { openSqliteStore } from './store/sqlite/open.ts';
import type { Store } from './store/store.ts';

export type ListenerName = keyof Config['listeners'];
export type ListenerPorts = Readonly<Partial<Record<ListenerName, number>>>;

export interface GatewayOptions {
  readonly config: Config;
  /** Where the configuration came from, for `status`. */
  readonly configFile: string;
  readonly log: Log;
}

export interface Gateway {
  /** Ports as bound. */
  readonly ports: ListenerPorts;
  /** Resolves when the control socket was asked to stop the gateway. */
  readonly stopRequested: Promise<void>;
  /** Drains and closes everything, the last opened first. */
  close(): Promise<void>;
}

/**
 * Starts everything.
 * @throws Unavailable where the store is in use or a port is busy (it names the port and its key)
 * @throws KeyError where the store must not be used as it is
 */
export async function startGateway({ config, configFile, log }: GatewayOptions): Promise<Gateway> {
  await using opened = new AsyncDisposableStack();
  await mkdir(config.data, { recursive: true, mode: 0o700 });
  opened.use(await lockStore(config.data, 'gateway'));
  const store = opened.use(
    await openSqliteStore({
      directory: config.data,
      ...(config.keys?.directory !== undefined && { keysDirectory: config.keys.directory }),
      recoveryCertificates: config.keys?.recovery ?? [],
      ...(config.checkpoints && { checkpointsDirectory: config.checkpoints.directory }),
      checkpointFolders: config.evidence.checkpointFolders,
      ...(config.evidence.tiles && { tilesDirectory: config.evidence.tiles.directory }),
      originPrefix: config.hostname,
      warn: (text) => log.warn({ room: 'store' }, text),
    }),
  );
  const directory = createDirectory(config);
  const deps = { store, directory: () => directory, log };
  for (const { id } of config.tenants) await store.openTenant(id);

  const authenticator = createAuthenticator({ ...deps, limits: config.limits });
  const tls = await readTls(config);
  const scanner = config.malware && createScanner(config.malware);
  const inside = { ...deps, dataDir: config.data, scanner };
  const link = await startProviderLink({ ...inside, hostname: config.hostname });
  opened.defer(() => link.close());
  const smtp = await startSmtp({ ...inside, config, authenticator, tls, isLocked: link.isLocked });
  let imap: ImapServer | undefined;
  // Clients drain side by side, so that the whole end stays within its limit.
  opened.defer(async () => void (await Promise.all([smtp.close(), imap?.close()])));
  imap = await startImap({
    ...deps,
    authenticator,
    tls: () => tlsServerOptions(tls),
    listeners: config.listeners,
    limits: { sessions: config.limits.imapSessions, messageSize: config.limits.messageSize },
  });

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
  });
  opened.use(
    await serveControl(
      config.data,
      (request) => obey(request, { store, link, config, status, stop: stop.resolve }),
      log.child({ room: 'control' }),
    ),
  );
  log.info({ ports, data: config.data }, 'gateway ready');
  const running = opened.move();
  return { ports, stopRequested: stop.promise, close: () => running.disposeAsync() };
}

interface Powers {
  readonly store: Store;
  readonly link: ProviderLink;
  readonly config: Config;
  readonly status: () => Promise<unknown>;
  readonly stop: () => void;
}

/** Does what a command asked for over the control socket. */
async function obey(
  request: ControlRequest,
  { store, link, config, status, stop }: Powers,
): Promise<unknown> {
  switch (request.command) {
    case 'status':
      return await status();
    case 'stop':
      stop();
      return { pid: process.pid };
    case 'fetch-now': {
      const wanted = request.tenant === undefined ? config.tenants.map(({ id }) => id) : [request.tenant];
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
    case 'keys-rotate': {
      const { tenant, actor, reason } = request;
      if (!(await store.tenants()).includes(tenant)) throw new Error(`no tenant ${tenant} is known here`);
      return await store.rotateKeys(tenant, { actor, reason });
    }
    case 'queue-retry':
      return await link.retryTransaction(request);
    case 'queue-settle':
      return await link.settle(request);
    case 'private-operators':
      return Object.fromEntries(config.tenants.map(({ id, privateMail }) => [id, privateMail.operators]));
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

async function readTls({ tls }: Config) {
  const [certificate, key, ...clientAuthorities] = await Promise.all(
    [tls.certificate, tls.key, ...tls.clientAuthorities].map((file) => readFile(file)),
  );
  return { certificate: certificate!, key: key!, clientAuthorities };
}
