/** A tenant moves: exported from one store, imported into another, and its proofs go on there. */
import { generateKeyPairSync } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdtemp, readdir, readFile, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openExportFolder } from '../../src/evidence/bundle/export-folder.ts';
import { exportTenant } from '../../src/evidence/bundle/export-tenant.ts';
import { printSums } from '../../src/evidence/bundle/sums.ts';
import { bundlePath, type FullSummary, loosePaths } from '../../src/evidence/bundle/tenant-layout.ts';
import { verifyTenant } from '../../src/evidence/bundle/verify-tenant.ts';
import { readCheckpointText, signCheckpoint } from '../../src/evidence/checkpoint.ts';
import { parseEvidenceRecord } from '../../src/evidence/ers/evidence-record.ts';
import { createNoteSigner, verifierKey } from '../../src/evidence/note.ts';
import { recordOfEntry } from '../../src/evidence/record-of.ts';
import { verifyStore } from '../../src/evidence/verify.ts';
import { type ImportSettings, importTenant, verifyForImport } from '../../src/preservation/import-tenant.ts';
import { renewHashTrees, renewTokens } from '../../src/preservation/renew.ts';
import { seal } from '../../src/preservation/seal.ts';
import { loadTenantKeys, logKeyFileOf, readLogKey } from '../../src/store/keys.ts';
import { openAudit } from '../../src/store/sqlite/audit.ts';
import { openSqliteReader, openSqliteStore, storePaths } from '../../src/store/sqlite/open.ts';
import type { Store } from '../../src/store/store.ts';
import {
  completeAll,
  DAY,
  openSealedWorld,
  renewDeps,
  type SealedWorld,
  submit,
} from '../flow/sealed-store.ts';

let world: SealedWorld;
let whole: string;
/** After the first seal: what most attacks need. */
let small: string;
let logKeys: string[];

async function exported(directory: string, to: string): Promise<void> {
  using reader = openSqliteReader(storePaths({ directory }));
  const keys = join(directory, 'keys');
  const log = (await reader.logs('stadt')).at(-1)!;
  const key = log.keys.at(-1)!.key;
  const { privateKey } = readLogKey(logKeyFileOf(keys, 'stadt', key));
  await exportTenant(reader, 'stadt', to, {
    signer: createNoteSigner(log.origin, privateKey),
    addressKey: loadTenantKeys(keys, 'stadt', false).address.export(),
  });
}

async function circumstances(keys: readonly string[] = logKeys) {
  return { ...(await world.circumstances()), logKeys: keys };
}

async function imported(folder: string, directory: string, keys = logKeys) {
  return await importTenant(
    await verifyForImport(folder, 'stadt', await circumstances(keys)),
    settings(directory),
  );
}

function settings(directory: string): ImportSettings {
  return {
    directory,
    paths: storePaths({ directory }),
    originPrefix: 'new.example',
    tenant: 'stadt',
    actor: { type: 'operator', name: 'erika' },
    reason: 'the office moves',
    now: world.clock.now,
    warn: (text) => {
      throw new Error(text);
    },
  };
}

async function verify(directory: string) {
  using audit = openAudit(storePaths({ directory }));
  const { findings, undecided } = await verifyStore(audit, { archive: await world.circumstances() });
  const lines = (list: typeof findings) => list.map((f) => `${f.tenant}: ${f.place}: ${f.problem}`);
  return { findings: lines(findings), undecided: lines(undecided) };
}

async function later(store: Store): Promise<void> {
  world.clock.move(DAY);
  await completeAll(store, await world.authorities());
}

const sealNow = async (store: Store) =>
  await seal({ store, authorities: await world.authorities(), digest: 'sha256' });

