/** Logs that change their key, that are held because they do not continue what was seen of them, and closed. */
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openCheckpoint } from '../../evidence/checkpoint.ts';
import type { Actor } from '../../evidence/entry.ts';
import { leafHash } from '../../evidence/merkle.ts';
import { parseProof, verifyProof } from '../../evidence/proof.ts';
import { verifyStore } from '../../evidence/verify.ts';
import type { Store } from '../store.ts';
import { openAudit } from './audit.ts';
import { openSqliteStore, storePaths } from './open.ts';

const tenant = 'stadt';
const actor: Actor = { type: 'operator', name: 'root' };
let directory: string;
let now = Date.parse('2026-03-01T08:00:00Z');

/** Stores of 4 entries, of these and 2 more, and of these and 4 others. */
const made = { small: '', grown: '', forked: '' };

beforeAll(async () => {
  const root = await mkdtemp(join(tmpdir(), 'logs-'));
  for (const name of ['small', 'grown', 'forked'] as const) made[name] = join(root, name);
  await use((store) => record(store, 3), made.small);
  for (const [name, more] of [
    ['grown', 2],
    ['forked', 4],
  ] as const) {
    await cp(made.small, made[name], { recursive: true });
    await use((store) => record(store, more), made[name]);
  }
});
afterAll(() => rm(join(made.small, '..'), { recursive: true }));

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'logs-'));
  await cp(made.small, directory, { recursive: true });
});
afterEach(() => rm(directory, { recursive: true }));

const open = (at = directory) =>
  openSqliteStore({ directory: at, originPrefix: 'test.example', clock: () => now });
const use = async (work: (store: Store) => Promise<void>, at = directory) => {
  await using store = await open(at);
  await store.openTenant(tenant);
  await work(store);
};
const look = (store: Store, query = '') => store.recordAccess(tenant, { actor, action: 'search', query });
const record = async (store: Store, times: number) => {
  for (let i = 0; i < times; i++) await look(store, String(i));
};
async function findings(at = directory) {
  using audit = openAudit(storePaths({ directory: at }));
  const { findings: found, closed } = await verifyStore(audit);
  return { found: found.map((f) => `${f.place}: ${f.problem}`), closed };
}

describe('a new key of a log', () => {
  it('signs from its entry on, together with the old one while both overlap', async () => {
    await use(async (store) => {
      const before = (await store.logs(tenant))[0]!;
      const { key } = await store.rotateLogKey(tenant, { actor, reason: 'yearly', overlapMs: 1000 });
      const [first, second] = (await store.logs(tenant))[0]!.keys;
      expect(first).toEqual(before.keys[0]);
      expect(second).toEqual({ after: 4, key });
      const both = (await store.head(tenant)).checkpoint;
      expect(openCheckpoint(both, first!.key).size).toBe(5);
      expect(openCheckpoint(both, key).size).toBe(5);
      await look(store);
      expect(openCheckpoint((await store.head(tenant)).checkpoint, first!.key).size).toBe(6);
      now += 1000;
      await look(store);
      await look(store);
      const { checkpoint } = await store.head(tenant);
      expect(() => openCheckpoint(checkpoint, first!.key)).toThrow(/no valid signature/);
      expect(openCheckpoint(checkpoint, key).size).toBe(8);
      // What was signed before stays verifiable, by a key that the log itself names.
      expect(openCheckpoint(before.note, first!.key).size).toBe(4);
    });
    expect(await findings()).toEqual({ found: [], closed: [] });
    await use((store) => look(store));
    expect(await findings()).toEqual({ found: [], closed: [] });
  });

  it('replaces a stolen one at once', async () => {
    await use(async (store) => {
      const old = (await store.logs(tenant))[0]!.keys[0]!.key;
      await store.rotateLogKey(tenant, { actor, reason: 'stolen', overlapMs: 0 });
      expect(openCheckpoint((await store.head(tenant)).checkpoint, old).size).toBe(5);
      await look(store);
      const { checkpoint } = await store.head(tenant);
      expect(() => openCheckpoint(checkpoint, old)).toThrow(/no valid signature/);
    });
    // A checkpoint under the stolen key, for entries after it was replaced, is no checkpoint.
    const db = new Database(join(directory, 'store.sqlite'));
    db.exec('DROP TRIGGER log_key_no_delete; DELETE FROM log_key');
    db.close();
    expect((await findings()).found).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^log key: the table of keys is not what the entries say/),
      ]),
    );
  });

  it('is missed where its file is gone, and named where the database says another', async () => {
    await use(async (store) => {
      await store.rotateLogKey(tenant, { actor, reason: 'yearly', overlapMs: 0 });
    });
    const keys = join(directory, 'keys');
    const name = (await readdir(keys)).find((file) => /log-/.test(file))!;
    await writeFile(join(keys, name), await readFile(join(keys, `${tenant}.log.key`)));
    expect((await findings()).found).toEqual([
      expect.stringMatching(/^log key: the log names .*, the key folder holds/),
    ]);
    await rm(join(keys, name));
    expect((await findings()).found).toEqual([expect.stringMatching(/^log key: its file is missing/)]);
  });
});

