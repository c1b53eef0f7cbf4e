/** Gesendet as a session sees it while the gateway's own copy arrives. What is one message: store/sent-copies.test.ts. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createIndexer } from '../mime/structure.ts';
import { withFingerprint } from '../store/sent-copies.ts';
import { openRawClient, type RawClient } from './testing/raw-client.ts';
import { ERIKA, type ImapWorld, openImapWorld, PASSWORD } from './testing/world.ts';

let world: ImapWorld;
beforeAll(async () => {
  world = await openImapWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

const text = [
  `From: <${ERIKA}>`,
  'To: <max@buerger.de-mail.example>',
  'Date: Mon, 05 Feb 2024 10:00:00 +0100',
  'Subject: Bescheid',
  'Message-ID: <1@stadt.example>',
  '',
  'Guten Tag',
  '',
].join('\r\n');

async function submit(): Promise<void> {
  const { store } = world;
  const writer = store.stage('stadt');
  const indexer = createIndexer();
  indexer.push(Buffer.from(text));
  await writer.write(Buffer.from(text));
  const message = { object: await writer.finish(), index: indexer.finish() };
  const address = 'max@buerger.de-mail.example';
  await store.acceptSubmission('stadt', {
    actor: { type: 'user', name: ERIKA },
    listener: 'submission',
    envelope: { from: ERIKA, recipients: [{ address }] },
    sender: 'erika@stadt.de-mail.example',
    header: { messageId: '<1@stadt.example>', subject: null, from: null, date: null },
    attachments: [],
    options: [],
    removedHeaders: [],
    transactions: [{ id: 0, privateId: 'p', to: [address], cc: [], bcc: [] }],
    message: await withFingerprint(store, message),
    deposits: [
      {
        owner: { type: 'user', name: ERIKA },
        mailbox: 'Gesendet',
        reason: 'sent',
        prefix: new Uint8Array(),
        flags: ['\\Seen'],
      },
    ],
  });
}

/** Lines up to the one that begins so, without it where it is untagged. */
async function until(client: RawClient, begin: string): Promise<string[]> {
  const lines: string[] = [];
  for (;;) {
    const line = await client.line();
    if (line === null) throw new Error(`closed before ${begin}: ${lines.join(' | ')}`);
    lines.push(line);
    if (line.startsWith(begin)) return lines;
  }
}

it('one copy goes and another comes, in the order that RFC 3501 wants; APPENDUID names what is there', async () => {
  const client = await openRawClient(world.ports.imaps, world.authority);
  const append = async (tag: string, extra: string): Promise<string> => {
    const message = extra + text;
    client.send(`${tag} APPEND Gesendet (\\Seen $Forwarded) {${message.length}+}\r\n${message}\r\n`);
    return (await until(client, tag)).at(-1)!;
  };
  client.send(`a LOGIN ${ERIKA} ${PASSWORD}\r\nb SELECT Gesendet\r\n`);
  await until(client, 'b OK');
  expect(await append('c', 'Bcc: eva@buerger.de-mail.example\r\n')).toMatch(/^c OK \[APPENDUID \d+ 1\]/);
  expect(await append('d', 'X-Mailer: another\r\n')).toMatch(/^d OK \[APPENDUID \d+ 1\]/);
  client.send('e IDLE\r\n');
  await until(client, '+');
  await submit();
  expect(await until(client, '* 1 EXPUNGE')).toEqual(['* 2 EXISTS', expect.any(String), '* 1 EXPUNGE']);
  client.send('DONE\r\nf UID FETCH 1:* (FLAGS RFC822.SIZE)\r\n');
  expect((await until(client, 'f OK')).filter((line) => line.startsWith('* '))).toEqual([
    `* 1 FETCH (UID 2 FLAGS (\\Seen $Forwarded \\Recent) RFC822.SIZE ${text.length})`,
  ]);
  expect(await append('g', 'X-Mailer: a third\r\n')).toMatch(/^g OK \[APPENDUID \d+ 2\]/);
  client.destroy();
});
