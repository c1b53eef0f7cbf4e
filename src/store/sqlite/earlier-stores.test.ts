/** Stores made by earlier releases: this one must open, verify and continue each. */
import { chmod, cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { verifyStore } from '../../evidence/verify.ts';
import type { Store } from '../store.ts';
import { openAudit } from './audit.ts';
import { openSqliteStore, storePaths } from './open.ts';

const stores = fileURLToPath(new URL('../../../test/stores/', import.meta.url));
const releases = (await readdir(stores, { withFileTypes: true }))
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);

async function findings(directory: string) {
  using audit = openAudit(storePaths({ directory }));
  return (await verifyStore(audit)).findings;
}

/** Opens a copy of the store that the release made; findings are those of a verification afterwards. */
async function bringForward<T>(
  release: string,
  use: (store: Store) => Promise<T>,
): Promise<{ value: T; findings: readonly unknown[] }> {
  const directory = await mkdtemp(join(tmpdir(), 'earlier-'));
  try {
    await cp(join(stores, release), directory, { recursive: true });
    // A checkout does not keep the mode of secrets.
    for (const name of await readdir(join(directory, 'keys')))
      await chmod(join(directory, 'keys', name), 0o600);
    await using store = await openSqliteStore({ directory, originPrefix: 'unused' });
    return { value: await use(store), findings: await findings(directory) };
  } finally {
    await rm(directory, { recursive: true });
  }
}

const operator = { type: 'operator', name: 'test' } as const;

describe('a store of an earlier release', () => {
  it('is there to be tried', () => expect(releases).toEqual(expect.arrayContaining(['v1', 'v3'])));

  it.each(releases)('%s opens, verifies, and goes on', async (release) => {
    const { value, findings } = await bringForward(release, async (store) => {
      const { size } = await store.head('stadt-waren');
      await store.recordAccess('stadt-waren', { actor: operator, action: 'show', query: '' });
      return [size, (await store.head('stadt-waren')).size - size];
    });
    expect(value).toEqual([expect.any(Number), 1]);
    expect(value[0]).toBeGreaterThan(5);
    expect(findings).toEqual([]);
  });

  it('keeps its facts, and is found by what was in its letters', async () => {
    await bringForward('v1', async (store) => {
      expect((await store.facts('stadt-waren', 1)).map((f) => f.fact)).toEqual(
        expect.arrayContaining(['queued', 'handed-over', 'in-doubt', 'dispatched', 'receipt-overdue']),
      );
      const { sha256 } = (await store.submissionOf('stadt-waren', 1))!.message;
      expect((await store.search({ sha256 })).map((l) => l.index)).toEqual([1]);
    });
  });

  it('treats its private mail as private: what says so came in a later release', async () => {
    const owner = { type: 'user', name: 'erika.mustermann@stadt-waren.example' } as const;
    const { value, findings } = await bringForward('v3', async (store) => {
      const inbox = (await store.mailboxes('stadt-waren', owner)).find(({ name }) => name === 'INBOX')!;
      // Counted anew when the columns came.
      const rows = await store.messages('stadt-waren', inbox.id);
      const bytes = rows.reduce((sum, { size }) => sum + size, 0);
      expect(inbox).toMatchObject({ messages: rows.length, bytes });
      return [...(await store.privateMessages('stadt-waren', inbox.id)).keys()].sort();
    });
    // Private, retrieval confirmation asked for, and the retrieval confirmation itself; not the second one.
    expect(value).toEqual([1, 3, 4]);
    expect(findings).toEqual([]);
  });

  it('starts although an entry cannot be read, and warns of it', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'earlier-'));
    try {
      await cp(join(stores, 'v3'), directory, { recursive: true });
      for (const name of await readdir(join(directory, 'keys')))
        await chmod(join(directory, 'keys', name), 0o600);
      const db = new Database(join(directory, 'store.sqlite'));
      const index = db.prepare("SELECT MIN(idx) FROM entry WHERE kind = 'inbound'").pluck().get();
      const guard = db.prepare("SELECT sql FROM sqlite_schema WHERE name = 'entry_no_update'").pluck().get();
      db.exec(`DROP TRIGGER entry_no_update; UPDATE entry SET sealed = zeroblob(99) WHERE idx = ${index}`);
      db.exec(String(guard));
      db.close();
      const warnings: string[] = [];
      const warn = (text: string) => void warnings.push(text);
      await using store = await openSqliteStore({ directory, originPrefix: 'unused', warn });
      expect(await store.openIntents('stadt-waren')).toHaveLength(1);
      expect(warnings).toContainEqual(expect.stringMatching(`^entry stadt-waren/${index}:`));
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  it('knows which login was cut off, and no other', async () => {
    const { value } = await bringForward('v3', async (store) => {
      const open = await store.openIntents('stadt-waren');
      await store.recordLoginOutcome('stadt-waren', {
        ...{ account: 'stadt-waren', protocol: 'imap', intent: open[0]!.index },
        ...{ result: 'unknown', detail: '' },
      });
      return [open.map(({ kind }) => kind), await store.openIntents('stadt-waren')];
    });
    expect(value).toEqual([['login-intent'], []]);
  });
});
