/** One IMAP connection: its state, and what it answers to each command (RFC 3501 and the extensions named). */
import type { Command, CommandOf } from '../imap/codec/command.ts';
import type { ParserEvent } from '../imap/codec/parser.ts';
import { printMailbox, printText } from '../imap/codec/printer.ts';
import type { Login } from './draft.ts';
import { type Access, type Answer, no, ok } from './imap-answer.ts';
import { listResponses, statusResponse } from './imap-list.ts';
import * as messages from './imap-messages.ts';
import { openView, type View } from './imap-view.ts';
import { passwordLogin } from './login.ts';
import type { Account, Faults, SimulatorOptions } from './options.ts';
import type { Post } from './post.ts';

export interface Surroundings {
  readonly options: SimulatorOptions;
  readonly faults: Faults;
  readonly post: Post;
  /** Account of the client certificate. */
  readonly certificate: Account | undefined;
  /** Text goes out as latin1. */
  write(data: string | Uint8Array): void;
  /** Sends what is written, then closes without a word. */
  cut(): void;
  /** Resolves when the client has taken most of what was written, or is gone. */
  drained(): Promise<void>;
  /** The next line is no command. */
  expectLine(): void;
  loggedIn(): void;
}

export interface Session {
  greet(): void;
  handle(event: ParserEvent): Promise<void>;
  close(): void;
}

const extensions =
  'IMAP4rev1 LITERAL+ SASL-IR ID NAMESPACE SPECIAL-USE IDLE UNSELECT UIDPLUS MOVE ENABLE AUTH=PLAIN';

/** What the line after a continuation request means. */
type Waiting = { tag: string; for: 'PLAIN' | 'EXTERNAL' | 'IDLE' };

