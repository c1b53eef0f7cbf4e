/**
 * Where customers hand over: SMTP, TLS from the first byte. A client certificate of the simulator's
 * authority logs its account in by itself; a password works too, at level normal.
 */
import type { TLSSocket } from 'node:tls';
import { SMTPServer, type SMTPServerSession } from 'smtp-server';
import { checkEnvelopeRecipient, checkEnvelopeSender, type Login, Refusal } from './draft.ts';
import { type Listener, listening } from './listening.ts';
import { certificateAccount, passwordLogin } from './login.ts';
import type { Account, Faults, SimulatorOptions } from './options.ts';
import type { Post } from './post.ts';

export interface TlsMaterial {
  readonly key: string;
  readonly cert: string;
  readonly ca: string;
}

interface Session {
  readonly socket: TLSSocket;
  readonly certificate: Account | undefined;
  login: Login | undefined;
}

export async function listenSmtp(
  options: SimulatorOptions,
  faults: Faults,
  post: Post,
  material: TlsMaterial,
): Promise<Listener> {
  const sessions = new Map<string, Session>();

  function sessionOf(session: SMTPServerSession): Session {
    const known = sessions.get(session.id);
    if (!known) throw new Refusal(421, '4.3.0', 'Session is unknown');
    return known;
  }

  function loginOf(session: SMTPServerSession): Login {
    const { login } = sessionOf(session);
    if (!login) throw new Refusal(530, '5.7.0', 'Log in first: client certificate or password');
    return login;
  }

  /** After processing, instead of the reply: the customer cannot know that the message was taken. */
  function cutInstead(rcptTo: readonly string[]): boolean {
    if (post.reaches('drop', rcptTo)) return true;
    if (faults.cutAfterData === 0) return false;
    faults.cutAfterData--;
    return true;
  }

  const server = new SMTPServer({
    ...material,
    secure: true,
    requestCert: true,
    rejectUnauthorized: false,
    minVersion: 'TLSv1.2',
    name: options.provider,
    banner: 'De-Mail simulator',
    size: options.messageSize,
    authOptional: true,
    authMethods: ['PLAIN', 'LOGIN'],
    disableReverseLookup: true,
    hideENHANCEDSTATUSCODES: true,
    hideSMTPUTF8: true,
    closeTimeout: 500,
    onSecure(socket, session, callback) {
      const certificate = certificateAccount(socket as TLSSocket, options);
      if (certificate && faults.refuseLogins) return callback(refusedLogin());
      const login: Login | undefined = certificate && {
        account: certificate,
        level: certificate.level,
        mechanism: 'tls-client-certificate',
      };
      sessions.set(session.id, { socket: socket as TLSSocket, certificate, login });
      if (login && options.smtpLoginServes) post.loggedIn(login);
      callback();
    },
    onAuth(auth, session, callback) {
      const state = sessionOf(session);
      const login = passwordLogin(auth.username ?? '', auth.password ?? '', state.certificate, options);
      if (!login || faults.refuseLogins) return callback(refusedLogin());
      state.login = login;
      if (options.smtpLoginServes) post.loggedIn(login);
      callback(null, { user: login.account.id });
    },
    onMailFrom(address, session, callback) {
      attempt(callback, () => checkEnvelopeSender(address.address, loginOf(session)));
    },
    onRcptTo(address, _session, callback) {
      attempt(callback, () => checkEnvelopeRecipient(address.address, options));
    },
    onData(stream, session, callback) {
      const chunks: Buffer[] = [];
      const rcptTo = session.envelope.rcptTo.map(({ address }) => address);
      let length = 0;
      stream.on('data', (chunk: Buffer) => {
        length += chunk.length;
        if (faults.cutDuringData > 0 && length > 0) {
          faults.cutDuringData--;
          sessions.get(session.id)?.socket.destroy();
        }
        // Kept even in sink mode up to the limit only: what is too large is refused below.
        if (!options.sink && length <= options.messageSize) chunks.push(chunk);
      });
      stream.on('end', () => {
        if (stream.sizeExceeded || length > options.messageSize) {
          return callback(new Refusal(552, '5.3.4', 'Message is too large'));
        }
        if (faults.deferData > 0) {
          faults.deferData--;
          return callback(new Refusal(451, '4.3.0', 'Not now; try again'));
        }
        if (options.sink) return callback(null, '2.0.0 taken and forgotten');
        take(Buffer.concat(chunks), rcptTo, session).then(
          () => {
            if (cutInstead(rcptTo)) sessions.get(session.id)?.socket.destroy();
            else callback(null, '2.0.0 taken');
          },
          (error: Error) => callback(asRefusal(error)),
        );
      });
    },
    onClose(session) {
      sessions.delete(session.id);
    },
  });
  // A client that breaks off is a normal event here.
  server.on('error', () => {});

  async function take(bytes: Buffer, rcptTo: readonly string[], session: SMTPServerSession): Promise<void> {
    if (hasBareLineEnd(bytes)) {
      throw new Refusal(550, '5.6.0', 'Message contains a bare CR or LF (RFC 5321 2.3.8)');
    }
    await post.accept(bytes, rcptTo, loginOf(session));
  }

  const port = await listening(server.listen(options.ports.smtp, options.host), options.ports.smtp);
  return {
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const { socket } of sessions.values()) socket.destroy();
      }),
  };
}

function attempt(callback: (error?: Error | null) => void, check: () => void): void {
  let refusal: Error | null = null;
  try {
    check();
  } catch (error) {
    refusal = asRefusal(error as Error);
  }
  callback(refusal);
}

function asRefusal(error: Error): Error {
  return error instanceof Refusal ? error : new Refusal(451, '4.3.0', 'The provider failed inside');
}

function refusedLogin(): Refusal {
  return new Refusal(535, '5.7.8', 'Login is refused');
}

/** IO 3.1.21, condition 4: all lines end with CR LF. */
function hasBareLineEnd(bytes: Buffer): boolean {
  for (let at = bytes.indexOf(0x0a); at !== -1; at = bytes.indexOf(0x0a, at + 1)) {
    if (bytes[at - 1] !== 0x0d) return true;
  }
  for (let at = bytes.indexOf(0x0d); at !== -1; at = bytes.indexOf(0x0d, at + 1)) {
    if (bytes[at + 1] !== 0x0a) return true;
  }
  return false;
}
