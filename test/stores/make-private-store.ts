/**
 * Makes a store with private mail, and with logins that have an outcome and that have none:
 * `node test/stores/make-private-store.ts DIRECTORY`. `v3` was made by it with the last release that kept neither in
 * a table of its own.
 */
import { createIndexer } from '../../src/mime/structure.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';

const tenant = 'stadt-waren';
const erika = { type: 'user', name: 'erika.mustermann@stadt-waren.example' } as const;
const sender = 'max.mustermann@buerger.de-mail.example';
const recipient = 'erika.mustermann@stadt-waren.de-mail.example';

const directory = process.argv[2];
if (directory === undefined) throw new Error('usage: node test/stores/make-private-store.ts DIRECTORY');

let now = Date.parse('2026-11-24T08:00:00Z');
const store = await openSqliteStore({ directory, originPrefix: 'gateway.example', clock: () => (now += 1000) });
await store.openTenant(tenant);

const login = { account: tenant, protocol: 'imap', level: 'high', reason: 'calendar', actor: { type: 'gateway', name: 'provider link' } } as const;
const first = await store.recordLoginIntent(tenant, login);

async function receive(uid: number, messageType: string, options: readonly ('private' | 'retrieval')[]) {
  const text = `Message-ID: <${uid}@provider.example>\r\n\r\nNachricht ${uid}\r\n`;
  const writer = store.stage(tenant);
  const indexer = createIndexer();
  indexer.push(Buffer.from(text));
  await writer.write(Buffer.from(text));
  const fetched = {
    staged: { object: await writer.finish(), index: indexer.finish() },
    source: { account: tenant, folder: 'INBOX', uidValidity: '1', uid },
    header: { messageId: `<${uid}@provider.example>`, subject: `Nachricht ${uid}`, from: sender, date: null },
    demail: { messageType, messageId: `<${uid}@provider.example>`, privateId: null, sender, authLevel: 'high', originatorProvider: 'provider.example', options, chosenRecipients: [recipient], envelopeTo: [recipient] },
    attachments: [],
    verdict: 'not-checked' as const,
    deposits: [{ owner: erika, mailbox: 'INBOX', reason: 'recipient' as const, prefix: Buffer.alloc(0), flags: [] }],
  };
  if (messageType === 'normal') await store.recordFetched(tenant, { ...fetched, kind: 'inbound' });
  else
    await store.recordFetched(tenant, {
      ...fetched, kind: 'confirmation', confirmation: 'retrieval', letter: null, transaction: null, recipients: [recipient], statedTime: null, matchedBy: null,
    });
}

await receive(1, 'normal', ['private']);
await receive(2, 'normal', []);
await receive(3, 'normal', ['retrieval']);
await receive(4, 'confirmation of retrieve', []);
await store.recordLoginOutcome(tenant, { account: tenant, protocol: 'imap', intent: first.index, result: 'logged-in', detail: 'picked up: 1, 2, 3, 4' });
// Cut off by a kill.
await store.recordLoginIntent(tenant, login);
await store[Symbol.asyncDispose]();
