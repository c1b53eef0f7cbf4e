/** What lists show is made at ingest: the same words as from the structure index, and no object is opened for them. */
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { connect } from 'node:tls';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createIndexer } from '../mime/structure.ts';
import { ERIKA, type ImapWorld, openImapWorld, PASSWORD } from './testing/world.ts';

const owner = { type: 'user', name: ERIKA } as const;
const head =
  'From: =?utf-8?q?M=C3=BCller?= <m@a.example>\r\nSubject: Gr\u00fc\u00dfe "hier" \\ dort\r\nMessage-ID: <1@a.example>\r\n';
/** Longer than what lies in the database: a file of its own. */
const long = `${'x'.repeat(70)}\r\n`.repeat(2_000);

const messages: Record<string, string> = {
  'in a file of its own': `${head}\r\n${long}`,
  'of several parts': `${head}Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\neins\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: innen\r\n\r\nzwei\r\n--b--\r\n`,
  'without a body': head,
  'with bare line feeds': head.replaceAll('\r\n', '\n').concat('\ntext\n'),
  'with a name twice, and junk': `Subject: oben\r\n${head}junk\r\n\r\ntext\r\n`,
  'with a header that fills no list': `${head}X-Long: ${`${'y'.repeat(70)}\r\n `.repeat(600)}\r\n\r\ntext\r\n`,
  'in Latin-1': Buffer.from(`Subject: Gr\u00fc\u00dfe\r\n\r\ntext`, 'latin1').toString('latin1'),
};
const prefixes = ['', 'X-Demail-Gateway-Kind: inbound\r\n', 'In-Reply-To: <oben@a.example>\r\n'];

/** What a list asks for. */
const lists = [
  'FETCH 1:* (ENVELOPE)',
  'FETCH 1:* (FLAGS UID RFC822.SIZE INTERNALDATE BODYSTRUCTURE)',
  'FETCH 1:* (BODY.PEEK[HEADER])',
  'FETCH 1:* (BODY.PEEK[HEADER]<5.40>)',
  'UID FETCH 1,3,5:9 (BODY.PEEK[HEADER.FIELDS (Subject In-Reply-To)])',
  'FETCH 1:* (BODY.PEEK[HEADER.FIELDS.NOT (X-Long Subject)]<2.30>)',
];
const others = [
  'FETCH 1:* (BODY.PEEK[TEXT]<0.20>)',
  'FETCH 1:* (BODY.PEEK[]<0.50> BODY)',
  'FETCH 1:* (BODY.PEEK[1])',
];

let world: ImapWorld;

beforeAll(async () => {
  world = await openImapWorld();
  const { store } = world;
  await store.ensureMailboxes('stadt', owner, [{ name: 'Liste', specialUse: null }]);
  for (const [name, text] of Object.entries(messages))
    for (const prefix of prefixes) await notify(name, text, prefix);
});
afterAll(() => world[Symbol.asyncDispose]());

/** A copy with a block before it, as deliveries have. */
async function notify(name: string, text: string, prefix: string): Promise<void> {
  const writer = world.store.stage('stadt');
  const indexer = createIndexer();
  const bytes = Buffer.from(text, name === 'in Latin-1' ? 'latin1' : 'utf8');
  // In small pieces: what is kept of the beginning has to be put together.
  for (let at = 0; at < bytes.length; at += 10_000) {
    indexer.push(bytes.subarray(at, at + 10_000));
    await writer.write(bytes.subarray(at, at + 10_000));
  }
  const header = { messageId: null, subject: name, from: null, date: null };
  await world.store.deliverNotice('stadt', {
    about: 'relayed',
    letter: null,
    recipients: [],
    text: name,
    header,
    message: { object: await writer.finish(), index: indexer.finish() },
    deposits: [{ owner, mailbox: 'Liste', reason: 'test', prefix: Buffer.from(prefix), flags: [] }],
  } as unknown as Parameters<typeof world.store.deliverNotice>[1]);
}

async function ask(commands: readonly string[]): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port: world.ports.imaps, ca: world.authority });
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  const lines = [`LOGIN ${ERIKA} ${PASSWORD}`, 'EXAMINE Liste', ...commands, 'LOGOUT'];
  socket.write(lines.map((line, n) => `${n} ${line}\r\n`).join(''));
  await once(socket, 'close');
  const text = Buffer.concat(chunks).toString('latin1');
  return text.slice(text.indexOf('1 OK'));
}

/** What of the file store lies in a table. */
function database(sql: string): void {
  const db = new Database(join(world.folder, 'store.sqlite'));
  db.exec(sql);
  db.close();
}

describe('what lists show', () => {
  it('is the same from the summary made at ingest and from the structure index', async () => {
    const commands = [...lists, ...others];
    const fromSummary = await ask(commands);
    expect(fromSummary.match(/^\* \d+ FETCH/gm)!.length).toBeGreaterThan(100);
    database('CREATE TABLE kept AS SELECT * FROM summary; DELETE FROM summary');
    const fromIndex = await ask(commands);
    database('INSERT INTO summary SELECT * FROM kept; DROP TABLE kept');
    expect(fromSummary).toBe(fromIndex);
  });

  it('opens no object, whatever its size', async () => {
    const short = Object.keys(messages).indexOf('with a header that fills no list') * prefixes.length;
    const before = await ask(lists.map((command) => command.replace('1:*', `1:${short}`)));
    // Whoever opened one now would fail: the key fits no more, and the file is gone.
    database('DROP TRIGGER object_no_update; UPDATE object SET key = zeroblob(60)');
    await rm(join(world.folder, 'objects'), { recursive: true });
    expect(await ask(lists.map((command) => command.replace('1:*', `1:${short}`)))).toBe(before);
    expect(await ask(['FETCH 1 (BODY.PEEK[]<0.50>)'])).toContain('[CORRUPTION]');
  });
});