/** Several tenants, two seals renewed by time-stamp and by hash tree, a changed log key, an erased letter. */
beforeAll(async () => {
  world = await openSealedWorld();
  await using store = await world.openStore();
  const authorities = await world.authorities();
  for (let n = 1; n <= 3; n++) await submit(store, 'stadt', n, n === 1 ? 200_000 : 0);
  await submit(store, 'kreis', 1);
  const erasable = await submit(store, 'stadt', 9);
  await store.expireRecipients('stadt', {
    letter: erasable,
    transaction: 0,
    recipients: ['max@buerger.de-mail.example'],
    lastReply: '450',
  });
  await sealNow(store);
  await later(store);
  small = join(world.root, 'small');
  await exported(world.directory, small);
  await store.rotateLogKey('stadt', {
    actor: { type: 'operator', name: 'erika' },
    reason: 'yearly',
    overlapMs: 0,
  });
  await submit(store, 'stadt', 4);
  await submit(store, 'kreis', 2);
  await sealNow(store);
  await later(store);
  await renewTokens({ store, authorities }, 'sha256', await store.archiveTimestamps());
  await later(store);
  const { erased } = await store.erase('stadt', {
    letters: [erasable],
    class: 'on-demand',
    legalBasis: 'Art. 17',
    actors: [
      { type: 'operator', name: 'erika' },
      { type: 'operator', name: 'jan' },
    ],
    copies: 'remove',
  });
  expect(erased).toEqual([erasable]);
  const seals = (await store.archiveTimestamps()).filter(({ kind }) => kind === 'seal');
  await renewHashTrees(renewDeps(world, store, authorities, 'sha512'), seals);
  await later(store);
  await submit(store, 'kreis', 3);
  await submit(store, 'stadt', 5);
  await sealNow(store);
  await later(store);
  logKeys = (await store.logs('stadt')).flatMap(({ keys }) => keys.map(({ key }) => key));
  await store[Symbol.asyncDispose]();
  whole = join(world.root, 'whole');
  await exported(world.directory, whole);
}, 60_000);

afterAll(() => world[Symbol.asyncDispose]());

describe('a tenant that moves', () => {
  it('is valid as an export', async () => {
    const { verdict, checks } = await verifyTenant(whole, await circumstances());
    expect(checks.filter(({ result }) => result !== 'passed')).toEqual([]);
    expect(verdict).toBe('valid');
  });

  it('is there as it was, and its proofs go on there', async () => {
    const directory = join(world.root, 'new');
    const done = await imported(whole, directory);
    expect(done).toMatchObject({ tenant: 'stadt', erased: 2, archiveTimestamps: 5, inDoubt: 5 });
    expect(done.records).toBeGreaterThan(10);
    expect(await verify(directory)).toEqual({ findings: [], undecided: [] });
    await using store = await openSqliteStore({
      directory,
      originPrefix: 'new.example',
      clock: world.clock.now,
    });
    await store.openTenant('dorf');
    using old = openSqliteReader(storePaths({ directory: world.directory }));
    const index = (await store.resolve('<1@x>', 'stadt'))[0]!.letter;
    expect(await store.entry('stadt', index)).toEqual(await old.entry('stadt', index));
    expect(await recordOfEntry(store, 'stadt', index)).toEqual(await recordOfEntry(old, 'stadt', index));
    const [first, opened, says] = [done.entries - 1, done.entries, done.entries + 1];
    expect(await store.entry('stadt', opened)).toMatchObject({
      kind: 'log-opened',
      origin: `new.example/stadt.${opened}`,
      predecessor: { origin: 'test.example/stadt', size: opened, reason: 'the office moves' },
    });
    expect(await store.entry('stadt', says)).toMatchObject({
      kind: 'imported',
      entries: first + 1,
      erased: 2,
    });

    await submit(store, 'stadt', 6);
    await submit(store, 'dorf', 1);
    const authorities = await world.authorities();
    await sealNow(store);
    await later(store);
    const heads = (await store.archiveTimestamps()).slice(-3);
    await renewTokens({ store, authorities }, 'sha256', [heads[2]!]);
    await later(store);
    const seals = (await store.archiveTimestamps()).filter(({ kind }) => kind === 'seal');
    await renewHashTrees(renewDeps(world, store, authorities, 'sha512'), seals);
    await later(store);
    await renewTokens({ store, authorities }, 'sha512', (await store.archiveTimestamps()).slice(-1));
    await later(store);
    await store[Symbol.asyncDispose]();
    expect(await verify(directory)).toEqual({ findings: [], undecided: [] });
    using reader = openSqliteReader(storePaths({ directory }));
    const record = await recordOfEntry(reader, 'stadt', index);
    // Time-stamp and hash-tree renewal there; here a hash-tree renewal, and the renewal of its time-stamp.
    const parsed = parseEvidenceRecord(record!);
    expect(parsed.ok && parsed.record.chains.map((chain) => chain.length)).toEqual([2, 1, 2]);
    expect(await recordOfEntry(reader, 'stadt', says)).not.toBeNull();
  }, 60_000);

  it('moves on to a third store, with what the second one added', async () => {
    const again = join(world.root, 'again');
    await exported(join(world.root, 'new'), again);
    using second = openSqliteReader(storePaths({ directory: join(world.root, 'new') }));
    const keys = (await second.logs('stadt')).at(-1)!.keys.map(({ key }) => key);
    // The newest key alone: the logs before it are stated by the one that went on.
    const { verdict, checks } = await verifyTenant(again, await circumstances(keys));
    expect(checks.filter(({ result }) => result !== 'passed')).toEqual([]);
    expect(verdict).toBe('valid');
    const directory = join(world.root, 'third');
    await imported(again, directory, keys);
    expect(await verify(directory)).toEqual({ findings: [], undecided: [] });
    using third = openSqliteReader(storePaths({ directory }));
    const index = (await third.resolve('<1@x>', 'stadt'))[0]!.letter;
    expect(await recordOfEntry(third, 'stadt', index)).toEqual(await recordOfEntry(second, 'stadt', index));
  }, 60_000);
});

