/** The IMAP listeners: one with STARTTLS, one with TLS from the first byte. */
import { constants } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { createSecureContext, type SecureContext, type TlsOptions } from 'node:tls';
import type { TenantConfig } from '../config/schema.ts';
import type { Authenticator, Directory } from '../directory/directory.ts';
import type { Scanner } from '../inspection/scanner.ts';
import type { Log } from '../observe/log.ts';
import type { Store } from '../store/store.ts';
import { Unavailable } from '../unavailable.ts';
import { strangerLimits, userLimits } from './codec/parser.ts';
import { createConnection, Disconnected } from './connection.ts';
import { createRowsRegistry } from './mailbox-rows.ts';
import { createRecentTracker } from './recent.ts';
import { runSession } from './serve.ts';
import type { ImapLimits, SessionDeps } from './session.ts';
import { type IndexingPace, startTextIndexer } from './text-indexer.ts';

export interface ImapListener {
  readonly address: string;
  /** 0: any free port. */
  readonly port: number;
}

export interface ImapDeps {
  readonly store: Store;
  readonly directory: () => Directory;
  readonly authenticator: Authenticator;
  readonly log: Log;
  /** Certificate, key and protocol settings; asked at every handshake, so that a renewed certificate counts. */
  readonly tls: () => TlsOptions;
  readonly listeners: { readonly imap?: ImapListener | undefined; readonly imaps?: ImapListener | undefined };
  readonly limits?: Partial<ImapLimits>;
  /** Looks at what clients append; absent: nothing does. */
  readonly scanner?: Scanner | undefined;
  /** How the search text is filled; for tests and measurements. */
  readonly indexing?: Partial<IndexingPace>;
  /** Closes the server when aborted. */
  readonly signal?: AbortSignal;
}

export interface ImapServer extends AsyncDisposable {
  readonly ports: { readonly imap?: number; readonly imaps?: number };
  /** The directory is another one: whoever lost or changed rights has to log in again. */
  reloaded(): void;
  /** Throws the tenant's search text away and makes it anew. */
  rebuildSearchText(tenant: string): Promise<void>;
  /** Says BYE to every client and resolves when all are gone, within some seconds. */
  close(): Promise<void>;
}

const defaults: ImapLimits = {
  sessions: 2000,
  strangersPerAddress: 200,
  messageSize: 45 * 1024 * 1024,
  loginTimeoutMs: 60_000,
  idleTimeoutMs: 30 * 60_000,
  badCommands: 20,
  strangerCommand: strangerLimits.command,
  line: userLimits.line,
  command: userLimits.command,
};

/** Sessions that have this long to finish what they do before they are cut off. */
const closeMs = 5000;

/** @throws Unavailable that names the port and its key where it cannot be bound. */
export async function startImap(deps: ImapDeps): Promise<ImapServer> {
  const log = deps.log.child({ room: 'imap' });
  const closing = new AbortController();
  const session: SessionDeps = {
    store: deps.store,
    directory: deps.directory,
    authenticator: deps.authenticator,
    log,
    secureContext: cachedContext(deps.tls, () => authoritiesOf(deps.directory())),
    asksForCertificate: () => deps.directory().tenants.some(asksForCertificate),
    limits: { ...defaults, ...deps.limits },
    recent: createRecentTracker(),
    scanner: deps.scanner,
    rows: createRowsRegistry(),
    closing: closing.signal,
    onReload: new Set(),
  };
  const indexer = startTextIndexer({
    store: deps.store,
    tenants: () => deps.directory().tenants,
    log,
    pace: deps.indexing,
  });
  session.onReload.add(indexer.look);
  const running = new Map<Socket, Promise<void>>();
  const strangers = createStrangers();
  const admit = (socket: Socket, implicitTls: boolean): void => {
    const address = socket.remoteAddress ?? '';
    const { sessions, strangersPerAddress } = session.limits;
    if (running.size >= sessions || strangers.count(address) >= strangersPerAddress) {
      log.warn({ peer: address }, 'too many sessions');
      socket.on('error', () => {});
      // A TLS client would take the words for a broken handshake: it learns as much from the close.
      socket.end(implicitTls ? '' : '* BYE [UNAVAILABLE] Too many connections, try again later\r\n');
      setTimeout(() => socket.destroy(), 1000).unref();
      return;
    }
    const known = strangers.enter(address);
    const done = serve(session, socket, implicitTls, known).finally(() => {
      known();
      running.delete(socket);
    });
    running.set(socket, done);
  };

  const servers: Server[] = [];
  const ports: { imap?: number; imaps?: number } = {};
  try {
    for (const name of ['imap', 'imaps'] as const) {
      const listener = deps.listeners[name];
      if (!listener) continue;
      const server = createServer((socket) => admit(socket, name === 'imaps'));
      servers.push(server);
      ports[name] = await listen(server, name, listener);
    }
  } catch (error) {
    for (const server of servers) server.close();
    throw error;
  }

  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closed ??= (async () => {
      const stopped = servers.map((server) => new Promise((resolve) => server.close(resolve)));
      closing.abort();
      const cut = setTimeout(() => {
        for (const socket of running.keys()) socket.destroy();
      }, closeMs);
      await Promise.allSettled(running.values());
      await Promise.all([...stopped, indexer.close()]);
      clearTimeout(cut);
    })();
    return closed;
  };
  deps.signal?.addEventListener('abort', () => void close(), { once: true });
  if (deps.signal?.aborted) await close();
  const reloaded = () => {
    for (const tell of [...session.onReload]) tell();
  };
  return { ports, reloaded, rebuildSearchText: indexer.rebuild, close, [Symbol.asyncDispose]: close };
}

