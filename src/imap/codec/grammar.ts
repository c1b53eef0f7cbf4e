/** One command, complete with its literals → `Command`. Throws `BadSyntax` for everything else. */
import {
  type AppendHead,
  type Command,
  type CommandBody,
  type CommandName,
  type PlainName,
  plainNames,
  type StoreRequest,
} from './command.ts';
import { parseDateTime } from './date.ts';
import { fetchRequest } from './grammar-fetch.ts';
import { listRequest, statusList } from './grammar-list.ts';
import { searchRequest } from './grammar-search.ts';
import * as scan from './scanner.ts';
import { BadSyntax, type Scanner } from './scanner.ts';
import { parseSequenceSet, type SequenceSet } from './sequence.ts';

/** The rest of a command after its name, by name. */
const bodies: {
  readonly [N in Exclude<CommandName, PlainName | 'UID EXPUNGE'>]: (s: Scanner) => CommandBody;
} = {
  LOGIN: (s) => {
    scan.space(s);
    const user = scan.utf8(scan.astring(s));
    scan.space(s);
    return { name: 'LOGIN', user, password: scan.utf8(scan.astring(s)) };
  },
  AUTHENTICATE: (s) => {
    scan.space(s);
    const mechanism = scan.word(s);
    const initial = scan.take(s, ' ') ? base64(s) : null;
    return { name: 'AUTHENTICATE', mechanism, initial };
  },
  ID: (s) => {
    scan.space(s);
    return { name: 'ID', params: idParams(s) };
  },
  ENABLE: (s) => {
    const capabilities: string[] = [];
    while (scan.take(s, ' ')) capabilities.push(scan.word(s));
    if (capabilities.length === 0) throw new BadSyntax('ENABLE needs a capability');
    return { name: 'ENABLE', capabilities };
  },
  SELECT: (s) => ({ name: 'SELECT', ...selectArguments(s) }),
  EXAMINE: (s) => ({ name: 'EXAMINE', ...selectArguments(s) }),
  CREATE: (s) => {
    const mailbox = spacedMailbox(s);
    // RFC 6154 CREATE-SPECIAL-USE is not offered: a parameter list is a mistake that deserves a BAD.
    return { name: 'CREATE', mailbox };
  },
  DELETE: (s) => ({ name: 'DELETE', mailbox: spacedMailbox(s) }),
  SUBSCRIBE: (s) => ({ name: 'SUBSCRIBE', mailbox: spacedMailbox(s) }),
  UNSUBSCRIBE: (s) => ({ name: 'UNSUBSCRIBE', mailbox: spacedMailbox(s) }),
  RENAME: (s) => ({ name: 'RENAME', from: spacedMailbox(s), to: spacedMailbox(s) }),
  LIST: (s) => {
    scan.space(s);
    return { name: 'LIST', ...listRequest(s) };
  },
  LSUB: (s) => ({ name: 'LSUB', ...listArguments(s) }),
  XLIST: (s) => ({ name: 'XLIST', ...listArguments(s) }),
  GETQUOTAROOT: (s) => ({ name: 'GETQUOTAROOT', mailbox: spacedMailbox(s) }),
  GETQUOTA: (s) => ({ name: 'GETQUOTA', root: spacedString(s) }),
  SETQUOTA: (s) => {
    const root = spacedString(s);
    scan.space(s);
    // RFC 9208 4.1.3: resources with their limits; no root takes any.
    scan.list(s, () => {
      scan.word(s);
      scan.space(s);
      scan.number(s, Number.MAX_SAFE_INTEGER);
    });
    return { name: 'SETQUOTA', root };
  },
  MYRIGHTS: (s) => ({ name: 'MYRIGHTS', mailbox: spacedMailbox(s) }),
  GETACL: (s) => ({ name: 'GETACL', mailbox: spacedMailbox(s) }),
  LISTRIGHTS: (s) => ({ name: 'LISTRIGHTS', mailbox: spacedMailbox(s), identifier: spacedString(s) }),
  SETACL: (s) => {
    const command = { name: 'SETACL', mailbox: spacedMailbox(s), identifier: spacedString(s) } as const;
    spacedString(s);
    return command;
  },
  DELETEACL: (s) => ({ name: 'DELETEACL', mailbox: spacedMailbox(s), identifier: spacedString(s) }),
  STATUS: (s) => {
    const mailbox = spacedMailbox(s);
    scan.space(s);
    return { name: 'STATUS', mailbox, items: statusList(s) };
  },
  FETCH: (s) => ({ name: 'FETCH', ...fetchRequest(s, false) }),
  STORE: (s) => ({ name: 'STORE', ...storeRequest(s, false) }),
  SEARCH: (s) => ({ name: 'SEARCH', ...searchRequest(s, false) }),
  COPY: (s) => ({ name: 'COPY', ...copyArguments(s, false) }),
  MOVE: (s) => ({ name: 'MOVE', ...copyArguments(s, false) }),
};

const uidBodies: Readonly<Record<string, (s: Scanner) => CommandBody>> = {
  FETCH: (s) => ({ name: 'FETCH', ...fetchRequest(s, true) }),
  STORE: (s) => ({ name: 'STORE', ...storeRequest(s, true) }),
  SEARCH: (s) => ({ name: 'SEARCH', ...searchRequest(s, true) }),
  COPY: (s) => ({ name: 'COPY', ...copyArguments(s, true) }),
  MOVE: (s) => ({ name: 'MOVE', ...copyArguments(s, true) }),
  EXPUNGE: (s) => ({ name: 'UID EXPUNGE', set: spacedSet(s) }),
};

