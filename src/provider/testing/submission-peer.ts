/** A provider's submission service for tests: the smtp-server package behind TLS, keeping what it was given. */
import { createHash } from 'node:crypto';
import type { AddressInfo, Socket } from 'node:net';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import type { Authority } from '../../pki/authority.ts';

interface Received {
  readonly from: string;
  readonly recipients: readonly string[];
  readonly bytes: Buffer;
  readonly sha256: string;
}

/** What the peer does; change it between hand-overs. A reply is `550 5.1.1 text`; null accepts. */
interface Behaviour {
  rcpt: (address: string) => string | null;
  /** `cut` drops the connection after the final dot, without a reply. */
  data: (received: Received) => string | 'cut' | null;
  login: (user: string, password: string) => boolean;
}

export interface SubmissionPeer extends AsyncDisposable {
  readonly port: number;
  readonly received: Received[];
  readonly behaviour: Behaviour;
  /** Connections that were opened, in all. */
  connections(): number;
  /** Resolves when so many messages were accepted. */
  reached(count: number): Promise<void>;
}

export interface PeerOptions {
  readonly authority: Authority;
  readonly mode?: 'tls' | 'starttls' | 'none';
  readonly lmtp?: boolean;
  readonly clientAuthority?: string;
  readonly port?: number;
  readonly socketPath?: string;
  readonly options?: SMTPServerOptions;
}

export async function startSubmissionPeer(options: PeerOptions): Promise<SubmissionPeer> {
  const mode = options.mode ?? 'tls';
  const identity = await options.authority.issue({
    commonName: 'provider',
    dnsNames: ['localhost'],
    ipAddresses: ['127.0.0.1'],
    purpose: 'server',
  });
  const received: Received[] = [];
  let connections = 0;
  const waiting = new Set<{ readonly count: number; readonly resolve: () => void }>();
  const behaviour: Behaviour = { rcpt: () => null, data: () => null, login: () => true };
  const server = new SMTPServer({
    secure: mode === 'tls',
    lmtp: options.lmtp ?? false,
    key: identity.key,
    cert: identity.certificate,
    ...(options.clientAuthority === undefined
      ? {}
      : { ca: options.clientAuthority, requestCert: true, rejectUnauthorized: true }),
    authOptional: true,
    authMethods: ['PLAIN', 'LOGIN'],
    ...(mode === 'starttls' ? {} : { disabledCommands: ['STARTTLS'] }),
    disableReverseLookup: true,
    closeTimeout: 100,
    ...options.options,
    onConnect(_session, done) {
      connections += 1;
      done();
    },
    onAuth(auth, _session, done) {
      if (behaviour.login(auth.username ?? '', auth.password ?? '')) done(null, { user: auth.username });
      else done(answer('535 5.7.8 login is wrong'));
    },
    onRcptTo({ address }, _session, done) {
      const reply = behaviour.rcpt(address);
      done(reply === null ? null : answer(reply));
    },
    onData(stream, session, done) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        const bytes = Buffer.concat(chunks);
        const { mailFrom, rcptTo } = session.envelope;
        const message: Received = {
          from: mailFrom ? mailFrom.address : '',
          recipients: rcptTo.map((r) => r.address),
          bytes,
          sha256: createHash('sha256').update(bytes).digest('hex'),
        };
        const reply = behaviour.data(message);
        if (reply === null || reply === 'cut') received.push(message);
        if (reply === 'cut') drop(server);
        else done(reply === null ? null : answer(reply));
        for (const w of waiting) if (received.length >= w.count) w.resolve();
      });
    },
  });
  server.on('error', () => {});
  await new Promise<void>((resolve) => {
    if (options.socketPath !== undefined) server.listen(options.socketPath, resolve);
    else server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  const address = server.server.address() as AddressInfo | string;
  return {
    port: typeof address === 'string' ? 0 : address.port,
    received,
    behaviour,
    connections: () => connections,
    reached(count) {
      const { promise, resolve } = Promise.withResolvers<void>();
      if (received.length >= count) resolve();
      waiting.add({ count, resolve });
      return promise;
    },
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        drop(server);
        server.close(() => resolve());
      }),
  };
}

/** Cuts every open connection. */
function drop(server: SMTPServer) {
  const open = (server as unknown as { connections: Set<{ _socket: Socket }> }).connections;
  for (const connection of open) connection._socket.destroy();
}

function answer(reply: string): Error {
  return Object.assign(new Error(reply.slice(4)), { responseCode: Number(reply.slice(0, 3)) });
}
