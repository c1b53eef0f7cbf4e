/** What clients say, to be spoiled: whole commands without their tag, pieces to put into them, and the transcripts. */
import { readdirSync, readFileSync } from 'node:fs';

export const wholeCommands: readonly string[] = [
  'SELECT INBOX',
  'EXAMINE "Entw&APw-rfe"',
  'LIST (SUBSCRIBED) "" (* %) RETURN (STATUS (MESSAGES))',
  'LSUB "" *',
  'STATUS INBOX (MESSAGES UIDNEXT SIZE)',
  'FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (From)]<0.10>)',
  'UID FETCH 1:*,7 (ENVELOPE BODYSTRUCTURE BODY[1.MIME])',
  'UID STORE 1:* +FLAGS (\\Seen $x)',
  'STORE 1:3 (UNCHANGEDSINCE 5) FLAGS ()',
  'SEARCH RETURN (COUNT) OR SUBJECT x NOT (BODY y SINCE 1-Feb-2024)',
  'UID SEARCH CHARSET UTF-8 TEXT {3+}\r\nabc',
  'COPY 1 INBOX',
  'UID MOVE 1 Archiv',
  'EXPUNGE',
  'UID EXPUNGE 1:9',
  'CREATE a/b',
  'RENAME a/b c',
  'DELETE c',
  'APPEND INBOX (\\Seen $x) " 1-Feb-2024 10:00:00 +0100" {3+}\r\nabc',
  'APPEND Gesendet {3}\r\nabc',
  'IDLE\r\nDONE',
  'ID ("a" NIL)',
  'ENABLE CONDSTORE',
  'NAMESPACE',
  'GETQUOTAROOT INBOX',
  'MYRIGHTS INBOX',
  'CLOSE',
  'UNSELECT',
  'CHECK',
  'STARTTLS',
  'CAPABILITY',
  'AUTHENTICATE PLAIN\r\n*',
  'AUTHENTICATE LOGIN AAAA',
  'LOGIN {2+}\r\nab c',
  'LOGIN erika "x y"',
];

export const commandPieces: readonly string[] = [
  ...[' ', '(', ')', '"', '\\', '*', '%', ',', ':', '[', ']', '<', '.', '&', '-', '=', '+'],
  ...['{3}\r\n', '{3+}\r\n', '{0+}\r\n', '{40+}\r\n', '{400000}\r\n', '{99999999999+}\r\n', '~{3+}\r\n'],
  ...[
    '\r\n',
    '\n',
    '\r',
    '\0',
    '\xff',
    '4294967295',
    '4294967296',
    '0',
    'NIL',
    'a'.repeat(300),
    '('.repeat(300),
  ],
];

/** What the clients of test/wire say, one text for each transcript. */
export function saidInTranscripts(): string[] {
  const folder = new URL('../wire/', import.meta.url);
  return readdirSync(folder)
    .filter((name) => name.endsWith('.txt'))
    .map((name) => readFileSync(new URL(name, folder), 'latin1'))
    .map((text) => [...text.matchAll(/^C\d?: (.*)$/gm)].map(([, line]) => `${line}\r\n`).join(''));
}
