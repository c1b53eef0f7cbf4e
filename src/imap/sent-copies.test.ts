import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { createIndexer } from '../mime/structure.ts';
import { silentLog } from '../observe/log.ts';
import type { MailboxInfo, StagedMessage } from '../store/store.ts';
import { createSentCopies, type SentCopies } from './sent-copies.ts';
import { type ImapWorld, openImapWorld } from './testing/world.ts';

const owner = { type: 'user', name: 'erika@stadt.example' } as const;
let world: ImapWorld;
let copies: SentCopies;
let sent: MailboxInfo;
let round = 0;

beforeAll(async () => {
  world = await openImapWorld();
}, 60_000);
afterAll(() => world[Symbol.asyncDispose]());
beforeEach(async () => {
  copies = createSentCopies(world.store, silentLog());
  sent = await world.store.createMailbox('stadt', owner, `Runde ${++round}`);
  return () => copies[Symbol.dispose]();
});

async function stage(text: string): Promise<StagedMessage> {
  const writer = world.store.stage('stadt');
  const indexer = createIndexer();
  const bytes = Buffer.from(text);
  indexer.push(bytes);
  await writer.write(bytes);
  return { object: await writer.finish(), index: indexer.finish() };
}

async function clientAppends(text: string): Promise<{ uid: number; known: boolean }> {
  return copies.append('stadt', sent, { message: await stage(text), flags: ['\\Seen'], internalDate: 0 });
}

/** What the store does with a submission: the copy is there without any word of the facade. */
async function gatewayFiles(text: string): Promise<number> {
  const append = { message: await stage(text), flags: ['\\Seen'], internalDate: 0 };
  return (await world.store.appendMessage('stadt', sent.id, append)).uid;
}

async function uids(): Promise<number[]> {
  return (await world.store.messages('stadt', sent.id)).map(({ uid }) => uid);
}

interface Parts {
  readonly body?: string;
  readonly encoding?: string;
  readonly extra?: string;
  readonly date?: string;
  readonly subject?: string;
  readonly from?: string;
  readonly attachment?: string;
}

function letter(parts: Parts = {}): string {
  return [
    ...(parts.extra ? [parts.extra] : []),
    `From: ${parts.from ?? 'Erika <erika@stadt.example>'}`,
    `Date: ${parts.date ?? 'Mon, 05 Feb 2024 10:00:00 +0100'}`,
    `Subject: ${parts.subject ?? 'Bescheid über Grüße'}`,
    'Message-ID: <1@stadt.example>',
    'Content-Type: multipart/mixed; boundary=b',
    '',
    '--b',
    'Content-Type: text/plain; charset=utf-8',
    `Content-Transfer-Encoding: ${parts.encoding ?? '8bit'}`,
    '',
    parts.body ?? 'Schöne Grüße\r\naus Zarrentin',
    '--b',
    'Content-Type: application/pdf; name=a.pdf',
    'Content-Disposition: attachment; filename=a.pdf',
    '',
    parts.attachment ?? '%PDF',
    '--b--',
    '',
  ].join('\r\n');
}

const reencoded: readonly (readonly [string, Parts])[] = [
  ['identical', {}],
  ['with Bcc and trace headers', { extra: 'Bcc: max@b.example\r\nX-Mozilla-Status: 0001' }],
  ['with the subject in encoded words', { subject: '=?utf-8?q?Bescheid_=C3=BCber_Gr=C3=BC=C3=9Fe?=' }],
  ['with the date in another zone', { date: 'Mon, 5 Feb 2024 09:00:00 +0000' }],
  [
    'as quoted-printable, broken otherwise',
    { encoding: 'quoted-printable', body: 'Sch=C3=B6ne Gr=C3=BC=\r\n=C3=9Fe =20\r\naus Zarrentin' },
  ],
  [
    'as base64',
    { encoding: 'base64', body: Buffer.from('Schöne Grüße\naus Zarrentin\n').toString('base64') },
  ],
];

const different: readonly (readonly [string, Parts])[] = [
  ['text', { body: 'Schöne Grüße\r\naus Waren' }],
  ['sender', { from: 'jan@stadt.example' }],
  ['subject', { subject: 'Bescheid' }],
  ['date', { date: 'Mon, 05 Feb 2024 10:00:01 +0100' }],
  ['attachment', { attachment: '%PDF-2' }],
];

describe("a client's copy of what it submitted", () => {
  it.each(reencoded)('after the submission, %s: the copy that is there is named', async (_, parts) => {
    const filed = await gatewayFiles(letter());
    expect(await clientAppends(letter(parts))).toEqual({ uid: filed, known: true });
    expect(await uids()).toEqual([filed]);
  });

  it.each(reencoded)(
    'before the submission, %s: it gives way to the copy of the gateway',
    async (_, parts) => {
      const early = await clientAppends(letter(parts));
      expect(early.known).toBe(false);
      const filed = await gatewayFiles(letter());
      await vi.waitFor(async () => expect(await uids()).toEqual([filed]));
    },
  );

  it('at the same moment, in every order: one copy is left', async () => {
    for (let turn = 0; turn < 10; turn++) {
      const text = letter({ subject: `Runde ${turn}` }).replace('<1@', `<t${turn}@`);
      const work = [() => clientAppends(text), () => gatewayFiles(text), () => clientAppends(text)];
      if (turn % 2) work.reverse();
      await Promise.all(work.map((one) => one()));
      await vi.waitFor(async () => expect((await uids()).length).toBe(turn + 1));
    }
  });

  it.each(different)('with another %s it is another message, and kept', async (_, parts) => {
    const first = await clientAppends(letter(parts));
    const filed = await gatewayFiles(letter());
    const second = await clientAppends(letter({ ...parts, extra: 'X-Copy: 2' }));
    expect(second).toEqual({ uid: first.uid, known: true });
    expect(await uids()).toEqual([first.uid, filed]);
  });

  it('without a Message-ID nothing is recognised', async () => {
    const text = letter().replace(/Message-ID.*\r\n/, '');
    await clientAppends(text);
    await clientAppends(text);
    expect((await uids()).length).toBe(2);
  });
});
