/** Backups and the second copy of a real store: what comes back, what is said to be missing, what is held. */
import { createHash } from 'node:crypto';
import { copyFileSync, cpSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, readdir, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { verifyStore } from '../../src/evidence/verify.ts';
import { createIndexer } from '../../src/mime/structure.ts';
import { generationsIn, manifestFile } from '../../src/preservation/backup-folder.ts';
import { localBackupKey } from '../../src/preservation/backup-key.ts';
import { restoreBackup } from '../../src/preservation/backup-restore.ts';
import { verifyBackup } from '../../src/preservation/backup-verify.ts';
import { type Copies, startCopies } from '../../src/preservation/copies.ts';
import { type CopyMode, epochsIn, readSegment } from '../../src/preservation/journal.ts';
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

  it('is made beside a damaged one, which is named; what an attempt left behind goes', async () => {
    await withStore(null, async (store, copies) => {
      await submit(store, 1);
      await copies.backUp();
      const [first] = await generationsIn(at('backup'));
      for (const name of ['packs/0a.pack', 'packs/0b.pack.part', 'generations/0c.patch'])
        writeFileSync(at('backup', name), 'cut off');
      await copies.backUp();
      expect(await readdir(at('backup', 'packs'))).not.toContain('0a.pack');
      expect((await readdir(at('backup', 'generations'))).sort().join()).not.toContain('0c');
      const newest = (await generationsIn(at('backup'))).at(-1)!;
      const file = manifestFile(at('backup'), newest);
      writeFileSync(file, readFileSync(file).fill(0, 40, 60));
      await expect(copies.backUp()).rejects.toThrow(file);
      const all = await generationsIn(at('backup'));
      expect(all).toHaveLength(3);
      expect(all[0]).toBe(first);
      const key = localBackupKey(at('data', 'keys'));
      expect((await verifyBackup(at('backup'), key)).map(({ generation }) => generation)).toEqual([newest]);
    });
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

describe('an erasure beside both copies', () => {
  const actors = [{ type: 'gateway', name: 'gateway' }] as const;
  const rule = { class: 'k', legalBasis: 'x', copies: 'remove', actors } as const;

  /** The letter's wrapped keys and sealed contents, and what stands of it in clear. */
  function secretsOf(letter: number): Buffer[] {
    const db = new Database(at('data', 'store.sqlite'), { readonly: true });
    try {
      const row = db
        .prepare('SELECT key, sealed FROM entry WHERE tenant = ? AND idx = ?')
        .get(tenant, letter);
      const { key, sealed } = row as { key: Buffer; sealed: Buffer };
      // SQLite spreads what is long over pages.
      return [key, sealed.subarray(0, 64), Buffer.from('<66@stadt.example>')];
    } finally {
      db.close();
    }
  }

  /** Which of them lie in a page: of the database, free ones too, and of its write-ahead log. */
  const inFiles = (secrets: readonly Buffer[]) =>
    ['', '-wal'].flatMap((suffix) => {
      const file = at('data', `store.sqlite${suffix}`);
      const bytes = existsSync(file) ? readFileSync(file) : Buffer.alloc(0);
      return secrets.filter((one) => bytes.includes(one));
    });

  /** The same in the commits that the second copy still holds. */
  async function inSecondCopy(secrets: readonly Buffer[]): Promise<number> {
    const key = localBackupKey(existsSync(at('safe')) ? at('safe') : at('data', 'keys'));
    let found = 0;
    for (const { epoch, firsts } of await epochsIn(at('second')))
      for (const first of firsts)
        await readSegment(at('second'), epoch, first, key, async ({ records }) => {
          for await (const { images } of records())
            found += secrets.filter((one) => Buffer.from(images).includes(one)).length;
        });
    return found;
  }

  async function eraseBeside(work: (copies: Copies) => Promise<void> = async () => undefined) {
    let secrets: Buffer[] = [];
    await withStore('before-250', async (store, copies) => {
      const stays = await submit(store, 1);
      const letter = await submit(store, 66, large);
      await copies.backUp();
      secrets = secretsOf(letter);
      expect(new Set(inFiles(secrets)).size).toBe(3);
      const recipients = ['max@buerger.de-mail.example'];
      await store.expireRecipients(tenant, { letter, transaction: 0, recipients, lastReply: '' });
      expect(await store.erase(tenant, { letters: [letter], ...rule })).toMatchObject({ refused: [] });
      expect(await store.entry(tenant, stays)).not.toBeNull();
      await work(copies);
    });
    return secrets;
  }

  it('is in what the copies give back: keys, rows and the object are in no page of it', async () => {
    const secrets = await eraseBeside();
    expect(inFiles(secrets)).toEqual([]);
    await loseDisk();
    expect(await restore()).toMatchObject({ complete: true, missingObjects: [] });
    expect(inFiles(secrets)).toEqual([]);
    expect(
      (await readdir(at('data'), { recursive: true })).filter((n) => /objects.*[0-9a-f]{32}/.test(n)),
    ).toEqual([]);
    expect(await findings()).toEqual([]);
  });

  it('is replayed over a backup from before it, by the journal on the other host', async () => {
    const secrets = await eraseBeside();
    cpSync(at('data', 'checkpoints'), at('other-host'), { recursive: true });
    await loseDisk();
    await restore(false);
    expect(inFiles(secrets)).not.toEqual([]);
    {
      const options = { directory: at('data'), originPrefix: 'test.example' };
      await using store = await openSqliteStore({ ...options, checkpointFolders: [at('other-host')] });
      // Held: nothing can be said, so nothing is erased yet.
      expect((await store.holds(tenant)).length).toBeGreaterThan(0);
      const by = { actor: { type: 'operator', name: 'op' }, reason: 'disk lost' } as const;
      await store.closeLog(tenant, by);
      // The letter was open in that backup: in doubt, until the provider or a person has settled it.
      const [, doubt] = await store.openTransactions(tenant);
      expect(doubt).toMatchObject({ state: 'in-doubt' });
      const { letter, transaction } = doubt!;
      const recipients = ['max@buerger.de-mail.example'];
      await store.settleHandover(tenant, {
        ...{ letter, transaction, recipients, decision: 'abandoned', by: 'operator', ...by, notices: [] },
      });
    }
    {
      await using store = await openSqliteStore({
        ...{ directory: at('data'), originPrefix: 'test.example', checkpointFolders: [at('other-host')] },
      });
      const [gone] = (await store.search({ tenant, messageId: '<66@stadt.example>' })).map(
        ({ index }) => index,
      );
      expect(gone).toBeUndefined();
    }
    expect(inFiles(secrets)).toEqual([]);
    expect(await findings()).toEqual([]);
  });

  it('leaves both copies with the generations from before it', async () => {
    const secrets = await eraseBeside(async (copies) => {
      // Two are kept: then no kept one, and no commit that one of them needs, is from before.
      for (let n = 0; n < 3; n++) await copies.backUp();
    });
    expect(await inSecondCopy(secrets)).toBe(0);
    const objects = (await readdir(at('backup', 'objects'), { recursive: true })).filter((n) =>
      /[0-9a-f]{32}$/.test(n),
    );
    expect(objects).toEqual([]);
    await loseDisk();
    for (const generation of await generationsIn(at('backup'))) {
      await restore(false, generation);
      expect(inFiles(secrets)).toEqual([]);
      await rm(at('data'), { recursive: true });
    }
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