describe('a log that does not continue what was seen of it', () => {
  /** An older database under the newer checkpoint. */
  async function rolledBack(): Promise<void> {
    await cp(made.grown, directory, { recursive: true });
    await cp(join(made.small, 'store.sqlite'), join(directory, 'store.sqlite'));
  }

  it.each([
    ['an older database that was put back', rolledBack, /signs 6 entries, the database has 4 entries/],
    [
      'a database whose newest entries were cut off',
      () => {
        const db = new Database(join(directory, 'store.sqlite'));
        db.exec('DROP TRIGGER entry_no_delete; DELETE FROM entry WHERE idx = 3');
        db.close();
      },
      /its checkpoint signs 4 entries, it has 3: the log was cut/,
    ],
    [
      'a fork that was signed with the same key',
      async () => {
        await cp(made.grown, directory, { recursive: true });
        await cp(join(made.forked, 'store.sqlite'), join(directory, 'store.sqlite'));
      },
      /the first 6 entries are not those that it signed/,
    ],
    [
      'changed tiles',
      () => {
        const db = new Database(join(directory, 'store.sqlite'));
        db.exec(`DROP TRIGGER tile_grows; UPDATE tile SET hashes = zeroblob(length(hashes))`);
        db.close();
      },
      /its tiles do not give the root/,
    ],
    [
      'a checkpoint of a key that nobody knows',
      async () => {
        const file = join(directory, 'checkpoints', tenant);
        await writeFile(file, (await readFile(file, 'utf8')).replace(/^4$/m, '9'));
      },
      /no valid signature/,
    ],
  ])('is held: %s', async (_, attack, reason) => {
    await attack();
    const kept = await readFile(join(directory, 'checkpoints', tenant), 'utf8');
    await use(async (store) => {
      expect((await store.holds(tenant)).map((hold) => hold.reason)).toContainEqual(
        expect.stringMatching(reason),
      );
      const checkpoint = (await store.logs(tenant))[0]!.note;
      await expect(look(store)).rejects.toMatchObject({ code: 'evidence-held' });
      await expect(store.setLock(tenant, { locked: true, actor, reason: '' })).rejects.toMatchObject({
        code: 'evidence-held',
      });
      await expect(store.rotateLogKey(tenant, { actor, reason: '', overlapMs: 0 })).rejects.toThrow(/held/);
      expect((await store.logs(tenant))[0]!.note).toBe(checkpoint);
      expect(await store.lock(tenant)).toMatchObject({
        actor: 'gateway',
        reason: expect.stringMatching(reason),
      });
      // What needs no entry goes on: mailboxes can be read and filed in.
      await store.ensureMailboxes(tenant, { type: 'user', name: 'e' }, [{ name: 'INBOX', specialUse: null }]);
    });
    expect(await readFile(join(directory, 'checkpoints', tenant), 'utf8')).toBe(kept);
  });

  it('holds no other tenant', async () => {
    await rolledBack();
    await using store = await open();
    await store.openTenant('dorf');
    await store.recordAccess('dorf', { actor, action: 'search', query: '' });
    expect(await store.holds('dorf')).toEqual([]);
  });

  it('goes on once the newest database is back', async () => {
    await rolledBack();
    await use(async (store) => expect(await store.holds(tenant)).toHaveLength(1));
    await cp(made.grown, directory, { recursive: true });
    await use(async (store) => {
      expect(await store.holds(tenant)).toEqual([]);
      await look(store);
    });
    expect((await findings()).found).toEqual([]);
  });

  it('is held where the database has no log of the tenant any more, and can be closed', async () => {
    for (const suffix of ['', '-wal', '-shm'])
      await rm(join(directory, `store.sqlite${suffix}`), { force: true });
    await use(async (store) => {
      expect((await store.holds(tenant))[0]!.reason).toMatch(/signs 4 entries, the database has no log/);
      await expect(look(store)).rejects.toMatchObject({ code: 'evidence-held' });
      expect((await store.closeLog(tenant, { actor, reason: 'disk lost' })).origin).toBe(
        'test.example/stadt.4',
      );
      await look(store);
    });
    expect((await findings()).found).toEqual([]);
  });

  it('cannot be closed while nothing is wrong', async () => {
    await use(async (store) => {
      await expect(store.closeLog(tenant, { actor, reason: 'why not' })).rejects.toThrow(/is not held/);
    });
  });

  it('is closed with a final note; in the next one no index means two things', async () => {
    await rolledBack();
    await use(async (store) => {
      const { origin, key } = await store.closeLog(tenant, { actor, reason: 'disk lost' });
      expect(origin).toBe('test.example/stadt.6');
      expect(await store.holds(tenant)).toEqual([]);
      expect(await store.lock(tenant)).toBe(null);
      await record(store, 300);
      const [closed, opened] = await store.logs(tenant);
      expect(closed).toMatchObject({ origin: 'test.example/stadt', base: 0, size: 4, closed: true });
      expect(opened).toMatchObject({ origin, base: 4, size: 302, closed: false, keys: [{ after: -1, key }] });
      expect(await store.entry(tenant, 4)).toMatchObject({
        kind: 'log-opened',
        predecessor: { origin: 'test.example/stadt', size: 4, reason: 'disk lost', known: [{ size: 6 }] },
      });
      expect(await store.entry(tenant, 5)).toMatchObject({ kind: 'lost', origin: 'test.example/stadt' });
      // Both logs prove their entries, each under its own origin and key.
      for (const [index, log] of [
        [2, closed!],
        [300, opened!],
      ] as const) {
        const [commitment] = await store.commitments(tenant, index, index + 1);
        const proof = parseProof((await store.proof(tenant, index))!);
        expect(proof.index).toBe(index - log.base);
        const { checkpoint } = verifyProof(
          proof,
          leafHash(commitment!),
          log.keys.map((k) => k.key),
        );
        expect(checkpoint.origin).toBe(log.origin);
      }
    });
    expect(await findings()).toEqual({
      found: [],
      closed: [{ tenant, origin: 'test.example/stadt', size: 4, known: 6, reason: 'disk lost' }],
    });
    const kept = join(directory, 'checkpoints');
    expect(await readFile(join(kept, `${tenant}.closed`), 'utf8')).toMatch(/^test.example\/stadt\n6\n/);
    expect(await readFile(join(kept, tenant), 'utf8')).toMatch(/^test.example\/stadt.6\n302\n/);
    // The state from before the closing does not come back unnoticed either.
    await use(async (store) => expect(await store.holds(tenant)).toEqual([]));
  });

  it('does not take the origin of a lost log again', async () => {
    await rolledBack();
    await use(async (store) => {
      await store.closeLog(tenant, { actor, reason: 'first' });
      await record(store, 4);
    });
    await cp(join(made.small, 'store.sqlite'), join(directory, 'store.sqlite'));
    await use(async (store) => {
      expect((await store.holds(tenant))[0]!.reason).toMatch(
        /of the log test.example\/stadt.6, which this database does not know/,
      );
      expect((await store.closeLog(tenant, { actor, reason: 'second' })).origin).toBe(
        'test.example/stadt.12',
      );
    });
    expect((await findings()).found).toEqual([]);
  });
});

