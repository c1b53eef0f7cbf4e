/**
 * One SMTP or LMTP connection and what can be said for certain after each use of it. nodemailer's
 * SMTPConnection speaks the protocol; this file adds the two things a gateway with evidence needs: nothing is
 * sent when the peer does not take the whole recipient set, and every failure is told apart by whether the
 * peer can have got the complete message.
 */
import { Readable } from 'node:stream';
import type { NodemailerError } from 'nodemailer/lib/errors';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import type { Peer, RecipientResult } from '../evidence/entry.ts';
import { smtpOptions, type Target } from './connect.ts';

interface Credentials {
  readonly user: string;
  readonly password: string;
}

export interface SessionSettings {
  readonly hostname: string;
  readonly lmtp?: boolean;
  readonly credentials?: Credentials | undefined;
  readonly timeouts?: Timeouts | undefined;
}

/** Milliseconds. */
export interface Timeouts {
  readonly connect: number;
  readonly greeting: number;
  /** Silence of the peer; RFC 5321 4.5.3.2.6 wants ten minutes after the final dot. */
  readonly silence: number;
}

const standardTimeouts: Timeouts = { connect: 30_000, greeting: 60_000, silence: 600_000 };

/** A message on its way: `content` gives exactly `size` bytes, in canonical form (CRLF, final CRLF). */
export interface Parcel {
  readonly from: string;
  readonly recipients: readonly string[];
  readonly size: number;
  readonly eightBit: boolean;
  readonly content: () => AsyncIterable<Uint8Array>;
  /** Send nothing unless every recipient is accepted. */
  readonly wholeSet: boolean;
}

export interface Transmission {
  /**
   * `answered`: each recipient has its result. `unsent`: the peer refused some recipients and got no content;
   * those it would have taken are `deferred` and listed in `takers`. `broken`: it failed where the peer
   * cannot have the complete message. `in-doubt`: it failed where the peer may have it.
   */
  readonly end: 'answered' | 'unsent' | 'broken' | 'in-doubt';
  readonly recipients: readonly RecipientResult[];
  readonly takers: readonly string[];
  readonly reply: string;
}

export interface SmtpSession {
  readonly peer: Peer;
  /** False once nothing more can be sent here. */
  usable(): boolean;
  /** True while the peer may hold the envelope of a message that it did not take: it wants RSET before the next. */
  pending(): boolean;
  /** Asks the peer whether it still listens, and ends what is pending (RSET). */
  probe(): Promise<boolean>;
  /** Never rejects: whatever happens is one of the ends of a transmission. */
  send(parcel: Parcel, signal: AbortSignal): Promise<Transmission>;
  close(): void;
}

class PartlyRefused extends Error {}

/**
 * Connects, upgrades and logs in.
 * @throws Error with the peer's reply or the cause; nothing was sent then.
 */
export async function openSession(
  target: Target,
  settings: SessionSettings,
  signal: AbortSignal,
): Promise<SmtpSession> {
  signal.throwIfAborted();
  const timeouts = settings.timeouts ?? standardTimeouts;
  const connection = new SMTPConnection({
    ...(await smtpOptions(target)),
    name: settings.hostname,
    lmtp: settings.lmtp ?? false,
    connectionTimeout: timeouts.connect,
    greetingTimeout: timeouts.greeting,
    socketTimeout: timeouts.silence,
    socketCloseTimeout: 2_000,
    maxResponseSize: 64 * 1024,
  });
  let failed: Error | undefined;
  // The library reports a failure here as well as to the pending call; without a listener it would be thrown.
  connection.on('error', (error: Error) => {
    failed = error;
  });
  await step(connection, signal, (done) => {
    connection.once('error', done);
    connection.connect(done);
  });
  const { credentials } = settings;
  if (credentials !== undefined) {
    await step(connection, signal, (done) => {
      connection.once('error', done);
      connection.login({ user: credentials.user, pass: credentials.password }, done);
    });
  }
  const certificate = target.certificate();
  const peer: Peer = { endpoint: target.name, ...(certificate === undefined ? {} : { certificate }) };
  let pending = false;
  return {
    peer,
    usable: () => !connection.destroyed && failed === undefined,
    pending: () => pending,
    probe: () =>
      step(connection, AbortSignal.timeout(timeouts.greeting), (done) => connection.reset(done)).then(
        () => {
          pending = false;
          return true;
        },
        () => false,
      ),
    async send(parcel, abort) {
      const sent = await send(connection, parcel, abort);
      // RFC 5321 4.1.4: only a complete message ends a transaction; a second MAIL in it is refused.
      pending = !sent.recipients.some(({ result }) => result === 'accepted');
      return sent;
    },
    close: () => (connection.destroyed ? undefined : connection.close()),
  };
}

/** Runs one call of the library to its end, its failure, or the abort. */
function step(
  connection: SMTPConnection,
  signal: AbortSignal,
  run: (done: (error?: Error | null) => void) => void,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const abort = () => reject(signal.reason);
  const ended = () => reject(new Error('the peer closed the connection'));
  signal.addEventListener('abort', abort, { once: true });
  connection.once('end', ended);
  run((error) => (error ? reject(error) : resolve()));
  return promise
    .catch((error) => {
      connection.close();
      throw error;
    })
    .finally(() => {
      signal.removeEventListener('abort', abort);
      connection.off('end', ended);
    });
}

