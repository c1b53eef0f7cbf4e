/** A tenant moves: exported from one store, imported into another, and its proofs go on there. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { exportTenant } from '../../src/evidence/bundle/export-tenant.ts';
import { verifyTenant } from '../../src/evidence/bundle/verify-tenant.ts';
import { parseEvidenceRecord } from '../../src/evidence/ers/evidence-record.ts';
import { createNoteSigner } from '../../src/evidence/note.ts';
import { recordOfEntry } from '../../src/evidence/record-of.ts';
import { verifyStore } from '../../src/evidence/verify.ts';
import { importTenant, verifyForImport } from '../../src/preservation/import-tenant.ts';
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
  const verified = await verifyForImport(folder, 'stadt', await circumstances(keys));
  return await importTenant(verified, {
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
  });
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