/** One client, from its first byte to its last. Never throws. */
async function serve(
  deps: SessionDeps,
  socket: Socket,
  implicitTls: boolean,
  onLogin: () => void,
): Promise<void> {
  const connection = createConnection(socket);
  const gone = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  try {
    if (implicitTls)
      await connection.upgrade(deps.secureContext(), deps.limits.loginTimeoutMs, deps.asksForCertificate());
    await runSession(deps, connection, onLogin);
  } catch (error) {
    if (error instanceof Disconnected) deps.log.debug({ peer: connection.peer }, error.message);
    else deps.log.error({ err: error, peer: connection.peer }, 'connection failed');
    connection.destroy();
  }
  await gone;
}

/** Counts, per address, who has not logged in yet, so that one peer cannot fill the house by standing about. */
function createStrangers() {
  const counts = new Map<string, number>();
  return {
    count: (address: string): number => counts.get(address) ?? 0,
    /** Counts one more; the returned function, called any number of times, takes them out again. */
    enter(address: string): () => void {
      counts.set(address, (counts.get(address) ?? 0) + 1);
      let inside = true;
      return () => {
        if (!inside) return;
        inside = false;
        const left = (counts.get(address) ?? 1) - 1;
        if (left > 0) counts.set(address, left);
        else counts.delete(address);
      };
    },
  };
}

function asksForCertificate({ privateMail }: TenantConfig): boolean {
  return privateMail.requireClientCertificate;
}

/**
 * Authorities that clients are told of, so that they offer the right certificate. None where users have
 * certificates by fingerprint: a client offers nothing that no named authority issued (RFC 8446 4.4.2.3).
 */
function authoritiesOf({ tenants }: Directory): readonly string[] {
  const asking = tenants.filter(asksForCertificate);
  if (asking.some(({ users }) => users.some(({ certificates }) => certificates.length > 0))) return [];
  return asking.flatMap(({ privateMail }) => privateMail.certificateAuthorities);
}

/** A context costs milliseconds to make: one serves until the options change. */
function cachedContext(tls: () => TlsOptions, authorities: () => readonly string[]): () => SecureContext {
  let last: TlsOptions | undefined;
  let named = '';
  let context: SecureContext | undefined;
  return () => {
    const options = tls();
    const files = authorities();
    if (!context || last?.cert !== options.cert || last?.key !== options.key || named !== files.join()) {
      const order = options.honorCipherOrder === false ? 0 : constants.SSL_OP_CIPHER_SERVER_PREFERENCE;
      context = createSecureContext({
        ...options,
        secureOptions: (options.secureOptions ?? 0) | order,
        ...(files.length > 0 && { ca: files.map((file) => readFileSync(file)) }),
        // Without it OpenSSL refuses to resume a session in which it asked for a certificate.
        sessionIdContext: 'demail-gateway imap',
      });
      named = files.join();
      last = options;
    }
    return context;
  };
}

function listen(server: Server, name: string, { address, port }: ImapListener): Promise<number> {
  return new Promise((resolve, reject) => {
    const refuse = (error: Error) =>
      reject(
        new Unavailable(`cannot listen on ${address}:${port} (listeners.${name}): ${error.message}`, error),
      );
    server.once('error', refuse);
    server.listen(port, address, () => {
      server.off('error', refuse);
      const bound = server.address();
      resolve(typeof bound === 'object' && bound ? bound.port : port);
    });
  });
}
