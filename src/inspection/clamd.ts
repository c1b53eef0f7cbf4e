/**
 * clamd's protocol (clamd(8)): one connection per command, `z` commands ended by NUL. INSTREAM sends the bytes in
 * pieces with their length before them, so that the scanner needs no access to files of ours.
 */
import { connect, type Socket } from 'node:net';

export interface ClamdAddress {
  readonly host?: string | undefined;
  readonly port?: number | undefined;
  /** Path of a Unix socket, instead of host and port. */
  readonly socket?: string | undefined;
  /** Longest silence of the scanner, milliseconds. */
  readonly timeout: number;
}

/** `too-large`: clamd's StreamMaxLength is smaller than the message. */
export type ClamdAnswer =
  | { readonly result: 'clean' }
  | { readonly result: 'infected'; readonly name: string }
  | { readonly result: 'too-large' };

/** It cannot be reached, does not answer, or cannot scan. */
export class ClamdUnavailable extends Error {
  override name = 'ClamdUnavailable';
}

/** Answers are one short line. */
const MAX_ANSWER = 4096;

/**
 * Scans a stream. Memory does not grow with it: the next piece is read once clamd has taken the last.
 * @throws ClamdUnavailable, and what the content throws
 */
export async function scanStream(
  address: ClamdAddress,
  content: AsyncIterable<Uint8Array>,
): Promise<ClamdAnswer> {
  const text = await converse(address, 'INSTREAM', async (send, answered) => {
    for await (const chunk of content) {
      // What is already answered needs no more bytes: too large, or an error.
      if (answered()) return;
      if (chunk.length === 0) continue;
      const length = Buffer.alloc(4);
      length.writeUInt32BE(chunk.length);
      await send(length);
      await send(chunk);
    }
    if (!answered()) await send(Buffer.alloc(4));
  });
  return readAnswer(text);
}

/** @throws ClamdUnavailable where nobody answers, or somebody else */
export async function ping(address: ClamdAddress): Promise<void> {
  const answer = await converse(address, 'PING');
  if (answer !== 'PONG') throw new ClamdUnavailable(`not clamd: it answers ${shown(answer)}`);
}

/** Such as `ClamAV 1.4.3/27700/Tue Jul 15 08:00:00 2025`. @throws ClamdUnavailable */
export async function version(address: ClamdAddress): Promise<string> {
  return (await converse(address, 'VERSION')).replace(/[^ -~]/g, '?').slice(0, 200);
}

function readAnswer(text: string): ClamdAnswer {
  if (/^(?:stream: )?OK$/.test(text)) return { result: 'clean' };
  const found = /^(?:stream: )?(.+) FOUND$/.exec(text)?.[1];
  if (found !== undefined) return { result: 'infected', name: found.replace(/[^ -~]/g, '?').slice(0, 200) };
  if (/size limit exceeded/i.test(text)) return { result: 'too-large' };
  // Also where it cannot open its database or runs out of time: nothing was looked at.
  throw new ClamdUnavailable(`clamd answers ${shown(text)}`);
}

type Send = (bytes: Uint8Array) => Promise<void>;

/** Sends the command and what belongs to it; resolves with the answer, without the NUL. */
async function converse(
  address: ClamdAddress,
  command: string,
  content: (send: Send, answered: () => boolean) => Promise<void> = async () => {},
): Promise<string> {
  const socket =
    address.socket === undefined
      ? connect({ host: address.host ?? '127.0.0.1', port: address.port ?? 3310 })
      : connect(address.socket);
  try {
    const answer = listen(socket, address.timeout);
    let over = false;
    const ended = answer.finally(() => {
      over = true;
    });
    // Awaited below; a failure while sending is told by the answer or by the sending itself.
    ended.catch(() => {});
    const send: Send = async (bytes) => {
      if (socket.write(bytes)) return;
      await Promise.race([new Promise<void>((resolve) => socket.once('drain', resolve)), ended]);
    };
    await send(Buffer.from(`z${command}\0`));
    await content(send, () => over || socket.destroyed);
    return await ended;
  } finally {
    socket.destroy();
  }
}

function listen(socket: Socket, timeout: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    const fail = (reason: string, cause?: unknown) => reject(new ClamdUnavailable(reason, { cause }));
    socket.setTimeout(timeout, () => fail(`no answer from clamd within ${timeout} ms`));
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1');
      const end = text.indexOf('\0');
      if (end !== -1) resolve(text.slice(0, end).trim());
      else if (text.length > MAX_ANSWER) fail('the answer of clamd does not end');
    });
    socket.on('error', (error) => fail(`clamd cannot be reached: ${error.message}`, error));
    // clamd closes after an error, and answers before; a peer that closes without a word said nothing.
    socket.on('close', () => fail('clamd closed the connection without an answer'));
  });
}

function shown(text: string): string {
  return JSON.stringify(text.slice(0, 200));
}
