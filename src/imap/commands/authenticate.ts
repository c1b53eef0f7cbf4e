/** AUTHENTICATE PLAIN (RFC 4616) and LOGIN, with an initial response (RFC 4959). RFC 3501 6.2.2. */
import type { CommandOf } from '../codec/command.ts';
import { type Answer, badAnswer, nextEvent, no, type Session } from '../session.ts';
import { logIn, requireTls } from './login.ts';

export async function authenticate(session: Session, command: CommandOf<'AUTHENTICATE'>): Promise<Answer> {
  requireTls(session);
  if (command.mechanism === 'PLAIN') return plain(session, command.initial);
  if (command.mechanism === 'LOGIN') return loginMechanism(session, command.initial);
  return no('Mechanism is not offered; use PLAIN');
}

async function plain(session: Session, initial: string | null): Promise<Answer> {
  const response = initial === null ? await ask(session, '') : decode(initial);
  if (response === null) return badAnswer('Authentication was cancelled or is not base64');
  const [authorization, login, password, ...rest] = response.split('\0');
  if (authorization === undefined || login === undefined || password === undefined || rest.length > 0)
    return badAnswer('PLAIN needs authorization identity, login and password');
  if (authorization !== '' && authorization.toLowerCase() !== login.toLowerCase())
    return no('Nobody may log in as somebody else', 'AUTHORIZATIONFAILED');
  return logIn(session, login, password);
}

async function loginMechanism(session: Session, initial: string | null): Promise<Answer> {
  const login = initial === null ? await ask(session, 'Username:') : decode(initial);
  if (login === null) return badAnswer('Authentication was cancelled or is not base64');
  const password = await ask(session, 'Password:');
  if (password === null) return badAnswer('Authentication was cancelled or is not base64');
  return logIn(session, login, password);
}

/** Sends a challenge and reads the answer; null where the client gives up (`*`) or sends no base64. */
async function ask(session: Session, challenge: string): Promise<string | null> {
  session.parser.expectLine();
  session.connection.send(`+ ${Buffer.from(challenge).toString('base64')}\r\n`);
  await session.connection.flush();
  const event = await nextEvent(session);
  return event?.kind === 'line' ? decode(event.line) : null;
}

function decode(text: string): string | null {
  if (text === '=') return '';
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return null;
  return Buffer.from(text, 'base64').toString('utf8');
}