describe('the part of a tree that came along', () => {
  it.each([
    [
      'a changed node',
      'UPDATE archive_node SET hashes = randomblob(length(hashes)) WHERE id = 1 AND level = 0',
      /archive timestamp 1: entry stadt\/0 is not what was time-stamped/,
    ],
    [
      'a changed node above',
      'UPDATE archive_node SET hashes = randomblob(length(hashes)) WHERE id = 1 AND level = 2',
      /archive timestamp 1/,
    ],
    [
      'a node at another level',
      'UPDATE archive_node SET level = level + 40 WHERE id = 1 AND level = 2',
      /archive timestamp 1/,
    ],
    [
      'a node at another place',
      'UPDATE archive_node SET first = first + 1 WHERE id = 1 AND level = 1',
      /archive timestamp 1/,
    ],
    ['nodes that are missing', 'DELETE FROM archive_node WHERE id = 1 AND level > 0', /archive timestamp 1/],
    [
      'nodes of nothing',
      'UPDATE archive_node SET id = 99 WHERE id = 2',
      /of archive timestamp 99: a row stands there/,
    ],
    ['another log before', `UPDATE closed_log SET note = note || 'x'`, /it says was imported is not the one/],
    [
      'a position in the old tree',
      'UPDATE archive_range SET position = position + 1 WHERE id = 1',
      /archive timestamp 1/,
    ],
  ])('is named for %s', async (_, change, said) => {
    const directory = await mkdtemp(join(world.root, 'nodes-'));
    await cp(join(world.root, 'new'), directory, { recursive: true });
    const db = new Database(join(directory, 'store.sqlite'));
    for (const table of ['archive_node', 'archive_range', 'closed_log'])
      for (const rule of ['update', 'delete']) db.exec(`DROP TRIGGER ${table}_no_${rule}`);
    db.exec(change);
    db.close();
    using audit = openAudit(storePaths({ directory }));
    const { findings } = await verifyStore(audit, { archive: null });
    expect(findings.map(({ place, problem }) => `${place}: ${problem}`).join('\n')).toMatch(said);
  });
});