function send(connection: SMTPConnection, parcel: Parcel, signal: AbortSignal): Promise<Transmission> {
  // The library keeps the replies to RCPT in the envelope object it is given.
  const envelope = {
    from: parcel.from,
    to: [...parcel.recipients],
    size: parcel.size,
    use8BitMime: parcel.eightBit,
    rejected: [] as string[],
    rejectedErrors: [] as NodemailerError[],
  };
  let complete = false;
  async function* content() {
    // First asked for after the reply to DATA, so after the last reply to RCPT.
    if (parcel.wholeSet && envelope.rejected.length > 0) throw new PartlyRefused('recipients were refused');
    yield* parcel.content();
    // From here on the final dot may have left.
    complete = true;
  }
  const stream = Readable.from(content(), { objectMode: false });
  const { promise, resolve } = Promise.withResolvers<Transmission>();
  const finish = (error: Error | null, reply: string) => {
    const transmission = judge(parcel, envelope.rejectedErrors, { error, reply, complete });
    if (transmission.end !== 'answered' || (error !== null && !endsCleanly(error, complete)))
      connection.close();
    stream.destroy();
    resolve(transmission);
  };
  const abort = () => finish(new Error('the gateway stopped the transfer'), '');
  signal.addEventListener('abort', abort, { once: true });
  connection.send(envelope, stream, (error, info) => {
    if (error) finish(error, error.response ?? '');
    else finish(null, info?.response ?? '');
  });
  if (signal.aborted) abort();
  return promise.finally(() => signal.removeEventListener('abort', abort));
}

/** A refusal in the envelope, or of a complete message, leaves the dialogue in step; an early answer does not. */
function endsCleanly(error: NodemailerError, complete: boolean): boolean {
  if (error.responseCode === 421) return false;
  return error.code === 'EENVELOPE' || (error.code === 'EMESSAGE' && complete);
}

interface End {
  readonly error: NodemailerError | null;
  readonly reply: string;
  readonly complete: boolean;
}

/** What is known for certain. Pure. */
function judge(parcel: Parcel, refusals: readonly NodemailerError[], end: End): Transmission {
  const { error, complete } = end;
  const refused = new Map(refusals.map((r) => [r.recipient ?? '', r.response ?? r.message]));
  const reply = shorten(error === null ? end.reply : (error.response ?? error.message));
  const results = (other: (address: string) => Omit<RecipientResult, 'address'>): RecipientResult[] =>
    parcel.recipients.map((address) => {
      const own = refused.get(address);
      return own === undefined ? { address, ...other(address) } : { address, ...fromReply(own) };
    });
  if (error === null) {
    if (!complete) return { end: 'in-doubt', recipients: results(() => deferred(reply)), takers: [], reply };
    return { end: 'answered', recipients: results(() => ({ result: 'accepted', reply })), takers: [], reply };
  }
  if (error instanceof PartlyRefused) {
    const takers = parcel.recipients.filter((address) => !refused.has(address));
    const held = 'not sent: another recipient of the same transaction was not accepted';
    const first = refusals[0];
    return {
      end: 'unsent',
      recipients: results(() => deferred(held)),
      takers,
      reply: shorten(first?.response ?? first?.message ?? held),
    };
  }
  if (error.code === 'EMESSAGE' && error.response === undefined) {
    // The peer's SIZE is smaller than the message: the library does not even try (RFC 1870 6.1).
    const own = '552 5.3.4 message is larger than the peer announces to accept';
    return { end: 'answered', recipients: results(() => fromReply(own)), takers: [], reply: own };
  }
  const code = error.responseCode ?? 0;
  const answered = error.code === 'EENVELOPE' || error.code === 'EMESSAGE';
  if (answered && code >= 400 && code < 600) {
    return { end: 'answered', recipients: results(() => fromReply(reply)), takers: [], reply };
  }
  return {
    end: complete ? 'in-doubt' : 'broken',
    recipients: results(() => deferred(reply)),
    takers: [],
    reply,
  };
}

/**
 * True for a reply that is about the connection or the login, not about this message: shutting down (421),
 * login wanted, too weak or failed (RFC 4954 6). It must not cost a mail its recipients.
 */
export function concernsAccount(reply: string): boolean {
  return /^(421|530|534|535|538)\b/.test(reply);
}

function deferred(reply: string): Omit<RecipientResult, 'address'> {
  return { result: 'deferred', reply };
}

/** 5yz is final, everything else may change (RFC 5321 4.2.1). */
function fromReply(reply: string): Omit<RecipientResult, 'address'> {
  const final = /^5\d\d/.test(reply) && !concernsAccount(reply);
  return { result: final ? 'refused' : 'deferred', reply: shorten(reply) };
}

function shorten(reply: string): string {
  return reply.length > 1_000 ? `${reply.slice(0, 999)}…` : reply;
}
