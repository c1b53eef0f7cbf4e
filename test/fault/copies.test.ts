/** Backups and the second copy of a real store: what comes back, what is said to be missing, what is held. */
import { createHash } from 'node:crypto';
import { copyFileSync, cpSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, readdir, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { verifyStore } from '../../src/evidence/verify.ts';
import { createIndexer } from '../../src/mime/structure.ts';
import { generationsIn } from '../../src/preservation/backup-folder.ts';
import { localBackupKey } from '../../src/preservation/backup-key.ts';
import { restoreBackup } from '../../src/preservation/backup-restore.ts';
import { verifyBackup } from '../../src/preservation/backup-verify.ts';
import { type Copies, startCopies } from '../../src/preservation/copies.ts';
import { type CopyMode, epochsIn } from '../../src/preservation/journal.ts';
import { openAudit } from '../../src/store/sqlite/audit.ts';
import { openSqliteStore, storePaths } from '../../src/store/sqlite/open.ts';
import type { Store } from '../../src/store/store.ts';

const tenant = 'stadt';
const actor = { type: 'user', name: 'erika@stadt.example' } as const;
let root: string;
const at = (...names: string[]) => join(root, ...names);
const paths = () => storePaths({ directory: at('data') });

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'copies-'));
});
afterEach(() => rm(root, { recursive: true }));

async function withStore(
  mode: CopyMode | null,
  work: (store: Store, copies: Copies) => Promise<void>,
): Promise<void> {
  await using copies = startCopies(paths(), {
    backup: { directory: at('backup'), keep: 2, every: 86_400_000 },
    secondCopy:
      mode === null ? null : { directory: at('second'), mode, alarmAfter: 60_000, patience: 60_000 },
    recoveryCertificates: [],
  });
  await using store = await openSqliteStore({
    directory: at('data'),
    originPrefix: 'test.example',
    feed: copies.feed,
  });
  await store.openTenant(tenant);
  await work(store, copies);
}

async function submit(store: Store, n: number, size = 200): Promise<number> {
  const bytes = Buffer.from(
    `Message-ID: <${n}@stadt.example>\r\nSubject: ${n}\r\n\r\n${createHash('sha256')
      .update(String(n))
      .digest('hex')
      .repeat(Math.ceil(size / 64))}`,
  );
  const writer = store.stage(tenant);
  const indexer = createIndexer();
  indexer.push(bytes);
  await writer.write(bytes);
  const { letter } = await store.acceptSubmission(tenant, {
    actor,
    listener: 'submission',
    envelope: { from: actor.name, recipients: [{ address: 'max@buerger.de-mail.example' }] },
    sender: 'erika@stadt.de-mail.example',
    header: { messageId: `<${n}@stadt.example>`, subject: String(n), from: actor.name, date: null },
    attachments: [],
    options: [],
    removedHeaders: [],
    transactions: [{ id: 0, privateId: `p-${n}`, to: ['max@buerger.de-mail.example'], cc: [], bcc: [] }],
    message: { object: await writer.finish(), index: indexer.finish() },
    deposits: [],
  });
  return letter;
}

/** The disk is gone; the keys and the two copies are elsewhere. */
async function loseDisk() {
  cpSync(at('data', 'keys'), at('safe'), { recursive: true });
  await rm(at('data'), { recursive: true });
}

async function restore(secondCopy = true, generation?: string) {
  cpSync(at('safe'), at('data', 'keys'), { recursive: true });
  return await restoreBackup({
    from: at('backup'),
    generation,
    secondCopy: secondCopy ? at('second') : undefined,
    key: localBackupKey(at('safe')),
    paths: paths(),
    directory: at('data'),
    now: Date.now,
  });
}

async function findings() {
  using audit = openAudit(paths());
  // Checkpoints of elsewhere went with the disk here.
  return (await verifyStore(audit)).findings
    .map((f) => `${f.place}: ${f.problem}`)
    .filter((text) => !text.startsWith('checkpoint outside the database: there is none'));
}

const large = 300_000;