describe('entries that a seal left out', () => {
  it('are named in the export, and stay named where they come to', async () => {
    const [from, to] = [join(world.root, 'excluding'), join(world.root, 'excluded')];
    await using store = await openSqliteStore({
      directory: from,
      originPrefix: 'test.example',
      clock: world.clock.now,
    });
    await store.openTenant('stadt');
    await submit(store, 'stadt', 1);
    await submit(store, 'stadt', 2);
    const unreadable: Store = {
      ...store,
      entryFiles: async (tenant, index) => {
        if (index < 2) throw new Error('it did not open');
        return await store.entryFiles(tenant, index);
      },
    };
    await sealNow(unreadable);
    await later(store);
    const keys = (await store.logs('stadt'))[0]!.keys.map(({ key }) => key);
    await expect(recordOfEntry(store, 'stadt', 1)).rejects.toThrow(
      'archive timestamp 1 left entry stadt/1 out, because it did not verify then: it did not open',
    );
    await store[Symbol.asyncDispose]();
    const folder = join(world.root, 'with-excluded');
    await exported(from, folder);
    const { verdict, checks } = await verifyTenant(folder, await circumstances(keys));
    expect(verdict).toBe('indeterminate');
    expect(checks.filter(({ result }) => result !== 'passed').map(({ reason }) => reason)).toEqual([
      'letters/000001.asice: indeterminate: no evidence record: entries 1 rest on the log alone',
      'entry 0 was left out of its seal (entry 3): it did not open',
    ]);
    await imported(folder, to, keys);
    const { findings, undecided } = await verify(to);
    expect(findings).toEqual([]);
    expect(undecided).toEqual(
      [0, 1].map((index) =>
        expect.stringMatching(`^stadt: entry ${index}: archive timestamp 1 does not cover it`),
      ),
    );
  });
});

/** A copy of the export, changed; with a list of files that fits it, as someone makes it who holds no key of the log. */
async function tampered(change: (folder: string) => Promise<void>, from = small): Promise<string> {
  const folder = await mkdtemp(join(world.root, 'tampered-'));
  await cp(from, folder, { recursive: true });
  await change(folder);
  return folder;
}

async function flip(file: string, at?: number): Promise<void> {
  const bytes = await readFile(file);
  bytes[at ?? bytes.length >> 1]! ^= 1;
  await writeFile(file, bytes);
}

/** Lists the files as they are now: who tampers may write that list too, but not sign it. */
async function listAgain(folder: string): Promise<void> {
  const read = await openExportFolder(folder);
  const files: { name: string; sha256: string }[] = [];
  for (const name of read.names)
    if (!name.startsWith('SHA256SUMS')) files.push({ name, sha256: await read.sha256(name) });
  await writeFile(join(folder, 'SHA256SUMS'), printSums(files));
}

async function edit(folder: string, change: (summary: FullSummary) => unknown): Promise<void> {
  const file = join(folder, 'tenant.json');
  const summary = JSON.parse(await readFile(file, 'utf8')) as FullSummary;
  await writeFile(file, JSON.stringify(change(summary) ?? summary));
}