export function openSession(around: Surroundings): Session {
  const { options, faults, post, write } = around;
  let login: Login | undefined;
  let view: View | undefined;
  let waiting: Waiting | undefined;
  let open = true;
  const capability = around.certificate ? `${extensions} AUTH=EXTERNAL` : extensions;

  function line(text: string): void {
    write(`${text}\r\n`);
  }

  function leave(): void {
    view?.close();
    view = undefined;
  }

  function bye(text: string): void {
    line(`* BYE ${text}`);
    open = false;
    around.cut();
  }

  function enter(granted: Login): void {
    login = granted;
    around.loggedIn();
    post.loggedIn(granted);
  }

  /** Tells what changed in the selected mailbox; expunges only where RFC 3501 7.4.1 allows them. */
  function tellChanges(expunges: boolean): void {
    if (!view || !open) return;
    if (view.renumbered) bye('mailbox was rebuilt, its UIDVALIDITY changed');
    else for (const change of view.changes(expunges)) line(`* ${change}`);
  }

  function changed(): void {
    if (waiting?.for === 'IDLE' && !faults.silentIdle) tellChanges(true);
  }

  function attemptLogin(user: string, password: string): Answer {
    const granted = passwordLogin(user, password, around.certificate, options);
    if (!granted || faults.refuseLogins) return no('AUTHENTICATIONFAILED', 'login or password is wrong');
    enter(granted);
    return ok(`[CAPABILITY ${capability}] welcome`);
  }

  function certificateLogin(account: Account): Login {
    return { account, level: account.level, mechanism: 'tls-client-certificate' };
  }

  function plain(base64: string): Answer {
    const [, user = '', password = ''] = Buffer.from(base64, 'base64').toString('utf8').split('\0');
    return attemptLogin(user, password);
  }

  function external(): Answer {
    if (!around.certificate || faults.refuseLogins) {
      return no('AUTHENTICATIONFAILED', 'no client certificate of an account');
    }
    enter(certificateLogin(around.certificate));
    return ok(`[CAPABILITY ${capability}] welcome`);
  }

  function authenticate(command: CommandOf<'AUTHENTICATE'>): Answer | undefined {
    const { mechanism, initial, tag } = command;
    if (mechanism !== 'PLAIN' && mechanism !== 'EXTERNAL') return no('CANNOT', 'mechanism is not offered');
    if (initial !== null) return mechanism === 'PLAIN' ? plain(initial) : external();
    waiting = { tag, for: mechanism };
    around.expectLine();
    line('+ ');
    return undefined;
  }

  function select(command: CommandOf<'SELECT' | 'EXAMINE'>, access: Access): Answer {
    leave();
    const mailbox = access.find(command.mailbox);
    if (!mailbox) return no('NONEXISTENT', 'no such mailbox');
    view = openView(mailbox, access.login.level, command.name === 'EXAMINE', changed, post.now);
    line('* FLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft)');
    line(`* ${view.uids.length} EXISTS`);
    line('* 0 RECENT');
    line('* OK [PERMANENTFLAGS (\\Seen \\Answered \\Flagged \\Deleted \\Draft \\*)] all are kept');
    line(`* OK [UIDVALIDITY ${mailbox.uidValidity}] valid`);
    line(`* OK [UIDNEXT ${mailbox.uidNext}] predicted`);
    return ok(view.readOnly ? '[READ-ONLY] opened' : '[READ-WRITE] opened');
  }

  function create(name: string, access: Access): Answer {
    if (access.find(name)) return no('ALREADYEXISTS', 'mailbox exists');
    if (!/^[A-Za-z0-9][A-Za-z0-9 _-]{0,62}$/.test(name)) return no('CANNOT', 'name is not offered here');
    post.mailboxes.open(access.login.account.id, name);
    return ok('created');
  }

  function anyState(command: Command): Answer | undefined {
    switch (command.name) {
      case 'CAPABILITY':
        line(`* CAPABILITY ${capability}`);
        return ok('done');
      case 'NOOP':
      case 'CHECK':
        return ok('done');
      case 'ID':
        line('* ID ("name" "De-Mail simulator")');
        return ok('done');
      case 'LOGOUT':
        line('* BYE until next time');
        return ok('done');
      default:
        return undefined;
    }
  }

  async function authenticated(command: Command, access: Access): Promise<Answer | undefined> {
    switch (command.name) {
      case 'NAMESPACE':
        line('* NAMESPACE (("" "/")) NIL NIL');
        return ok('done');
      case 'ENABLE':
        line('* ENABLED');
        return ok('done');
      case 'LIST':
        for (const response of listResponses('LIST', command.patterns, access)) line(`* ${response}`);
        return ok('done');
      case 'LSUB':
        for (const response of listResponses('LSUB', [command.pattern], access)) line(`* ${response}`);
        return ok('done');
      case 'STATUS': {
        const mailbox = access.find(command.mailbox);
        if (!mailbox) return no('NONEXISTENT', 'no such mailbox');
        line(`* STATUS ${printMailbox(command.mailbox)} ${statusResponse(mailbox, command.items, access)}`);
        return ok('done');
      }
      case 'SELECT':
      case 'EXAMINE':
        return select(command, access);
      case 'CREATE':
        return create(command.mailbox, access);
      case 'SUBSCRIBE':
      case 'UNSUBSCRIBE':
        return ok('done');
      case 'IDLE':
        waiting = { tag: command.tag, for: 'IDLE' };
        around.expectLine();
        line('+ idling');
        changed();
        return undefined;
      case 'DELETE':
      case 'RENAME':
      case 'STARTTLS':
      case 'LOGIN':
      case 'AUTHENTICATE':
        return no('CANNOT', `${command.name} is not possible now`);
      default:
        return view ? selected(command, access, view) : { status: 'BAD', text: 'select a mailbox first' };
    }
  }

  async function selected(command: Command, access: Access, now: View): Promise<Answer> {
    const tell = { line, write, cut: around.cut, drained: around.drained, faults };
    switch (command.name) {
      case 'FETCH':
        return messages.fetch(command, now, tell);
      case 'STORE':
        return messages.store(command, now, tell);
      case 'SEARCH':
        return messages.search(command, now, tell);
      case 'COPY':
      case 'MOVE':
        return messages.copy(command, now, access, tell);
      case 'EXPUNGE':
        return messages.expunge(null, now);
      case 'UID EXPUNGE':
        return messages.expunge(command.set, now);
      case 'CLOSE':
        if (!now.readOnly) messages.expunge(null, now);
        leave();
        return ok('closed');
      case 'UNSELECT':
        leave();
        return ok('closed');
      default:
        return no('CANNOT', 'not offered here');
    }
  }

  async function answerTo(command: Command): Promise<Answer | undefined> {
    const common = anyState(command);
    if (common) return common;
    if (!login) {
      if (command.name === 'LOGIN') return attemptLogin(command.user, command.password);
      if (command.name === 'AUTHENTICATE') return authenticate(command);
      return { status: 'BAD', text: 'log in first' };
    }
    return authenticated(command, accessOf(login));
  }

  function accessOf(granted: Login): Access {
    const { id } = granted.account;
    return {
      login: granted,
      names: post.mailboxes.names(id),
      find: (name) => (post.mailboxes.names(id).includes(name) ? post.mailboxes.open(id, name) : undefined),
    };
  }

  function finish(tag: string, answer: Answer): void {
    if (!open) return;
    line(`${tag} ${answer.status} ${answer.code ? `[${answer.code}] ` : ''}${answer.text}`);
  }

  return {
    greet() {
      if (around.certificate && around.certificate.password === undefined) {
        if (faults.refuseLogins) return bye('logins are refused');
        enter(certificateLogin(around.certificate));
        return line(`* PREAUTH [CAPABILITY ${capability}] logged in by certificate`);
      }
      line(`* OK [CAPABILITY ${capability}] De-Mail simulator`);
    },
    async handle(event) {
      if (!open) return;
      if (event.kind === 'continue') return line('+ go on');
      if (event.kind === 'append')
        return finish(event.append.tag, no('CANNOT', 'messages arrive by De-Mail'));
      if (event.kind === 'bad') return line(`${event.tag ?? '*'} BAD ${printText(event.text)}`);
      if (event.kind === 'line') {
        const { tag, for: purpose } = waiting!;
        waiting = undefined;
        if (purpose === 'IDLE') return finish(tag, ok('idle ended'));
        return finish(tag, purpose === 'PLAIN' ? plain(event.line) : external());
      }
      if (event.kind !== 'command') return;
      const { command } = event;
      const answer = await answerTo(command);
      if (!answer) return;
      const quiet = ['FETCH', 'STORE', 'SEARCH'].includes(command.name) && !('uid' in command && command.uid);
      tellChanges(!quiet);
      finish(command.tag, answer);
      if (command.name === 'LOGOUT') around.cut();
    },
    close() {
      open = false;
      leave();
    },
  };
}