describe('a backup', () => {
  it('made while letters come in is the store as of its last commit, and verifies', async () => {
    await withStore(null, async (store, copies) => {
      for (let n = 0; n < 10; n++) await submit(store, n, n % 5 === 0 ? large : 2000);
      let going = true;
      const load = (async () => {
        for (let n = 100; going; n++) await submit(store, n, n % 7 === 0 ? large : 5000);
      })();
      const first = await copies.backUp();
      const second = await copies.backUp();
      going = false;
      await load;
      expect(second.seq).toBeGreaterThan(first.seq);
      expect(second.heads[0]!.size).toBeGreaterThan(first.heads[0]!.size);
    });
    await loseDisk();
    for (const generation of await generationsIn(at('backup'))) {
      const restored = await restore(false, generation);
      expect(restored).toMatchObject({
        complete: false,
        missingObjects: [],
        missingKeys: [],
        fromSecondCopy: 0,
      });
      expect(await findings()).toEqual([]);
      await rm(at('data'), { recursive: true });
    }
  });

  it('writes only what is new, and keeps what a kept generation names', async () => {
    const written: number[] = [];
    await withStore(null, async (store, copies) => {
      await Promise.all(Array.from({ length: 40 }, (_, n) => submit(store, n, 120_000)));
      for (let n = 0; n < 4; n++) await submit(store, 50 + n, large);
      for (let i = 0; i < 5; i++) {
        written.push((await copies.backUp()).written);
        await submit(store, 100 + i);
      }
    });
    // The database is copied whole, and it grows with every release; the objects outside it are written once.
    expect(written[0]! - written[1]!).toBeGreaterThan(3 * large);
    const kept = await generationsIn(at('backup'));
    expect(kept).toHaveLength(2);
    expect(await verifyBackup(at('backup'), localBackupKey(at('data', 'keys')))).toEqual([]);
    await loseDisk();
    await restore(false, kept[0]);
    expect(await findings()).toEqual([]);
  });

  it('that was changed anywhere is found out, and named', async () => {
    await withStore(null, async (store, copies) => {
      await submit(store, 1, large);
      await copies.backUp();
    });
    const key = localBackupKey(at('data', 'keys'));
    const files = (await readdir(at('backup'), { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile() && !entry.name.startsWith('key'))
      .map((entry) => join(entry.parentPath, entry.name));
    expect(files).toHaveLength(4);
    for (const file of files) {
      const whole = readFileSync(file);
      for (const place of [20, Math.floor(whole.length / 2), whole.length - 1]) {
        const changed = Buffer.from(whole);
        changed[place]! ^= 1;
        writeFileSync(file, changed);
        expect((await verifyBackup(at('backup'), key)).map(({ problem }) => problem).join()).toContain(file);
      }
      writeFileSync(file, whole.subarray(0, -1));
      expect(await verifyBackup(at('backup'), key)).not.toEqual([]);
      writeFileSync(file, whole);
    }
    expect(await verifyBackup(at('backup'), key)).toEqual([]);
    // Nothing of the messages or envelopes lies there in clear.
    for (const file of files) expect(readFileSync(file).includes('stadt.example')).toBe(false);
    await expect(
      restoreBackup({
        from: at('backup'),
        key: localBackupKey(at('other')),
        paths: storePaths({ directory: at('new') }),
        directory: at('new'),
        now: Date.now,
      }),
    ).rejects.toThrow(/is under another key/);
    expect(existsSync(at('new', 'store.sqlite'))).toBe(false);
  });
});

describe('a restore', () => {
  it('without the second copy signs nothing and holds the queue', async () => {
    await withStore(null, async (store, copies) => {
      await submit(store, 1);
      await copies.backUp();
      await submit(store, 2);
    });
    await loseDisk();
    expect(await restore(false)).toMatchObject({
      complete: false,
      queue: [{ tenant, handovers: 1, forwards: 0 }],
    });
    await withStore(null, async (store) => {
      expect((await store.holds(tenant)).map(({ source }) => source)).toEqual(['restore']);
      await expect(submit(store, 3)).rejects.toThrow();
      await store.closeLog(tenant, { actor: { type: 'operator', name: 'op' }, reason: 'disk lost' });
      expect((await store.openTransactions(tenant)).map(({ state }) => state)).toEqual(['in-doubt']);
      await submit(store, 3);
    });
    expect(await findings()).toEqual([]);
  });

  it.each(['before-250', 'after'] as const)(
    'with the second copy (%s) has everything, goes on in the same log, and holds the queue',
    async (mode) => {
      let head = 0;
      await withStore(mode, async (store, copies) => {
        await submit(store, 1, large);
        await copies.backUp();
        for (let n = 2; n < 6; n++) await submit(store, n, n % 2 === 0 ? large : 500);
        ({ size: head } = await store.head(tenant));
      });
      await loseDisk();
      const restored = await restore();
      expect(restored).toMatchObject({ complete: true, missingObjects: [] });
      expect(restored.heads[0]!.size).toBe(head);
      expect(restored.fromSecondCopy).toBeGreaterThan(3);
      await withStore(mode, async (store, copies) => {
        expect(await store.holds(tenant)).toEqual([]);
        const open = await store.openTransactions(tenant);
        expect(open.map(({ state }) => state)).toEqual(Array(5).fill('in-doubt'));
        expect(open[0]!.lastReply).toMatch(/only the provider can say/);
        await submit(store, 9);
        expect((await store.openTransactions(tenant)).at(-1)!.state).toBe('queued');
        // Another epoch: a backup leads to it.
        await copies.backUp();
      });
      expect(await findings()).toEqual([]);
      expect(await epochsIn(at('second'))).toHaveLength(2);
    },
  );

  it('with a second copy that follows on over restarts', async () => {
    await withStore('before-250', async (store, copies) => {
      await submit(store, 1);
      await copies.backUp();
    });
    for (let n = 2; n < 4; n++) await withStore('before-250', async (store) => void (await submit(store, n)));
    expect(await epochsIn(at('second'))).toHaveLength(1);
    await loseDisk();
    const restored = await restore();
    expect(restored.complete).toBe(true);
    expect(await findings()).toEqual([]);
  });

  it('says so where the store went on without the second copy', async () => {
    await withStore('before-250', async (store, copies) => {
      await submit(store, 1);
      await copies.backUp();
    });
    await withStore(null, async (store) => void (await submit(store, 2)));
    await withStore('before-250', async (store) => void (await submit(store, 3)));
    expect(await epochsIn(at('second'))).toHaveLength(2);
    await loseDisk();
    const restored = await restore();
    expect(restored.complete).toBe(false);
    expect(restored.why).toMatch(/which no backup leads to/);
    expect(await findings()).toEqual([]);
  });

  it('takes what is whole of a second copy that was cut off', async () => {
    await withStore('before-250', async (store, copies) => {
      await submit(store, 1);
      await copies.backUp();
      for (let n = 2; n < 5; n++) await submit(store, n);
    });
    await loseDisk();
    const { epoch } = (await epochsIn(at('second')))[0]!;
    const segments = (await readdir(at('second', epoch))).filter((name) => name.endsWith('.seg')).sort();
    const newest = at('second', epoch, segments.at(-1)!);
    const { length } = readFileSync(newest);
    let sizes: number[] = [];
    for (const cut of [1, 5000, Math.floor(length / 2)]) {
      copyFileSync(newest, at('whole'));
      await truncate(newest, length - cut);
      const restored = await restore();
      expect(await findings()).toEqual([]);
      sizes = [...sizes, restored.heads[0]!.size];
      await rm(at('data'), { recursive: true });
      copyFileSync(at('whole'), newest);
    }
    expect(sizes).toEqual([...sizes].sort((a, b) => b - a));
  });
});

describe('a second copy whose folder is away', () => {
  it('keeps letters from being accepted, loses none, and goes on once it is back', async () => {
    await withStore('before-250', async (store, copies) => {
      await submit(store, 1);
      await copies.backUp();
      const { epoch } = (await epochsIn(at('second')))[0]!;
      // A file where the folder was: nothing can be made below it.
      renameSync(at('second'), at('away'));
      writeFileSync(at('second'), '');
      // The segment that is open is still written; the next one cannot be begun.
      await copies.backUp().catch(() => undefined);
      const waits = submit(store, 2);
      const first = await Promise.race([waits.then(() => 'accepted'), sleep(300, 'waits')]);
      expect(first).toBe('waits');
      rmSync(at('second'));
      renameSync(at('away'), at('second'));
      expect(await waits).toBeGreaterThan(0);
      expect((await copies.status()).secondCopy).toMatchObject({ lagMs: 0, epoch });
    });
    await loseDisk();
    expect(await restore()).toMatchObject({ complete: true });
    expect(await findings()).toEqual([]);
  });
});