describe('an export that was tampered with', () => {
  const attacks: [string, (folder: string) => Promise<void>, RegExp, 'renewed'?][] = [
    [
      'a changed byte of an entry',
      (f) => flip(join(f, loosePaths(0).entry)),
      /entry-000000\.json is not what the log has as entry 0/,
    ],
    [
      'a changed byte of a salt',
      (f) => flip(join(f, loosePaths(0).salt)),
      /entry-000000\.json is not what the log has/,
    ],
    ['a changed byte of a record', (f) => flip(join(f, loosePaths(0).record)), /entry 0: /],
    [
      'a record that was taken out',
      (f) => rm(join(f, loosePaths(0).record)),
      /record of entry 0, which stands under a seal/,
    ],
    ['a changed byte of a letter', (f) => flip(join(f, bundlePath(1)), 2_000), /000001\.asice: invalid/],
    ['a letter that was left out', (f) => rm(join(f, bundlePath(2))), /entries were left out: 2:/],
    [
      'a letter under the name of another',
      async (f) => rename(join(f, bundlePath(2)), join(f, bundlePath(3))),
      /000003\.asice holds letter 2/,
    ],
    ['a letter twice', (f) => cp(join(f, bundlePath(2)), join(f, bundlePath(77))), /is entry 2 once more/],
    ['a letter that is no bundle', (f) => writeFile(join(f, bundlePath(2)), 'PK'), /000002\.asice: /],
    [
      'entries that changed places',
      async (f) => {
        const [one, other] = [
          await readFile(join(f, loosePaths(0).entry)),
          await readFile(join(f, loosePaths(6).entry)),
        ];
        await writeFile(join(f, loosePaths(0).entry), other);
        await writeFile(join(f, loosePaths(6).entry), one);
      },
      /is not what the log has as entry/,
    ],
    [
      'a changed tile',
      (f) => flip(join(f, 'logs/1/tile/entries/000.p/7')),
      /do not lead to the signed root|does not hold the hashes/,
    ],
    [
      'a checkpoint of another signature',
      (f) => flip(join(f, 'logs/1/checkpoint'), 150),
      /test\.example\/stadt: /,
    ],
    [
      'a checkpoint that a stranger signed',
      async (f) => {
        const { privateKey, publicKey } = generateKeyPairSync('ed25519');
        const note = await readFile(join(f, 'logs/1/checkpoint'), 'utf8');
        const { origin, size, root } = readCheckpointText(note.slice(0, note.indexOf('\n\n') + 1));
        const signer = createNoteSigner(origin, privateKey);
        await writeFile(join(f, 'logs/1/checkpoint'), signCheckpoint({ origin, size, root }, signer));
        await edit(f, ({ logs }) => void logs[0]!.keys.push(verifierKey(origin, publicKey)));
      },
      /signed by none of the log keys that were given, nor/,
    ],
    [
      'a seal under a checkpoint of other entries',
      (f) => edit(f, forgeCheckpoint),
      /it is forged|does not sign the entries/,
      'renewed',
    ],
    ['a changed token', (f) => flip(join(f, 'archive/000001.tst')), /archive timestamp 1: /],
    [
      'a response of something else',
      (f) => cp(join(f, 'archive/000002.tsr'), join(f, 'archive/000001.tsr')),
      /archive timestamp 1: /,
      'renewed',
    ],
    [
      'a changed node',
      (f) => flip(join(f, 'archive/000001.nodes'), 20),
      /000001\.nodes: its nodes do not lead/,
    ],
    [
      'nodes that end too early',
      (f) => truncate(join(f, 'archive/000001.nodes'), 100),
      /000001\.nodes: it ends within/,
    ],
    [
      'a seal that was taken out',
      (f) => edit(f, (s) => ({ ...s, archive: s.archive.slice(1) })),
      /archive timestamp 1, which entry \d+ names, is missing/,
    ],
    [
      'a renewal said to cover less',
      (f) => edit(f, (s) => void s.archive.find(({ covers }) => covers.length > 1)!.covers.pop()),
      /what it covers is|other nodes than those/,
      'renewed',
    ],
    [
      'another address key',
      (f) => writeFile(join(f, 'address.key'), Buffer.alloc(32)),
      /address\.key is not what SHA256SUMS lists/,
    ],
    [
      'a file that was added',
      (f) => writeFile(join(f, 'letters/readme.txt'), 'x'),
      /letters\/readme\.txt belongs to nothing/,
    ],
    [
      'a list of files of somebody else',
      async (f) => {
        await writeFile(join(f, 'address.key'), Buffer.alloc(32));
        await listAgain(f);
      },
      /about another list of files/,
    ],
    [
      'an entry that is a link',
      async (f) => {
        await rm(join(f, loosePaths(0).entry));
        await symlink('/etc/hostname', join(f, loosePaths(0).entry));
      },
      /entry-000000\.json is a link/,
    ],
    [
      'a folder that is a link',
      async (f) => {
        await rename(join(f, 'archive'), `${f}-archive`);
        await symlink(`${f}-archive`, join(f, 'archive'));
      },
      /archive is a link/,
    ],
    [
      'a huge file in the place of an entry',
      (f) => truncate(join(f, loosePaths(0).entry), 2 ** 34),
      /entry-000000\.json has 17179869184 bytes/,
    ],
    [
      'a huge record',
      (f) => truncate(join(f, loosePaths(0).record), 2 ** 34),
      /entry-000000\.ers has 17179869184 bytes/,
    ],
    [
      'logs that do not follow one another',
      (f) => edit(f, (s) => ({ ...s, logs: [{ ...s.logs[0]!, base: 5 }] })),
      /log 1 does not follow/,
    ],
    [
      'a log with the number of a path',
      (f) => edit(f, (s) => ({ ...s, logs: [{ ...s.logs[0]!, number: '../../../etc' }] })),
      /does not have the format/,
    ],
    ['a tenant of another name', (f) => edit(f, (s) => ({ ...s, tenant: 'kreis' })), /is of tenant kreis/],
    [
      'a name that leads out of the store',
      (f) => edit(f, (s) => ({ ...s, tenant: '../stadt' })),
      /does not have the format/,
    ],
  ];

  function forgeCheckpoint({ archive }: FullSummary): void {
    // The first seal's, as if it had signed the entries of the second.
    Object.assign(archive[0]!.range!, {
      checkpoint: archive.find(({ range, number }) => number > 1 && range !== null)!.range!.checkpoint,
    });
  }

  it.each(attacks)('is refused for %s, and by name', async (_, attack, said, from) => {
    const folder = await tampered(attack, from === 'renewed' ? whole : small);
    const directory = `${folder}-store`;
    const refusal = await imported(folder, directory).then(
      () => 'imported',
      (error: Error & { checks?: { name: string; reason: string }[] }) =>
        [error.message, ...(error.checks ?? []).map(({ name, reason }) => `${name}: ${reason}`)].join('\n'),
    );
    expect(refusal).toMatch(said);
    expect(existsSync(directory)).toBe(false);
    await rm(folder, { recursive: true });
  });

  it('leaves nothing where it is changed between the look and the import', async () => {
    const directory = join(world.root, 'half');
    const changes: ((folder: string) => Promise<void>)[] = [
      (f) => flip(join(f, loosePaths(0).salt)),
      (f) => flip(join(f, 'address.key')),
      (f) => cp(join(f, bundlePath(2)), join(f, bundlePath(3))),
    ];
    for (const change of changes) {
      const folder = await tampered(async () => {});
      const verified = await verifyForImport(folder, 'stadt', await circumstances());
      await change(folder);
      await expect(importTenant(verified, settings(directory))).rejects.toThrow();
    }
    expect(await readdir(join(directory, 'keys'))).toEqual([]);
    using reader = openSqliteReader(storePaths({ directory }));
    expect(await reader.tenants()).toEqual([]);
    expect(await reader.archiveTimestamps()).toEqual([]);
    expect(
      (await readdir(join(directory, 'objects'), { recursive: true, withFileTypes: true })).filter((f) =>
        f.isFile(),
      ),
    ).toEqual([]);
    // And what failed may be done again.
    expect(await imported(whole, directory)).toMatchObject({ tenant: 'stadt' });
  });

  it('does not come where the tenant has entries, or had', async () => {
    await expect(imported(whole, world.directory)).rejects.toThrow(
      /checkpoints\/stadt is a checkpoint of stadt/,
    );
    const directory = join(world.root, 'taken');
    await cp(world.directory, directory, { recursive: true });
    await rm(join(directory, 'checkpoints'), { recursive: true });
    await expect(imported(whole, directory)).rejects.toThrow(/tenant stadt has entries/);
  });

  it('does not come from an earlier release, which has no trees', async () => {
    const folder = await tampered((f) =>
      edit(f, ({ archive: _, ...rest }) => ({ ...rest, format: 'demail-gateway/tenant-export/v1' })),
    );
    await expect(imported(folder, join(world.root, 'untouched'))).rejects.toThrow(/earlier release/);
    // It is verified as before.
    const { verdict } = await verifyTenant(folder, await circumstances());
    expect(verdict).toBe('valid');
  });
});
