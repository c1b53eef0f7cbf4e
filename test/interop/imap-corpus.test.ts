/** Every mail of the corpus through the facade: the bytes as they are, and a structure that clients can parse. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ImapFlow } from 'imapflow';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ERIKA, type ImapWorld, openImapWorld, PASSWORD } from '../../src/imap/testing/world.ts';
import { createIndexer } from '../../src/mime/structure.ts';

const block = Buffer.from('X-De-Mail-Gateway: zugestellt\r\nIn-Reply-To: <brief@stadt.example>\r\n');
const owner = { type: 'user', name: ERIKA } as const;

let world: ImapWorld;
beforeAll(async () => {
  world = await openImapWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

/** Files it as the provider link does: the block before the bytes. */
async function deposit(bytes: Buffer): Promise<void> {
  const writer = world.store.stage('stadt');
  const indexer = createIndexer();
  indexer.push(bytes);
  await writer.write(bytes);
  const message = { object: await writer.finish(), index: indexer.finish() };
  const filed = { owner, mailbox: 'INBOX', reason: 'test', prefix: block, flags: [] };
  await world.store.deliverNotice('stadt', {
    letter: null,
    about: 'delivered',
    text: 'test',
    message,
    deposits: [filed],
  });
}

async function mailsOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && entry.name !== 'LICENSE')
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

it('gives back every mail, whole and in parts', async () => {
  const files = await mailsOf(process.env.DEMAIL_CORPUS ?? '../shared/corpus');
  expect(files.length).toBeGreaterThan(50);
  const wanted: Buffer[] = [];
  for (const file of files) {
    const bytes = await readFile(file);
    wanted.push(Buffer.concat([block, bytes]));
    await deposit(bytes);
  }
  const client = new ImapFlow({
    host: '127.0.0.1',
    port: world.ports.imaps,
    secure: true,
    tls: { ca: world.authority },
    auth: { user: ERIKA, pass: PASSWORD },
    logger: false,
  });
  const failures: Error[] = [];
  client.on('error', (error) => failures.push(error));
  await client.connect();
  await client.mailboxOpen('INBOX');
  let count = 0;
  const query = {
    source: true,
    envelope: true,
    bodyStructure: true,
    size: true,
    headers: ['subject', 'in-reply-to'],
  };
  for await (const message of client.fetch('1:*', query)) {
    const file = files[message.seq - 1]!;
    const whole = wanted[message.seq - 1]!;
    expect(message.source!.equals(whole), file).toBe(true);
    expect(message.size, file).toBe(whole.length);
    expect(message.envelope?.inReplyTo, file).toBe('<brief@stadt.example>');
    expect(message.bodyStructure?.type, file).toMatch(/^[^/]+\/[^/]+$/);
    count++;
  }
  expect(count).toBe(files.length);

  // Header and text make the whole.
  for (let sequence = 1; sequence <= files.length; sequence++) {
    const parts = await client.fetchOne(String(sequence), { headers: true, bodyParts: ['text'] });
    if (!parts) throw new Error('not found');
    const joined = Buffer.concat([parts.headers!, parts.bodyParts!.get('text')!]);
    expect(joined.equals(wanted[sequence - 1]!), files[sequence - 1]).toBe(true);
  }
  expect(await client.search({ text: 'kommt in keiner dieser Mails vor' })).toEqual([]);
  expect(failures).toEqual([]);
  await client.logout();
});