/** @throws BadSyntax with a text for the client. */
export function parseCommand(s: Scanner): Command {
  const tag = scan.tag(s);
  scan.space(s);
  const body = commandBody(s);
  scan.end(s);
  return { tag, ...body } as Command;
}

/** The tag of a command that may be anything but well-formed; null where there is none. */
export function tagOf(line: string): string | null {
  try {
    return scan.tag(scan.scan([line.slice(0, 200)], []));
  } catch {
    return null;
  }
}

/** An APPEND whose message literal comes next; null where the command is anything else. */
export function parseAppendHead(
  lines: readonly string[],
  literals: readonly Buffer[],
): Omit<AppendHead, 'size' | 'synchronising'> | null {
  const s = scan.scan(lines, literals);
  try {
    const tag = scan.tag(s);
    scan.space(s);
    if (scan.word(s) !== 'APPEND') return null;
    const mailbox = spacedMailbox(s);
    scan.space(s);
    let flags: string[] = [];
    if (scan.peek(s) === '(') {
      flags = scan.flags(s);
      scan.space(s);
    }
    let internalDate: number | null = null;
    if (scan.peek(s) === '"') {
      internalDate = parseDateTime(scan.string(s));
      if (internalDate === null) return null;
      scan.space(s);
    }
    return scan.atEnd(s) ? { tag, mailbox, flags, internalDate } : null;
  } catch (error) {
    if (error instanceof BadSyntax) return null;
    throw error;
  }
}

function commandBody(s: Scanner): CommandBody {
  const name = scan.word(s);
  const plain = plainNames.find((known) => known === name);
  if (plain) return { name: plain };
  if (name === 'UID') {
    scan.space(s);
    const command = scan.word(s);
    const body = Object.hasOwn(uidBodies, command) ? uidBodies[command] : undefined;
    if (!body) throw new BadSyntax(`UID ${command} is not a command`);
    return body(s);
  }
  if (name === 'APPEND') throw new BadSyntax('APPEND is malformed');
  const body = Object.hasOwn(bodies, name) ? bodies[name as keyof typeof bodies] : undefined;
  if (!body) throw new BadSyntax(`${name.slice(0, 40)} is not a command`);
  return body(s);
}

function spacedMailbox(s: Scanner): string {
  scan.space(s);
  const name = scan.mailbox(s);
  if (name.length > 1000) throw new BadSyntax('mailbox name is too long');
  return name;
}

function spacedString(s: Scanner): string {
  scan.space(s);
  return scan.utf8(scan.astring(s));
}

function listArguments(s: Scanner): { reference: string; pattern: string } {
  scan.space(s);
  const reference = scan.mailbox(s);
  scan.space(s);
  return { reference, pattern: scan.pattern(s) };
}

function spacedSet(s: Scanner): SequenceSet {
  scan.space(s);
  const set = parseSequenceSet(scan.sequenceText(s));
  if (!set) throw new BadSyntax('expected a sequence set');
  return set;
}

function selectArguments(s: Scanner): { mailbox: string; condstore: boolean } {
  const mailbox = spacedMailbox(s);
  let condstore = false;
  if (scan.take(s, ' ')) {
    scan.list(s, () => {
      const parameter = scan.word(s);
      if (parameter !== 'CONDSTORE') throw new BadSyntax(`SELECT parameter ${parameter} is not known`);
      condstore = true;
    });
  }
  return { mailbox, condstore };
}

function copyArguments(s: Scanner, uid: boolean): { uid: boolean; set: SequenceSet; mailbox: string } {
  return { uid, set: spacedSet(s), mailbox: spacedMailbox(s) };
}

/** RFC 3501 6.4.6, RFC 7162 3.1.3. */
function storeRequest(s: Scanner, uid: boolean): StoreRequest {
  const set = spacedSet(s);
  scan.space(s);
  let unchangedSince: number | null = null;
  if (scan.peek(s) === '(') {
    scan.list(s, () => {
      const modifier = scan.word(s);
      if (modifier !== 'UNCHANGEDSINCE') throw new BadSyntax(`STORE modifier ${modifier} is not known`);
      scan.space(s);
      unchangedSince = scan.modseq(s);
    });
    scan.space(s);
  }
  const action = scan.word(s);
  const match = /^([+-])?FLAGS(\.SILENT)?$/.exec(action);
  if (!match) throw new BadSyntax(`STORE ${action} is not known`);
  scan.space(s);
  const flags = scan.flags(s);
  const op = match[1] === '+' ? 'add' : match[1] === '-' ? 'remove' : 'replace';
  return { uid, set, op, silent: match[2] !== undefined, flags, unchangedSince };
}

/** RFC 2971 3.3: at most 30 pairs. */
function idParams(s: Scanner): (readonly [string, string | null])[] {
  if (scan.peek(s) !== '(') {
    if (scan.nstring(s) !== null) throw new BadSyntax('expected a list or NIL');
    return [];
  }
  const params: (readonly [string, string | null])[] = [];
  scan.list(
    s,
    () => {
      const field = scan.utf8(scan.string(s));
      scan.space(s);
      const value = scan.nstring(s);
      params.push([field, value === null ? null : scan.utf8(value)]);
    },
    30,
  );
  return params;
}

function base64(s: Scanner): string {
  const text = scan.astring(s);
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text)) throw new BadSyntax('initial response is not base64');
  return text;
}
