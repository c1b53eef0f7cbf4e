/** What the store keeps of private messages: which copies are one, whom they wait for, and that none gets lost. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { verifyStore } from '../evidence/verify.ts';
import { createIndexer } from '../mime/structure.ts';
import { openAudit } from './sqlite/audit.ts';
import { openSqliteStore, storePaths } from './sqlite/open.ts';
import type { Store } from './store.ts';

const tenant = 'stadt';
const erika = { type: 'user', name: 'erika@stadt.example' } as const;
const actor = { type: 'operator', name: 'anna' } as const;
let directory: string;
let store: Store;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'private-store-'));
  store = await openSqliteStore({ directory, originPrefix: 'gateway.example' });
  await store.openTenant(tenant);
});
afterAll(async () => {
  await store[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

async function arrives(uid: number, waitsFor: readonly string[], deposited: boolean): Promise<number> {
  const bytes = Buffer.from(`Message-ID: <${uid}@x>\r\n\r\nprivate ${uid}\r\n`);
  const writer = store.stage(tenant);
  const indexer = createIndexer();
  indexer.push(bytes);
  await writer.write(bytes);
  const recorded = await store.recordFetched(tenant, {
    kind: 'inbound',
    source: { account: 'a', folder: 'INBOX', uidValidity: '1', uid },
    staged: { object: await writer.finish(), index: indexer.finish() },
    header: { messageId: null, subject: null, from: null, date: null },
    demail: {
      messageType: 'normal',
      messageId: null,
      privateId: null,
      sender: null,
      authLevel: null,
      originatorProvider: null,
      options: ['private'],
      chosenRecipients: [],
      envelopeTo: [],
    },
    attachments: [],
    verdict: 'valid',
    private: true,
    ...(waitsFor.length > 0 ? { waitsFor } : {}),
    deposits: deposited
      ? [{ owner: erika, mailbox: 'INBOX', reason: 'r', prefix: Buffer.from('X: y\r\n'), flags: [] }]
      : [],
  });
  return recorded!.index;
}

const findings = async () => {
  using audit = openAudit(storePaths({ directory }));
  return (await verifyStore(audit)).findings.map(({ place, problem }) => `${place}: ${problem}`);
};

it('a copy in another mailbox is the same private message', async () => {
  const index = await arrives(1, [], true);
  const inbox = (await store.mailbox(tenant, erika, 'INBOX'))!;
  const other = await store.createMailbox(tenant, erika, 'Ablage');
  await store.copyMessages(tenant, inbox.id, [1], other.id);
  for (const { id } of [inbox, other]) {
    expect((await store.contents(tenant, id, [1]))[0]!.privateOf).toBe(index);
    expect(await store.privateMessages(tenant, id)).toEqual(new Map([[1, index]]));
  }
  expect(await store.privateMessages('dorf', inbox.id)).toEqual(new Map());
});

it('waits for each address until it is placed for it, and verification notices if it does not', async () => {
  const index = await arrives(2, ['a@stadt.example', ''], false);
  expect(await store.waitingPrivate(tenant)).toEqual([{ index, addresses: ['', 'a@stadt.example'] }]);
  const placed = { letter: index, about: index, actor, reason: 'because', deposits: [] };
  expect(await store.placeWaiting(tenant, { ...placed, addresses: ['b@stadt.example'] })).toBe(false);
  expect(await store.placeWaiting(tenant, { ...placed, addresses: ['a@stadt.example'] })).toBe(true);
  expect(await store.placeWaiting(tenant, { ...placed, addresses: ['a@stadt.example'] })).toBe(false);
  expect(await store.waitingPrivate(tenant)).toEqual([{ index, addresses: [''] }]);
  expect(await findings()).toEqual([]);
  const db = new Database(storePaths({ directory }).file);
  db.exec('DELETE FROM waiting_private');
  db.prepare('DELETE FROM private_message WHERE idx = ?').run(index);
  db.prepare('INSERT INTO waiting_private VALUES (?, 1, ?, ?)').run(tenant, 'x@stadt.example', 'ab');
  db.close();
  expect(await findings()).toEqual([
    `message of entry ${index}: it is private, but not marked so`,
    'waiting message 1: it waits for x@stadt.example, but by the entries it does not',
    `waiting message ${index}: by the entries it waits for nobody named, but it does not`,
  ]);
});

it('has no search text, also where the same bytes lay in a mailbox before they turned out to be private', async () => {
  await store.openSearchText(tenant, 1);
  const bytes = Buffer.from('Message-ID: <77@x>\r\n\r\nprivate 77\r\n');
  const writer = store.stage(tenant);
  const indexer = createIndexer();
  indexer.push(bytes);
  await writer.write(bytes);
  const message = { object: await writer.finish(), index: indexer.finish() };
  const { id } = await store.createMailbox(tenant, erika, 'Eigenes');
  await store.appendMessage(tenant, id, { message, flags: [], internalDate: 0 });
  const all = async () => {
    for (
      let due = await store.dueSearchTexts(tenant, 100);
      due;
      due = await store.dueSearchTexts(tenant, 100)
    ) {
      const texts = due.messages.filter(({ index }) => index !== null);
      await store.recordSearchTexts(
        tenant,
        texts.map(({ object }) => ({
          object,
          texts: [{ where: 'body', text: 'private' }],
          whole: '\0private',
        })),
        due.messages.map(({ object }) => object),
        due.filled,
      );
    }
    return (await store.searchTextState(tenant))!;
  };
  expect(await all()).toMatchObject({ indexed: 1, waiting: 0 });
  expect(await store.searchText(tenant, message.object.object)).toBe('\0private');
  await arrives(77, [], true);
  expect(await store.searchText(tenant, message.object.object)).toBe(null);
  expect(await all()).toMatchObject({ indexed: 0, waiting: 0 });
});
