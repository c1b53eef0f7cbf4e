/** The SMTP service: submission (STARTTLS), submissions (TLS), relay (STARTTLS offered). */
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config/schema.ts';
import { createAttempts } from '../directory/attempts.ts';
import type { Log } from '../observe/log.ts';
import { type ServerIdentity, tlsServerOptions } from '../pki/tls.ts';
import { Unavailable } from '../unavailable.ts';
import { type GatewayConnection, GatewayServer } from './connection.ts';
import { createRelayAdmission, type RelayAdmission } from './relay-admission.ts';
import { createHandlers, type Handlers, type ListenerName, type SessionDeps } from './session.ts';

export interface SmtpDeps extends Omit<SessionDeps, 'limits'> {
  readonly config: Pick<Config, 'hostname' | 'listeners' | 'limits' | 'relays'>;
  readonly tls: ServerIdentity & {
    /** PEM; named to relay hosts when they are asked for a certificate. */
    readonly clientAuthorities?: readonly (string | Buffer)[];
  };
  /** Closes the service when aborted. */
  readonly signal?: AbortSignal;
}

export interface SmtpService {
  /** Ports as bound; of the listeners that are configured. */
  readonly ports: Partial<Record<ListenerName, number>>;
  /** From now on new connections see this certificate, and relays are admitted by this list. */
  reloaded(next: Pick<SmtpDeps, 'tls'> & { readonly relays: Config['relays'] }): void;
  /**
   * Stops listening, lets messages in transfer finish (at most `graceMs`), says 421 to the others.
   * Resolves when every connection is closed.
   */
  close(): Promise<void>;
}

/** How long a client may take to close its side after the last 421. */
const LINGER_MS = 1_000;
/** How long messages in transfer may go on while the gateway stops. */
const GRACE_MS = 6_000;

/**
 * Starts every configured listener.
 * @throws Unavailable that names the address where a port cannot be bound
 */
export async function startSmtp(deps: SmtpDeps): Promise<SmtpService> {
  const names = (['submission', 'submissions', 'relay'] as const).filter(
    (name) => deps.config.listeners[name],
  );
  const running: (Opened & { readonly name: ListenerName })[] = [];
  try {
    for (const name of names) running.push({ name, ...(await openListener(name, deps)) });
  } catch (error) {
    await Promise.all(running.map(closeListener));
    throw error;
  }
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= Promise.all(running.map(closeListener)).then(() => undefined);
    return closing;
  };
  deps.signal?.addEventListener('abort', () => void close(), { once: true });
  return {
    ports: Object.fromEntries(
      running.map(({ name, server }) => [name, (server.server.address() as AddressInfo).port]),
    ),
    reloaded({ tls, relays }) {
      for (const { name, server, admission } of running) {
        server.updateSecureContext({ ...tlsServerOptions(tls), ...relayTls(name, tls) });
        admission?.replace(relays);
      }
    },
    close,
  };
}

/** Relay hosts are asked for a certificate; which ones count is decided by fingerprint. */
function relayTls(name: ListenerName, { clientAuthorities }: SmtpDeps['tls']) {
  if (name !== 'relay') return {};
  return {
    requestCert: true,
    rejectUnauthorized: false,
    ...(clientAuthorities?.length && { ca: clientAuthorities.join('\n') }),
  };
}

interface Opened {
  readonly server: GatewayServer;
  readonly handlers: Handlers;
  /** Of the relay listener alone. */
  readonly admission: RelayAdmission | undefined;
}

async function openListener(name: ListenerName, deps: SmtpDeps): Promise<Opened> {
  const { hostname, limits, listeners, relays } = deps.config;
  const { address, port } = listeners[name]!;
  const log = deps.log.child({ room: 'smtp', listener: name });
  const admission = name === 'relay' ? createRelayAdmission(relays) : undefined;
  const handlers = createHandlers(name, { ...deps, limits }, admission, (session, { code, line }) => {
    for (const connection of server.connections) {
      if (connection.session !== session) continue;
      connection.send(code, line);
      connection.close();
    }
  });
  const server: GatewayServer = new GatewayServer({
    ...tlsServerOptions(deps.tls),
    ...relayTls(name, deps.tls),
    secure: name === 'submissions',
    name: hostname,
    banner: 'De-Mail gateway',
    heloResponse: '%s',
    logger: false,
    authMethods: ['PLAIN', 'LOGIN'],
    disabledCommands: [
      'XCLIENT',
      'XFORWARD',
      'WIZ',
      'SHELL',
      'KILL',
      'HELP',
      ...(name === 'relay' ? ['AUTH'] : []),
    ],
    hideSMTPUTF8: true,
    hideDSN: false,
    hideENHANCEDSTATUSCODES: false,
    disableReverseLookup: true,
    size: limits.messageSize,
    maxRecipients: limits.recipients,
    maxClients: limits.smtpSessions,
    maxClientsPerAddress: limits.smtpSessionsPerAddress,
    socketTimeout: limits.idleTimeout,
    closeTimeout: GRACE_MS,
    ...handlers,
  });
  server.on('error', createFailureLog(log, deps.now ?? Date.now));
  await new Promise<void>((resolve, reject) => {
    server.server.once('error', (error) => {
      reject(new Unavailable(`cannot listen on ${address}:${port} (listeners.${name}): ${error.message}`));
    });
    server.listen(port, address, resolve);
  });
  return { server, handlers, admission };
}

/** TLS alerts by which a client says that it does not trust our certificate. */
const DISTRUST = /ALERT_(UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_(UNKNOWN|EXPIRED)|UNSUPPORTED_CERTIFICATE)/;
const DISTRUST_LOG_MS = 3_600_000;

/**
 * Scanners and dropped connections are no news. A client that rejects our certificate is: its user sees
 * an empty error or none, and nobody else would tell the administrator. Once an hour per address.
 */
function createFailureLog(log: Log, now: () => number) {
  const told = createAttempts({ limit: 1, windowMs: DISTRUST_LOG_MS, now, maxKeys: 10_000 });
  return (
    error: Error & { code?: string; remoteAddress?: string; meta?: { remoteAddress?: string } },
  ): void => {
    const peer = error.remoteAddress ?? error.meta?.remoteAddress ?? 'unknown';
    if (!DISTRUST.test(error.code ?? '')) log.debug({ err: error, peer }, 'connection failed');
    else if (told.reserve(peer)) {
      log.warn(
        { peer, alert: error.code },
        'client does not trust the certificate; install the CA or check the name',
      );
    }
  };
}

async function closeListener({ server, handlers }: Opened): Promise<void> {
  const open = [...server.connections].map((connection) => connection._socket);
  const closed = new Promise<void>((resolve) => server.close(resolve));
  const dismiss = (all: boolean): void => {
    for (const connection of [...server.connections] as GatewayConnection[]) {
      if (all || !connection.busy) connection.refuse('shutting-down');
    }
  };
  dismiss(false);
  await Promise.race([handlers.settled(), sleep(GRACE_MS, undefined, { ref: false })]);
  dismiss(true);
  const destroy = setTimeout(() => {
    for (const socket of open) socket.destroy();
  }, LINGER_MS);
  await closed;
  clearTimeout(destroy);
}
