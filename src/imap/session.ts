/** One client's session: its state, and how it hears from its client. */
import type { SecureContext } from 'node:tls';
import type { Authenticator, Directory, Principal, SharedAccess } from '../directory/directory.ts';
import type { Scanner } from '../inspection/scanner.ts';
import type { Log } from '../observe/log.ts';
import type { Store } from '../store/store.ts';
import type { Parser, ParserEvent } from './codec/parser.ts';
import { printText } from './codec/printer.ts';
import type { Connection } from './connection.ts';
import type { RowsRegistry } from './mailbox-rows.ts';
import type { MailboxView } from './mailbox-view.ts';
import type { RecentTracker } from './recent.ts';

export interface ImapLimits {
  /** Sessions at one time. */
  readonly sessions: number;
  /** Of them, sessions of one address that have not logged in yet. */
  readonly strangersPerAddress: number;
  /** Bytes of a message that APPEND takes. */
  readonly messageSize: number;
  /** From connection to login. */
  readonly loginTimeoutMs: number;
  /** RFC 3501 5.4: at least 30 minutes. */
  readonly idleTimeoutMs: number;
  /** Commands in a row that were not understood or refused as malformed. */
  readonly badCommands: number;
  /** Bytes of a line and of a command with its literals, before login. */
  readonly strangerCommand: number;
  /** Bytes of a line after login. */
  readonly line: number;
  /** Bytes of a command with its literals after login, the message of APPEND excluded. */
  readonly command: number;
}

/** What every session shares. */
export interface SessionDeps {
  readonly store: Store;
  readonly directory: () => Directory;
  readonly authenticator: Authenticator;
  readonly log: Log;
  readonly secureContext: () => SecureContext;
  /** Some tenant wants to see client certificates. */
  readonly asksForCertificate: () => boolean;
  readonly limits: ImapLimits;
  readonly recent: RecentTracker;
  /** What clients append is scanned; absent: it is not. */
  readonly scanner?: Scanner | undefined;
  readonly rows: RowsRegistry;
  /** Aborted when the server closes. */
  readonly closing: AbortSignal;
  /** Called after a reload of the configuration. */
  readonly onReload: Set<() => void>;
}

/** What a session's login says about private mail. */
export interface PrivateAccess {
  /** A certificate is demanded and did not come, or is not the user's. */
  readonly restricted: boolean;
  /** Hex SHA-256 of the user's certificate, null where none was shown. */
  readonly certificate: string | null;
  /** Why a certificate that came does not count. */
  readonly problem: string | null;
}

export interface Session {
  readonly deps: SessionDeps;
  readonly connection: Connection;
  readonly parser: Parser;
  readonly log: Log;
  principal: Principal | null;
  /** What the login says about private mail; null before it. */
  privateAccess: PrivateAccess | null;
  /** Entries of private De-Mails that this session has opened. */
  readonly opened: Set<number>;
  /** What the login is worth, as of login: see reloaded.ts. */
  worth: string | null;
  /** The directory that `principal` and `shared` come from: a reload brings another one. */
  directory: Directory;
  /** Shared mailboxes that the user may open. */
  shared: readonly SharedAccess[];
  /** Own and shared mailboxes are made and subscribed. */
  treesOpen: boolean;
  view: MailboxView | null;
  /** Releases the subscription to changes of `view`. */
  unwatch: Disposable | null;
  /** The selected mailbox changed since it was last looked at. */
  dirty: boolean;
  /** Called when `dirty` becomes true or the server closes: ends the wait of IDLE. */
  onDirty: (() => void) | null;
  /** RFC 7162: the client has shown that it knows CONDSTORE. */
  condstore: boolean;
  /** A wait for bytes that IDLE left behind: whoever waits next joins it. */
  pending: Promise<boolean> | null;
  /** A command is being answered: nothing may be said in between. */
  busy: boolean;
  /** Called once, after login. */
  readonly onLogin: () => void;
  /** Set by LOGOUT and by whatever else ends the session. */
  ended: boolean;
}

/** The tagged answer of a command. `code` without brackets. */
export interface Answer {
  readonly status: 'OK' | 'NO' | 'BAD';
  readonly text: string;
  readonly code?: string;
  /** Goes after the answer is sent: STARTTLS. */
  readonly after?: () => Promise<void>;
}

export type State = 'stranger' | 'user' | 'selected';

export function ok(text: string, code?: string): Answer {
  return code === undefined ? { status: 'OK', text } : { status: 'OK', text, code };
}

export function no(text: string, code?: string): Answer {
  return code === undefined ? { status: 'NO', text } : { status: 'NO', text, code };
}

export function badAnswer(text: string): Answer {
  return { status: 'BAD', text };
}

/** The next bytes into the parser; false where there will be none. */
export function receive(session: Session): Promise<boolean> {
  session.pending ??= receiveOnce(session).finally(() => {
    session.pending = null;
  });
  return session.pending;
}

async function receiveOnce(session: Session): Promise<boolean> {
  const chunk = await session.connection.read(session.deps.limits.idleTimeoutMs);
  if (chunk === 'timeout') bye(session, 'Idle for too long');
  if (typeof chunk === 'string') return false;
  session.parser.push(chunk);
  return !session.ended;
}

/** The next event of the parser, reading as needed; null where the client is gone. */
export async function nextEvent(session: Session): Promise<ParserEvent | null> {
  for (;;) {
    const event = session.parser.next();
    if (event?.kind === 'continue') {
      session.connection.send('+ go ahead\r\n');
      await session.connection.flush();
    } else if (event) return event;
    else if (!(await receive(session))) return null;
  }
}

/** RFC 7162 3.1: the first command that shows CONDSTORE is told where the selected mailbox stands. */
export function enableCondstore(session: Session): void {
  if (session.condstore) return;
  session.condstore = true;
  if (session.view) session.connection.send(`* OK [HIGHESTMODSEQ ${session.view.highestModseq}] Highest\r\n`);
}

/** Says why, and closes. */
export function bye(session: Session, text: string, code?: string): void {
  if (session.ended) return;
  session.ended = true;
  session.connection.send(`* BYE ${code ? `[${code}] ` : ''}${printText(text)}\r\n`);
  session.connection.end();
}