describe('kept checkpoints', () => {
  it('never get smaller', async () => {
    const file = join(directory, 'checkpoints', tenant);
    const large = await readFile(file, 'utf8');
    await rm(file);
    const warnings: string[] = [];
    const store = await openSqliteStore({
      directory,
      originPrefix: 'x',
      warn: (text) => warnings.push(text),
    });
    // Comes back while the gateway runs, from a newer state.
    await writeFile(file, large.replace(/^4$/m, '44'));
    await look(store);
    await store[Symbol.asyncDispose]();
    expect(await readFile(file, 'utf8')).toMatch(/\n44\n/);
    expect(warnings).toEqual([expect.stringMatching(/holds a larger checkpoint \(44\), which stays/)]);
  });

  it('count in every folder', async () => {
    const folders = ['a', 'b'].map((name) => join(directory, name));
    const options = { directory, originPrefix: 'x', checkpointFolders: folders };
    {
      await using store = await openSqliteStore(options);
      await look(store);
    }
    await rm(join(directory, 'checkpoints'), { recursive: true });
    await rm(join(folders[0]!, tenant));
    const file = join(folders[1]!, tenant);
    await writeFile(file, (await readFile(file, 'utf8')).replace('\n5\n', '\n6\n'));
    await using store = await openSqliteStore(options);
    expect((await store.holds(tenant)).map((hold) => hold.source)).toEqual([`file ${file}`]);
  });
});
