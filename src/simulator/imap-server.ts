/** Where customers fetch: IMAP, TLS from the first byte. This file moves bytes; imap-session.ts answers. */
import { createServer, type TLSSocket } from 'node:tls';
import { createParser, strangerLimits, userLimits } from '../imap/codec/parser.ts';
import { openSession } from './imap-session.ts';
import { type Listener, listening } from './listening.ts';
import { certificateAccount } from './login.ts';
import type { Faults, SimulatorOptions } from './options.ts';
import type { Post } from './post.ts';
import type { TlsMaterial } from './smtp.ts';

const idleTimeoutMs = 31 * 60_000;

export async function listenImap(
  options: SimulatorOptions,
  faults: Faults,
  post: Post,
  material: TlsMaterial,
): Promise<Listener> {
  const sockets = new Set<TLSSocket>();
  const server = createServer(
    { ...material, requestCert: true, rejectUnauthorized: false, minVersion: 'TLSv1.2' },
    (socket) => {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
      serve(socket, options, faults, post);
    },
  );
  // A failed handshake concerns its client only.
  server.on('tlsClientError', () => {});
  const port = await listening(server.listen(options.ports.imap, options.host), options.ports.imap);
  return {
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

/** Node has a buffer of its own behind the socket: without this a long FETCH would lie in memory whole. */
function drained(socket: TLSSocket): Promise<void> {
  if (!socket.writableNeedDrain || socket.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      socket.off('drain', done);
      socket.off('close', done);
      resolve();
    };
    socket.on('drain', done);
    socket.on('close', done);
  });
}

function serve(socket: TLSSocket, options: SimulatorOptions, faults: Faults, post: Post): void {
  // Answers come in several writes: with Nagle's algorithm each would wait for the client's delayed ACK.
  socket.setNoDelay(true);
  const parser = createParser(strangerLimits);
  const session = openSession({
    options,
    faults,
    post,
    certificate: certificateAccount(socket, options),
    write: (data) => {
      if (!socket.destroyed) socket.write(data, 'latin1');
    },
    cut: () => socket.end(() => socket.destroy()),
    drained: () => drained(socket),
    expectLine: () => parser.expectLine(),
    loggedIn: () => parser.setLimits(userLimits),
  });
  let busy = false;

  async function pump(): Promise<void> {
    if (busy) return;
    busy = true;
    try {
      for (let event = parser.next(); event && !socket.destroyed; event = parser.next()) {
        if (event.kind === 'append') parser.refuse();
        await session.handle(event);
        if (event.kind === 'bad' && event.fatal) socket.end();
      }
    } catch {
      socket.end('* BYE the simulator failed inside\r\n');
    } finally {
      busy = false;
    }
  }

  socket.setTimeout(idleTimeoutMs, () => socket.end('* BYE idle for too long\r\n'));
  socket.on('data', (chunk: Buffer) => {
    parser.push(chunk);
    pump();
  });
  socket.on('error', () => socket.destroy());
  socket.on('close', () => session.close());
  session.greet();
}
