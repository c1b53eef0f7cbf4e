import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import type { TenantConfig } from '../config/schema.ts';
import { createIndexer } from '../mime/structure.ts';
import { silentLog } from '../observe/log.ts';
import { openSqliteStore } from '../store/sqlite/open.ts';
import type { Store } from '../store/store.ts';
import { TEXT_EDITION } from './message-text.ts';
import { startTextIndexer } from './text-indexer.ts';

const id = 'stadt';
const pace = { quietMs: 0, rest: 0 };

async function append(store: Store, mailbox: number, text: string): Promise<void> {
  const bytes = Buffer.from(`Subject: ${text}\r\n\r\n${text}\r\n`);
  const writer = store.stage(id);
  const indexer = createIndexer();
  indexer.push(bytes);
  await writer.write(bytes);
  const message = { object: await writer.finish(), index: indexer.finish() };
  await store.appendMessage(id, mailbox, { message, flags: [], internalDate: 0 });
}

it('indexes what lies there and what comes, goes on after a restart, and drops what is switched off', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'indexer-'));
  const open = () => openSqliteStore({ directory, originPrefix: 'gateway.example' });
  let store = await open();
  let searchText = true;
  const tenants = () => [{ id, searchText } as TenantConfig];
  const start = () => startTextIndexer({ store, tenants, log: silentLog(), pace });
  const becomes = (state: object | null) =>
    vi.waitFor(async () => {
      const now = await store.searchTextState(id);
      if (state === null) expect(now).toBe(null);
      else expect(now).toMatchObject(state);
    });
  try {
    await store.openTenant(id);
    const mailbox = await store.createMailbox(id, { type: 'user', name: 'e@stadt.example' }, 'INBOX');
    for (let n = 0; n < 25; n++) await append(store, mailbox.id, `alt ${n}`);
    let indexer = start();
    await becomes({ edition: TEXT_EDITION, indexed: 25, waiting: 0, filled: true });
    await append(store, mailbox.id, 'neu');
    await becomes({ indexed: 26, waiting: 0 });
    await indexer.close();

    await append(store, mailbox.id, 'nachts');
    await append(store, mailbox.id, 'nachts');
    expect(await store.searchTextState(id)).toMatchObject({ indexed: 26, waiting: 1 });
    await store[Symbol.asyncDispose]();
    store = await open();
    indexer = start();
    await becomes({ indexed: 27, waiting: 0 });

    await indexer.rebuild(id);
    await becomes({ indexed: 27, waiting: 0, filled: true });

    searchText = false;
    indexer.look();
    await becomes(null);
    await vi.waitFor(async () =>
      expect((await store.indexedMessages(id, mailbox.id, 1, 99, [])).size).toBe(0),
    );
    await indexer.close();

    // Rules of an earlier release: everything anew.
    await store.openSearchText(id, TEXT_EDITION - 1);
    searchText = true;
    indexer = start();
    await becomes({ edition: TEXT_EDITION, indexed: 27, filled: true });
    await indexer.close();
  } finally {
    await store[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  }
});
