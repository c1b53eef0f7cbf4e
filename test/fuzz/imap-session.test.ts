/** Nonsense from every state of a connection: the session answers or closes, and the server lives on. */
import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ERIKA, type ImapWorld, openImapWorld, PASSWORD } from '../../src/imap/testing/world.ts';
import { random } from './mutation.ts';

const inputs = 1000;
const seed = 20240205;
/** Enough line ends to fill any literal that a short input can announce, and to end IDLE and SASL answers. */
const filler = '\r\n'.repeat(5_000);

let world: ImapWorld;
beforeAll(async () => {
  world = await openImapWorld({ messageSize: 9_000, badCommands: 1_000_000 });
}, 60_000);
afterAll(() => world[Symbol.asyncDispose]());

interface Client {
  send(text: string): void;
  /** Resolves when the tag was answered (true) or the connection closed (false). */
  answered(tag: string): Promise<boolean>;
  readonly open: boolean;
  destroy(): void;
}

async function openClient(): Promise<Client> {
  const socket: TLSSocket = connect({ host: '127.0.0.1', port: world.ports.imaps, ca: world.authority });
  let text = '';
  let wake = () => {};
  let open = true;
  socket.on('data', (chunk: Buffer) => {
    text = (text + chunk.toString('latin1')).slice(-100_000);
    wake();
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    open = false;
    wake();
  });
  await once(socket, 'secureConnect');
  return {
    send: (line) => socket.write(line, 'latin1'),
    async answered(tag) {
      for (;;) {
        const at = text.search(new RegExp(`(^|\n)${tag} (OK|NO|BAD)`));
        if (at >= 0) {
          text = text.slice(at + tag.length);
          return true;
        }
        if (!open) return false;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
    get open() {
      return open;
    },
    destroy: () => socket.destroy(),
  };
}

const whole = [
  'SELECT INBOX',
  'EXAMINE "Entw&APw-rfe"',
  'LIST (SUBSCRIBED) "" (* %) RETURN (STATUS (MESSAGES))',
  'LSUB "" *',
  'STATUS INBOX (MESSAGES UIDNEXT SIZE)',
  'FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (From)]<0.10>)',
  'UID FETCH 1:* (ENVELOPE BODYSTRUCTURE BODY[1.MIME])',
  'UID STORE 1:* +FLAGS (\\Seen $x)',
  'STORE 1 FLAGS ()',
  'SEARCH RETURN (COUNT) OR SUBJECT x NOT (BODY y SINCE 1-Feb-2024)',
  'UID SEARCH CHARSET UTF-8 TEXT "x"',
  'COPY 1 INBOX',
  'UID MOVE 1 Archiv',
  'EXPUNGE',
  'UID EXPUNGE 1:9',
  'CREATE a/b',
  'RENAME a/b c',
  'DELETE c',
  'APPEND INBOX (\\Seen) " 1-Feb-2024 10:00:00 +0100" {3+}\r\nabc',
  'APPEND Gesendet {3}\r\nabc',
  'IDLE\r\nDONE',
  'ID ("a" NIL)',
  'ENABLE CONDSTORE',
  'NAMESPACE',
  'CLOSE',
  'UNSELECT',
  'CHECK',
  'STARTTLS',
  'CAPABILITY',
  'AUTHENTICATE PLAIN\r\n*',
  'AUTHENTICATE LOGIN AAAA',
  'LOGIN {2+}\r\nab c',
];
const pieces = [
  ' ',
  '(',
  ')',
  '"',
  '\\',
  '{3}\r\n',
  '{3+}\r\n',
  '{0+}\r\n',
  '{40+}\r\n',
  '{400000}\r\n',
  '{99999999999+}\r\n',
  '~{3+}\r\n',
  '\r\n',
  '\n',
  '\0',
  '\xff',
  '*',
  '%',
  ',',
  ':',
  '[',
  ']',
  '<',
  '.',
  '&',
  '-',
  '4294967295',
  '4294967296',
  '0',
  'NIL',
  'a'.repeat(300),
  '('.repeat(300),
];

function nonsense(next: (below: number) => number): string {
  let text = `t ${whole[next(whole.length)]}`;
  for (let count = next(4); count >= 0; count--) {
    const at = next(text.length + 1);
    const to = Math.min(text.length, at + next(6));
    const piece = next(3) === 0 ? String.fromCharCode(next(256)) : pieces[next(pieces.length)]!;
    text = text.slice(0, at) + piece + text.slice(next(2) ? at : to);
  }
  return text;
}

const states: readonly (readonly [string, readonly string[]])[] = [
  ['not authenticated', []],
  ['authenticated', [`LOGIN ${ERIKA} ${PASSWORD}`]],
  ['selected', [`LOGIN ${ERIKA} ${PASSWORD}`, 'APPEND INBOX {3+}\r\nx\r\n', 'SELECT INBOX']],
];
const openings: readonly (readonly [string, string])[] = [
  ['', ''],
  [', idling', 't IDLE\r\n'],
  [', inside a literal', 't CREATE {300+}\r\n'],
  [', inside a message', 't APPEND INBOX {300+}\r\n'],
];

describe(`seed ${seed}`, () => {
  for (const [state, commands] of states) {
    for (const [where, opening] of openings) {
      it(`${state}${where}: ${inputs / openings.length} inputs`, async () => {
        const next = random(seed + state.length * 31 + where.length);
        let client: Client | null = null;
        for (let count = 0; count < inputs / openings.length; count++) {
          if (!client?.open) {
            client = await openClient();
            for (const [index, command] of commands.entries()) {
              client.send(`s${index} ${command}\r\n`);
              expect(await client.answered(`s${index}`)).toBe(true);
            }
          }
          const input = opening + nonsense(next);
          client.send(`${input}\r\n${input.includes('{') ? filler : '\r\n\r\n\r\n'}z${count} NOOP\r\n`);
          const answered = await client.answered(`z${count}`);
          if (!answered) expect(client.open, JSON.stringify(input)).toBe(false);
        }
        client?.destroy();
        const fresh = await openClient();
        fresh.send(`a LOGIN ${ERIKA} ${PASSWORD}\r\nb LIST "" *\r\n`);
        expect(await fresh.answered('b')).toBe(true);
        fresh.destroy();
      }, 60_000);
    }
  }
});
