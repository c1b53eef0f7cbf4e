/** A scanner for tests that speaks clamd's protocol: finds one mark, and can be told to misbehave. */
import { type AddressInfo, createServer, type Socket } from 'node:net';

/** What it takes for malware. Not the EICAR string, which real scanners would find in the sources. */
export const MALWARE = 'MALWARE-OF-THE-TESTS';
export const FOUND = 'Test.Malware';

export interface ClamdPeer extends AsyncDisposable {
  readonly address: { readonly host: string; readonly port: number; readonly timeout: number };
  /** Change it between scans. `answer` replaces the result. `cut` closes without a word. */
  readonly behaviour: { limit: number; answer: string | 'cut' | 'silent' | null };
  /** Bytes scanned so far, per stream. */
  readonly streams: number[];
  /** Longest piece that came. */
  longestPiece(): number;
}

export async function startClamdPeer(port = 0, timeout = 20_000): Promise<ClamdPeer> {
  const behaviour: ClamdPeer['behaviour'] = { limit: Number.POSITIVE_INFINITY, answer: null };
  const streams: number[] = [];
  const sockets = new Set<Socket>();
  let longest = 0;
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => {});
    let buffer: Buffer = Buffer.alloc(0);
    let command: string | null = null;
    let size = 0;
    let tail = '';
    let found = false;
    const finish = (text: string) => {
      if (behaviour.answer === 'silent') return;
      if (behaviour.answer === 'cut') socket.destroy();
      else socket.end(`${behaviour.answer ?? text}\0`);
    };
    socket.on('data', (bytes) => {
      buffer = Buffer.concat([buffer, bytes]);
      if (command === null) {
        const end = buffer.indexOf(0);
        if (end === -1) return;
        command = buffer.toString('latin1', 1, end);
        buffer = buffer.subarray(end + 1);
        if (command === 'PING') return finish('PONG');
        if (command === 'VERSION') return void socket.end('ClamAV 1.4.3/27700/Tue Jul 15 08:00:00 2025\0');
      }
      while (buffer.length >= 4) {
        const length = buffer.readUInt32BE(0);
        if (length === 0) {
          streams.push(size);
          return finish(found ? `stream: ${FOUND} FOUND` : 'stream: OK');
        }
        if (size + length > behaviour.limit) return finish('INSTREAM size limit exceeded. ERROR');
        if (buffer.length < 4 + length) return;
        longest = Math.max(longest, length);
        size += length;
        const text = tail + buffer.toString('latin1', 4, 4 + length);
        found ||= text.includes(MALWARE);
        tail = text.slice(-MALWARE.length);
        buffer = buffer.subarray(4 + length);
      }
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    address: { host: '127.0.0.1', port: (server.address() as AddressInfo).port, timeout },
    behaviour,
    streams,
    longestPiece: () => longest,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
