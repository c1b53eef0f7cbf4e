/** A client of few words, for what finished clients do not let a test do: exact bytes, exact moments. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

export interface SmtpClient extends Disposable {
  /** Sends one command and returns the whole reply. @throws Error where the connection ends. */
  command(line: string): Promise<string>;
  /** MAIL, RCPT, DATA and the message (CRLF line ends); returns the last reply. */
  send(from: string, to: readonly string[], message: Uint8Array): Promise<string>;
  /** The same; returns the milliseconds from the final dot to the reply. @throws Error unless it is 250. */
  timedSend(from: string, to: readonly string[], message: Uint8Array): Promise<number>;
}

export async function connectSmtp(port: number): Promise<SmtpClient> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  const replies = readReplies(socket);
  const next = async (): Promise<string> => {
    const { value, done } = await replies.next();
    if (done) throw new Error('connection closed');
    return value;
  };
  const command = (line: string): Promise<string> => {
    socket.write(`${line}\r\n`);
    return next();
  };
  await next();
  await command('EHLO client.example');
  /** MAIL to DATA; the first refusal, or null. */
  const open = async (from: string, to: readonly string[]): Promise<string | null> => {
    for (const line of [`MAIL FROM:<${from}>`, ...to.map((address) => `RCPT TO:<${address}>`), 'DATA']) {
      const reply = await command(line);
      if (/^[23]/.test(reply)) continue;
      await command('RSET');
      return reply;
    }
    return null;
  };
  return {
    command,
    async send(from, to, message) {
      const refusal = await open(from, to);
      if (refusal !== null) return refusal;
      socket.write(stuffed(message));
      return next();
    },
    async timedSend(from, to, message) {
      const refusal = await open(from, to);
      const bytes = stuffed(message);
      const begun = performance.now();
      if (refusal === null) socket.write(bytes);
      const reply = refusal ?? (await next());
      if (!reply.startsWith('250')) throw new Error(reply);
      return performance.now() - begun;
    },
    [Symbol.dispose]: () => socket.destroy(),
  };
}

/** RFC 5321 4.5.2. */
function stuffed(message: Uint8Array): Buffer {
  const text = Buffer.from(message).toString('latin1').replace(/^\./gm, '..');
  return Buffer.from(`${text}${text.endsWith('\r\n') ? '' : '\r\n'}.\r\n`, 'latin1');
}

async function* readReplies(socket: Socket): AsyncGenerator<string> {
  socket.on('error', () => socket.destroy()); // told by the end of the replies
  let reply = '';
  for await (const line of createInterface({ input: socket })) {
    reply += `${line}\n`;
    if (/^\d{3}( |$)/.test(line)) {
      yield reply;
      reply = '';
    }
  }
}
