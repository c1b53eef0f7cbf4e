/**
 * The structure index against Dovecot's: every BODY[…] section that the index names must be the very bytes
 * that Dovecot serves for it, over the vectors, mails made to be difficult, and the corpus where there is one.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createIndexer } from '../../src/mime/structure.ts';
import type { PartIndex } from '../../src/mime/types.ts';

const crlf = (bytes: Buffer) => Buffer.from(bytes.toString('latin1').replace(/\r?\n/g, '\r\n'), 'latin1');

function filesBelow(folder: string): [string, Buffer][] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.eml'))
    .toSorted()
    .map((name) => [name, crlf(readFileSync(join(folder, name)))]);
}

const made: [string, string][] = [
  [
    'an outer boundary ends inner parts',
    'Content-Type: multipart/mixed; boundary=o\n\npre\n--o\nContent-Type: multipart/mixed; boundary=i\n\n--i\n\nx\n\n--o\n\ny\n--o--\nepilogue\n',
  ],
  [
    'a digest',
    'Content-Type: multipart/digest; boundary=a\n\npre\n--a\n\nSubject: x\n\nbody x\n--a\nContent-Type: text/plain\n\ny\n--a--\n',
  ],
  [
    'a message in a message',
    'Content-Type: message/rfc822\n\nSubject: a\nContent-Type: multipart/mixed; boundary=q\n\n--q\nContent-Type: message/rfc822\n\nSubject: b\n\nbody\n--q\n\nlast\n--q--\n',
  ],
  [
    'an empty part and an empty line before the end',
    'Content-Type: multipart/mixed; boundary=a\n\n--a\nX: y\n\n--a\nX: y\n\n\n--a--\n',
  ],
];

/**
 * Where malformed mail leaves both readings open, ours is deliberate: a delimiter is a whole line (Dovecot: a
 * prefix), a header keeps its empty line although a delimiter follows, an empty body is its line ends.
 */
const openToReading = new Set([
  'an empty part and an empty line before the end 1.MIME',
  'attachment_emails/attachment_message_rfc822_inline_image.eml 2',
  'error_emails/bad_date_header2.eml 1',
  'error_emails/missing_body.eml 1',
  'mime_emails/raw_email4.eml 3',
]);

const mails: [string, Buffer][] = [
  ...made.map(([name, text]): [string, Buffer] => [
    name,
    crlf(Buffer.from(`From: a@b.example\nSubject: t\n${text}`)),
  ]),
  ...filesBelow(new URL('../vectors/cases', import.meta.url).pathname),
  ...filesBelow(resolve(process.env.DEMAIL_CORPUS ?? '../shared/corpus')),
];

let folder: string;
let dovecot: ChildProcessWithoutNullStreams;
let received = Buffer.alloc(0);
let wake: () => void = () => {};

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'demail-dovecot-'));
  for (const name of ['mail', 'mail/cur', 'mail/new', 'mail/tmp']) mkdirSync(join(folder, name));
  for (const [i, [, bytes]] of mails.entries()) {
    writeFileSync(join(folder, 'mail/cur', `${1_000_000 + i}.x:2,S`), bytes);
  }
  const config = join(folder, 'dovecot.conf');
  writeFileSync(
    config,
    `mail_location = maildir:${folder}/mail:INDEX=MEMORY:CONTROL=${folder}/mail\nssl = no\nfirst_valid_uid = 1\nfirst_valid_gid = 1\n`,
  );
  const imap = ['/usr/lib/dovecot/imap', '-c', config];
  // Dovecot serves nobody's mail as root.
  const root = process.getuid?.() === 0;
  if (root) {
    chmodSync(folder, 0o755);
    await finished(spawn('chown', ['-R', 'mail:mail', join(folder, 'mail')]));
  }
  const command = root ? ['setpriv', '--reuid=mail', '--regid=mail', '--clear-groups', ...imap] : imap;
  dovecot = spawn(command[0]!, command.slice(1), {
    env: { PATH: process.env.PATH, USER: 'mail', HOME: folder },
  });
  dovecot.stdout.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk]);
    wake();
  });
  dovecot.on('close', () => wake());
  await ask('a SELECT INBOX');
});

afterAll(async () => {
  dovecot.stdin.end('z LOGOUT\r\n');
  if (dovecot.exitCode === null) await finished(dovecot);
  rmSync(folder, { recursive: true });
});

test.each(mails.map(([name, bytes], i) => [name, i, bytes] as const))('%s', async (name, i, bytes) => {
  const indexer = createIndexer();
  indexer.push(bytes);
  for (const [section, from, to] of sections(indexer.finish().root)) {
    if (openToReading.has(`${name} ${section}`)) continue;
    const served = await ask(`f FETCH ${i + 1} BODY.PEEK[${section}]`);
    expect(served?.toString('latin1'), section).toBe(bytes.toString('latin1', from, to));
  }
});

type Section = readonly [name: string, from: number, to: number];

/** Every section of RFC 3501 6.4.5 that the index answers. */
function sections(root: PartIndex): Section[] {
  const all: Section[] = [
    ['HEADER', root.headerStart, root.bodyStart],
    ['TEXT', root.bodyStart, root.bodyEnd],
  ];
  const inside = (part: PartIndex, prefix: string) => {
    const children = part.type === 'multipart' ? part.parts : [part];
    for (const [i, child] of children.entries()) {
      const path = `${prefix}${i + 1}`;
      all.push([path, child.bodyStart, child.bodyEnd]);
      if (child !== part) all.push([`${path}.MIME`, child.headerStart, child.bodyStart]);
      if (child.type === 'multipart') inside(child, `${path}.`);
      const enclosed = child.type === 'message' ? child.parts[0] : undefined;
      if (enclosed === undefined) continue;
      all.push([`${path}.HEADER`, enclosed.headerStart, enclosed.bodyStart]);
      all.push([`${path}.TEXT`, enclosed.bodyStart, enclosed.bodyEnd]);
      inside(enclosed, `${path}.`);
    }
  };
  inside(root, '');
  return all;
}

/** Sends a command and waits for its end; returns the literal or empty string that it brought. */
async function ask(line: string): Promise<Buffer | null> {
  dovecot.stdin.write(`${line}\r\n`);
  const tag = `${line.split(' ')[0]} `;
  let content: Buffer | null = null;
  for (;;) {
    const text = await readLine();
    const literal = /\{(\d+)\}$/.exec(text);
    if (literal !== null) content = await take(Number(literal[1]));
    else if (/ ""\)$/.test(text)) content = Buffer.alloc(0);
    if (text.startsWith(tag)) {
      if (!text.startsWith(`${tag}OK`)) throw new Error(`dovecot: ${text}`);
      return content;
    }
  }
}

async function readLine(): Promise<string> {
  for (;;) {
    const end = received.indexOf('\r\n');
    if (end !== -1) return (await take(end + 2)).toString('latin1', 0, end);
    await more();
  }
}

async function take(length: number): Promise<Buffer> {
  while (received.length < length) await more();
  const bytes = received.subarray(0, length);
  received = received.subarray(length);
  return bytes;
}

async function more(): Promise<void> {
  if (dovecot.exitCode !== null) throw new Error(`dovecot ended with ${dovecot.exitCode}`);
  await new Promise<void>((done) => {
    wake = done;
  });
}

function finished(child: ReturnType<typeof spawn>): Promise<void> {
  return new Promise((done) => child.on('close', () => done()));
}
