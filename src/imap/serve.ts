/**
 * The loop of a session: takes commands one after another and answers them. What the selected mailbox does
 * meanwhile is told between commands, where RFC 3501 5.2 and 7.4.1 allow it.
 */
import { GatewayError } from '../errors.ts';
import { CorruptObject } from '../store/store.ts';
import { capabilities } from './capabilities.ts';
import type { Command } from './codec/command.ts';
import { createParser } from './codec/parser.ts';
import { printText } from './codec/printer.ts';
import { appendCommand } from './commands/append.ts';
import { commands } from './commands/index.ts';
import { type Connection, Disconnected } from './connection.ts';
import { takeOver, takeRights } from './reloaded.ts';
import {
  type Answer,
  badAnswer,
  bye,
  nextEvent,
  no,
  type Session,
  type SessionDeps,
  type State,
} from './session.ts';
import { tellChanges } from './tell.ts';
import { refusalText } from './texts.ts';

/** Runs until the client leaves, is too slow, or the server closes. Never throws. */
export async function runSession(
  deps: SessionDeps,
  connection: Connection,
  onLogin: () => void,
): Promise<void> {
  const { strangerCommand } = deps.limits;
  const session: Session = {
    deps,
    connection,
    parser: createParser({ line: strangerCommand, command: strangerCommand, discard: 0 }),
    log: deps.log.child({ peer: connection.peer }),
    principal: null,
    privateAccess: null,
    opened: new Set(),
    worth: null,
    directory: deps.directory(),
    shared: [],
    treesOpen: false,
    view: null,
    unwatch: null,
    dirty: false,
    onDirty: null,
    condstore: false,
    pending: null,
    busy: false,
    onLogin,
    ended: false,
  };
  // Nobody holds a place by being slow before login: this clock does not start again.
  const loginTimer = setTimeout(() => {
    if (!session.principal) bye(session, 'Login took too long');
  }, deps.limits.loginTimeoutMs);
  const onClosing = (): void => {
    // A command that runs is answered first; IDLE only waits.
    if (!session.busy || session.onDirty) sayClosing(session);
    session.onDirty?.();
  };
  deps.closing.addEventListener('abort', onClosing);
  const onReload = (): void => {
    // A command that runs is answered first, by the rights that it began with; IDLE only waits.
    if (session.busy && !session.onDirty) return;
    takeRights(session);
    if (session.ended) session.onDirty?.();
  };
  deps.onReload.add(onReload);
  try {
    connection.send(`* OK [CAPABILITY ${capabilities(session)}] demail-gateway ready\r\n`);
    await connection.flush();
    await serve(session);
  } catch (error) {
    if (!(error instanceof Disconnected)) {
      session.log.error({ err: error }, 'session failed');
      bye(session, 'Internal error', 'SERVERBUG');
    }
  } finally {
    clearTimeout(loginTimer);
    deps.closing.removeEventListener('abort', onClosing);
    deps.onReload.delete(onReload);
    session.unwatch?.[Symbol.dispose]();
    connection.end();
  }
}

function sayClosing(session: Session): void {
  bye(session, 'Server is shutting down, try again soon', 'UNAVAILABLE');
}

async function serve(session: Session): Promise<void> {
  let badInRow = 0;
  while (!session.ended) {
    const event = await nextEvent(session);
    if (event === null || session.ended) return;
    switch (event.kind) {
      case 'command':
        badInRow = (await answerCommand(session, event.command)) === 'BAD' ? badInRow + 1 : 0;
        break;
      case 'append':
        await answer(session, event.append.tag, 'APPEND', true, () => appendCommand(session, event.append));
        break;
      case 'bad':
        badInRow++;
        session.connection.send(`${event.tag ?? '*'} BAD ${printText(event.text)}\r\n`);
        if (event.fatal) bye(session, 'Connection cannot go on after that');
        else await session.connection.breathe();
        break;
    }
    if (session.deps.closing.aborted) sayClosing(session);
    // A reload may have come while a command ran.
    if (!session.ended) takeRights(session);
    if (badInRow >= session.deps.limits.badCommands) bye(session, 'Too many bad commands');
  }
}

async function answerCommand(session: Session, command: Command): Promise<Answer['status']> {
  const entry = commands[command.name];
  const state: State = session.view ? 'selected' : session.principal ? 'user' : 'stranger';
  return answer(session, command.tag, command.name, mayExpunge(command), async () => {
    if (!entry.states.includes(state)) return badAnswer(misplaced(state, entry.states));
    // The registry pairs each name with the function for that very command.
    return (entry.run as (session: Session, command: Command) => Promise<Answer>)(session, command);
  });
}

function misplaced(state: State, states: readonly State[]): string {
  if (state === 'stranger') return 'Log in first';
  return states.includes('stranger') ? 'Already logged in' : 'Select a mailbox first';
}

async function answer(
  session: Session,
  tag: string,
  name: string,
  expungeAllowed: boolean,
  run: () => Promise<Answer>,
): Promise<Answer['status']> {
  const { connection } = session;
  let result: Answer;
  session.busy = true;
  try {
    await takeOver(session);
    // What the login was worth is gone: the client has its BYE.
    if (session.ended) return 'NO';
    result = await run();
    await tellChanges(session, expungeAllowed);
  } catch (error) {
    result = refusal(session, name, error);
  } finally {
    session.busy = false;
  }
  const code = result.code === undefined ? '' : `[${result.code}] `;
  connection.send(`${tag} ${result.status} ${code}${printText(result.text)}\r\n`);
  if (session.ended) {
    connection.end();
    return result.status;
  }
  if (session.parser.dead) bye(session, 'Connection cannot go on after that');
  else if (result.after) await connection.flush();
  else await connection.breathe();
  await result.after?.();
  return result.status;
}

/** RFC 3501 7.4.1: not while a command speaks in sequence numbers; commands in UIDs may be told. */
function mayExpunge(command: Command): boolean {
  const inNumbers = command.name === 'FETCH' || command.name === 'STORE' || command.name === 'SEARCH';
  return !inNumbers || command.uid;
}

/** An error as an answer: of the catalogue, or one that says nothing of what is inside. */
function refusal(session: Session, name: string, error: unknown): Answer {
  if (error instanceof Disconnected) throw error;
  if (error instanceof GatewayError) return no(refusalText(session, error), error.spec.imap);
  session.log.error({ err: error, command: name }, 'command failed');
  if (error instanceof CorruptObject)
    return no('The stored message is damaged; tell the operator of the gateway', 'CORRUPTION');
  return no('Internal error; tell the operator of the gateway', 'SERVERBUG');
}
