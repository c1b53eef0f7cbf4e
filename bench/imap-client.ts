/** A client that costs little: it looks for the tagged line and forgets the rest, so that the server is what is measured. */
import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';

export interface ImapClient extends Disposable {
  /** Bytes received so far. */
  readonly received: number;
  /** Sends a command and waits for its OK; what came before it is dropped. @throws Error on NO and BAD */
  run(command: string): Promise<void>;
  /** The same, with what came. */
  ask(command: string): Promise<string>;
  /** Sends messages as a client does that does not wait for each (LITERAL+). */
  append(mailbox: string, messages: readonly Buffer[]): Promise<void>;
  /** Begins IDLE. */
  idle(): Promise<void>;
  /** While idling: resolves when the next bytes come, with `performance.now()`. */
  notice(): Promise<number>;
  done(): Promise<void>;
}

/** What may lie behind the beginning of the tagged line. */
const longestReply = 1024;

export async function connectImap(port: number, login: string, password: string): Promise<ImapClient> {
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  socket.setNoDelay(true);
  const client = clientOn(socket);
  await client.greeting;
  await client.run(`LOGIN "${login}" "${password}"`);
  return client;
}

function clientOn(socket: TLSSocket): ImapClient & { readonly greeting: Promise<void> } {
  let received = 0;
  let number = 0;
  let tail = '';
  let kept: Buffer[] | null = null;
  /** Waits for a line that begins with `prefix`. */
  let awaited: { prefix: string; resolve(line: string): void; reject(error: Error): void } | null = null;
  let onNotice: ((time: number) => void) | null = null;

  socket.on('data', (chunk: Buffer) => {
    received += chunk.length;
    kept?.push(chunk);
    if (onNotice) {
      onNotice(performance.now());
      onNotice = null;
    }
    if (!awaited) return;
    tail = (tail + chunk.toString('latin1', Math.max(0, chunk.length - longestReply))).slice(-longestReply);
    if (!tail.endsWith('\r\n')) return;
    const line = tail.slice(tail.lastIndexOf('\n', tail.length - 2) + 1, -2);
    if (!line.startsWith(awaited.prefix)) return;
    const { resolve } = awaited;
    awaited = null;
    tail = '';
    resolve(line);
  });
  const fail = (error?: Error) => awaited?.reject(error ?? new Error('the connection ended'));
  socket.on('error', fail);
  socket.on('close', () => fail());

  function line(prefix: string): Promise<string> {
    return new Promise((resolve, reject) => {
      awaited = { prefix, resolve, reject };
    });
  }

  async function run(command: string): Promise<void> {
    const tag = `a${++number}`;
    socket.write(`${tag} ${command}\r\n`);
    await tagged(tag, command);
  }

  async function tagged(tag: string, command: string): Promise<void> {
    const reply = await line(`${tag} `);
    if (!reply.startsWith(`${tag} OK`)) throw new Error(`${command.slice(0, 100)}: ${reply}`);
  }

  return {
    greeting: line('* OK').then(() => {}),
    get received() {
      return received;
    },
    run,
    async ask(command) {
      kept = [];
      await run(command);
      const text = Buffer.concat(kept).toString('latin1');
      kept = null;
      return text;
    },
    async append(mailbox, messages) {
      const ahead = 20;
      for (let from = 0; from < messages.length; from += ahead) {
        const some = messages.slice(from, from + ahead);
        socket.cork();
        for (const message of some) {
          socket.write(`a${++number} APPEND "${mailbox}" {${message.length}+}\r\n`);
          socket.write(message);
          socket.write('\r\n');
        }
        socket.uncork();
        await tagged(`a${number}`, 'APPEND');
      }
    },
    async idle() {
      socket.write(`i${++number} IDLE\r\n`);
      await line('+ ');
    },
    notice: () =>
      new Promise((resolve) => {
        onNotice = resolve;
      }),
    async done() {
      socket.write('DONE\r\n');
      await line(`i${number} OK`);
    },
    [Symbol.dispose]: () => void socket.destroy(),
  };
}
