/**
 * One client's socket: reads on demand, writes with backpressure, becomes TLS. Nothing here throws for what
 * a peer does, except `Disconnected` from writes, which ends whatever was being answered.
 */
import type { X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { type SecureContext, TLSSocket } from 'node:tls';

/** The peer is gone, or took nothing for too long. */
export class Disconnected extends Error {
  override name = 'Disconnected';
}

export interface Connection {
  readonly peer: string;
  readonly secure: boolean;
  readonly closed: boolean;
  /** The next bytes; `end` after the last; `timeout` where none came in time. One call at a time. */
  read(timeoutMs: number): Promise<Buffer | 'end' | 'timeout'>;
  /** Octets or bytes for the peer; they leave soon, together. Nothing happens where the peer is gone. */
  send(wire: string | Uint8Array): void;
  /**
   * Sends what was gathered now, and waits until the peer has taken enough of it.
   * @throws Disconnected
   */
  flush(): Promise<void>;
  /** Much has gathered, or the peer is slow: `breathe` would wait. */
  readonly crowded: boolean;
  /** Flushes where much has gathered: to be awaited between the pieces of a long answer. */
  breathe(): Promise<void>;
  /**
   * Switches to TLS as the server; what the peer sent before is thrown away.
   * @throws Disconnected where the handshake fails or takes too long.
   */
  upgrade(context: SecureContext, timeoutMs: number, askForCertificate: boolean): Promise<void>;
  /** What the peer showed when TLS began; it holds the key, more is not proven by that. */
  readonly peerCertificate: X509Certificate | null;
  /** Sends what was gathered, then closes; forcibly after a while. */
  end(): void;
  destroy(): void;
}

const readAhead = 256 * 1024;
const SHORT = 2048;
const gatherLimit = 64 * 1024;
/** A client that takes nothing for that long is gone, whatever TCP believes. */
const stallMs = 5 * 60_000;
const lingerMs = 5_000;

export function createConnection(raw: Socket): Connection {
  let socket = raw;
  let secure = false;
  let peerCertificate: X509Certificate | null = null;
  let chunks: Buffer[] = [];
  let waiting = 0;
  let ended = false;
  let pieces: Uint8Array[] = [];
  let text = '';
  let gathered = 0;
  let soon: NodeJS.Immediate | null = null;
  let wake: (() => void) | null = null;
  const peer = raw.remoteAddress ?? '';

  const onData = (chunk: Buffer): void => {
    chunks.push(chunk);
    waiting += chunk.length;
    if (waiting >= readAhead) socket.pause();
    wake?.();
  };
  const onEnd = (): void => {
    ended = true;
    wake?.();
  };

  function attach(): void {
    socket.setNoDelay(true);
    socket.on('data', onData);
    socket.on('end', onEnd);
    socket.on('close', onEnd);
    // The 'close' that follows an error says all that matters: peers vanish every day.
    socket.on('error', onEnd);
  }

  function detach(): void {
    socket.off('data', onData);
    socket.off('end', onEnd);
    socket.off('close', onEnd);
    socket.pause();
  }

  /** Resolves on `wake`, or false after `ms`. */
  function woken(ms: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => done(false), ms);
      const done = (inTime: boolean): void => {
        clearTimeout(timer);
        wake = null;
        resolve(inTime);
      };
      wake = () => done(true);
    });
  }

  async function read(timeoutMs: number): Promise<Buffer | 'end' | 'timeout'> {
    if (chunks.length === 0 && !ended && !(await woken(timeoutMs))) return 'timeout';
    const chunk = chunks.shift();
    if (!chunk) return 'end';
    waiting -= chunk.length;
    if (waiting < readAhead && socket.isPaused()) socket.resume();
    return chunk;
  }

  function crowded(): boolean {
    return gathered >= gatherLimit || socket.writableNeedDrain;
  }

  function send(wire: string | Uint8Array): void {
    if (socket.destroyed || socket.writableEnded || wire.length === 0) return;
    gathered += wire.length;
    // Short pieces become one string: each is cheaper so than as a buffer of its own.
    if (typeof wire === 'string') text += wire;
    else if (wire.length < SHORT)
      text += Buffer.from(wire.buffer, wire.byteOffset, wire.length).toString('latin1');
    else {
      closeText();
      pieces.push(wire);
    }
    // Nothing waits longer than until the program turns to other things: one write for what commands that came together
    // are answered, and none of them held up by a slow one.
    soon ??= setImmediate(write);
  }

  function closeText(): void {
    if (text !== '') pieces.push(Buffer.from(text, 'latin1'));
    text = '';
  }

  /** One write for all that has gathered: each costs a system call and a TLS record. */
  function write(): void {
    if (soon) clearImmediate(soon);
    soon = null;
    if (gathered === 0) return;
    closeText();
    const all = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
    pieces = [];
    gathered = 0;
    if (!socket.destroyed && !socket.writableEnded) socket.write(all);
  }

  async function flush(): Promise<void> {
    write();
    if (socket.destroyed || socket.writableEnded) throw new Disconnected('the peer is gone');
    if (!socket.writableNeedDrain) return;
    const drained = await drain(socket);
    if (!drained) {
      socket.destroy();
      throw new Disconnected('the peer takes nothing');
    }
  }

  async function upgrade(
    context: SecureContext,
    timeoutMs: number,
    askForCertificate: boolean,
  ): Promise<void> {
    if (socket.destroyed) throw new Disconnected('the peer is gone');
    detach();
    // Whatever was said in clear must not count as said under TLS.
    chunks = [];
    waiting = 0;
    while (socket.read() !== null);
    const secured = new TLSSocket(socket, {
      isServer: true,
      secureContext: context,
      // Whose it is, is decided at login: a client without one is served too.
      requestCert: askForCertificate,
      rejectUnauthorized: false,
    });
    const shaken = await handshake(secured, timeoutMs);
    socket = secured;
    secure = true;
    peerCertificate = secured.getPeerX509Certificate() ?? null;
    attach();
    if (!shaken) {
      secured.destroy();
      raw.destroy();
      throw new Disconnected('TLS handshake failed');
    }
    socket.resume();
  }

  attach();
  return {
    peer,
    get secure() {
      return secure;
    },
    get peerCertificate() {
      return peerCertificate;
    },
    get closed() {
      return ended || socket.destroyed;
    },
    read,
    send,
    flush,
    get crowded() {
      return crowded();
    },
    async breathe() {
      if (crowded()) await flush();
    },
    upgrade,
    end() {
      write();
      if (socket.destroyed) return;
      socket.end();
      const timer = setTimeout(() => socket.destroy(), lingerMs);
      timer.unref();
      socket.once('close', () => clearTimeout(timer));
      // Read and forget what still comes, so that the peer's FIN is seen.
      socket.off('data', onData);
      socket.resume();
    },
    destroy() {
      socket.destroy();
      raw.destroy();
    },
  };
}

/** False where the peer took nothing for `stallMs`, or is gone. */
function drain(socket: Socket): Promise<boolean> {
  return new Promise((resolve) => {
    let taken = socket.bytesWritten;
    const timer = setInterval(() => {
      if (socket.bytesWritten === taken) done(false);
      taken = socket.bytesWritten;
    }, stallMs);
    const onDrain = (): void => done(true);
    const onClose = (): void => done(false);
    const done = (ok: boolean): void => {
      clearInterval(timer);
      socket.off('drain', onDrain);
      socket.off('close', onClose);
      resolve(ok);
    };
    socket.on('drain', onDrain);
    socket.on('close', onClose);
  });
}

function handshake(socket: TLSSocket, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), timeoutMs);
    const fail = (): void => {
      clearTimeout(timer);
      resolve(false);
    };
    socket.on('error', fail);
    socket.on('_tlsError', fail);
    socket.once('close', fail);
    socket.once('secure', () => {
      clearTimeout(timer);
      resolve(true);
    });
  });
}
