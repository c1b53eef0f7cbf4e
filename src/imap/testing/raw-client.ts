/** A client that knows nothing of IMAP: octets out, lines and octets in. */
import { once } from 'node:events';
import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

export interface RawClient {
  /** One character per octet. */
  send(octets: string): void;
  /**
   * The next line without its CRLF, or null where the server closed.
   * @throws Error where it says nothing for ten seconds
   */
  line(): Promise<string | null>;
  /** So many octets, fewer where the server closed. */
  octets(count: number): Promise<string>;
  /** Goes on under TLS. */
  secure(): Promise<void>;
  readonly open: boolean;
  destroy(): void;
}

const waitMs = 10_000;

/** `authority`: PEM of what the server's certificate must lead to; `tls`: from the first byte on. */
export async function openRawClient(port: number, authority: string, tls = true): Promise<RawClient> {
  const options = { host: '127.0.0.1', ca: authority };
  let socket: Socket = tls ? connectTls({ ...options, port }) : connectPlain(port, '127.0.0.1');
  let chunks: string[] = [];
  let text = '';
  let ended = false;
  let wake = () => {};

  function attach(): void {
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk.toString('latin1'));
      wake();
    });
    for (const event of ['close', 'end', 'error'])
      socket.on(event, () => {
        ended = true;
        wake();
      });
  }

  /** False where nothing more comes. */
  async function more(): Promise<boolean> {
    if (chunks.length === 0 && !ended) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const silent = () => reject(new Error(`the server says nothing more; so far ${JSON.stringify(text)}`));
      const timer = setTimeout(silent, waitMs);
      wake = resolve;
      await promise.finally(() => clearTimeout(timer));
    }
    if (chunks.length === 0) return false;
    text += chunks.join('');
    chunks = [];
    return true;
  }

  attach();
  await once(socket, tls ? 'secureConnect' : 'connect');
  return {
    send: (octets) => socket.write(octets, 'latin1'),
    async line() {
      for (;;) {
        const end = text.indexOf('\r\n');
        if (end >= 0) {
          const line = text.slice(0, end);
          text = text.slice(end + 2);
          return line;
        }
        if (!(await more())) return null;
      }
    },
    async octets(count) {
      while (text.length < count && (await more()));
      const found = text.slice(0, count);
      text = text.slice(count);
      return found;
    },
    async secure() {
      socket.removeAllListeners('data');
      socket = connectTls({ ...options, socket });
      attach();
      await once(socket, 'secureConnect');
    },
    get open() {
      return !ended;
    },
    destroy: () => socket.destroy(),
  };
}
