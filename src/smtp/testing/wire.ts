/** An SMTP client that sends exactly the bytes it is told to. */
import { connect, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';

export interface Wire extends AsyncDisposable {
  readonly socket: Socket;
  /** The first reply. */
  readonly greeting: string;
  /** Bytes as they are; no reply is awaited. */
  write(bytes: string | Buffer): void;
  /** Sends a line with CRLF and returns the reply, its lines joined by a bar. */
  say(line: string): Promise<string>;
  /** The next reply; `closed` once the server has closed. */
  reply(): Promise<string>;
  /** STARTTLS, then the handshake. Greets again. */
  secure(options?: ConnectionOptions): Promise<void>;
  /** The handshake alone, for who has said STARTTLS themselves. */
  handshake(options?: ConnectionOptions): Promise<void>;
  /** EHLO, STARTTLS where it is not yet TLS, AUTH PLAIN. */
  login(user: string, password: string): Promise<string>;
  /** MAIL, RCPT, DATA; returns the first reply that is no success, or 354. */
  open(from: string, ...to: string[]): Promise<string>;
  /** The message (its dots doubled, the end appended) after 354; returns the reply. */
  data(message: string | Buffer): Promise<string>;
}

/** Connects and reads the greeting. `tls`: from the first byte. */
export async function dial(port: number, tls?: ConnectionOptions): Promise<Wire> {
  let socket: Socket | TLSSocket = tls
    ? connectTls({ host: '127.0.0.1', port, ...tls })
    : connect({ host: '127.0.0.1', port });
  let received = '';
  let closed = false;
  let wake: () => void = () => undefined;

  function listen(): void {
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1');
      wake();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      closed = true;
      wake();
    });
  }
  listen();

  async function reply(): Promise<string> {
    for (;;) {
      const complete = /^(?:\d{3}-[^\r\n]*\r\n)*\d{3}(?: [^\r\n]*)?\r\n/.exec(received);
      if (complete) {
        received = received.slice(complete[0].length);
        return complete[0].trimEnd().replaceAll('\r\n', '|');
      }
      if (closed) return 'closed';
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }

  const greeting = await reply();
  const wire: Wire = {
    get socket() {
      return socket;
    },
    greeting,
    write: (bytes) => void socket.write(bytes),
    reply,
    say(line) {
      socket.write(`${line}\r\n`);
      return reply();
    },
    async secure(options) {
      const answer = await wire.say('STARTTLS');
      if (!answer.startsWith('220')) throw new Error(answer);
      await wire.handshake(options);
      await wire.say('EHLO client.example');
    },
    async handshake(options) {
      socket.removeAllListeners('data');
      const plain = socket;
      socket = connectTls({ socket: plain, rejectUnauthorized: false, ...options });
      listen();
      await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject));
    },
    async login(user, password) {
      await wire.say('EHLO client.example');
      if (!('encrypted' in socket)) await wire.secure();
      return wire.say(`AUTH PLAIN ${Buffer.from(`\0${user}\0${password}`).toString('base64')}`);
    },
    async open(from, ...to) {
      for (const line of [`MAIL FROM:<${from}>`, ...to.map((address) => `RCPT TO:<${address}>`)]) {
        const answer = await wire.say(line);
        if (!answer.startsWith('250')) return answer;
      }
      return wire.say('DATA');
    },
    data(message) {
      const text = typeof message === 'string' ? message : message.toString('latin1');
      socket.write(Buffer.from(`${text.replace(/^\./gm, '..')}.\r\n`, 'latin1'));
      return reply();
    },
    async [Symbol.asyncDispose]() {
      socket.destroy();
    },
  };
  return wire;
}
