/** Two hash-tree renewals, each with an entry that did not verify then: neither is judged by the other's. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parseEvidenceRecord } from '../../src/evidence/ers/evidence-record.ts';
import { verifyEvidenceRecord } from '../../src/evidence/ers/verify-record.ts';
import { entryGroup } from '../../src/evidence/groups.ts';
import { recordOfEntry } from '../../src/evidence/record-of.ts';
import { verifyStore } from '../../src/evidence/verify.ts';
import { timestampVerifier } from '../../src/pki/timestamp.ts';
import { renewHashTrees } from '../../src/preservation/renew.ts';
import { seal } from '../../src/preservation/seal.ts';
import { openAudit } from '../../src/store/sqlite/audit.ts';
import { storePaths } from '../../src/store/sqlite/open.ts';
import type { Store } from '../../src/store/store.ts';
import { completeAll, DAY, openSealedWorld, renewDeps, type SealedWorld, submit } from './sealed-store.ts';

const tenant = 'stadt';
let world: SealedWorld;
let store: Store;
/** Broken before the first renewal and mended after it; broken before the second; never. */
let first: number;
let second: number;
let sound: number;

beforeAll(async () => {
  world = await openSealedWorld();
  store = await world.openStore();
  const authorities = await world.authorities();
  const later = async () => {
    world.clock.move(DAY);
    await completeAll(store, authorities);
  };
  first = await submit(store, tenant, 1, 140_000);
  second = await submit(store, tenant, 2, 150_000);
  sound = await submit(store, tenant, 3);
  await seal({ store, authorities, digest: 'sha256' });
  await later();
  const seals = await store.archiveTimestamps();
  for (const [index, digest] of [
    [first, 'sha384'],
    [second, 'sha512'],
  ] as const) {
    const mend = await breakFile(index);
    const { excluded } = await renewHashTrees(renewDeps(world, store, authorities, digest), seals);
    expect(excluded).toMatchObject([{ tenant, index }]);
    await mend();
    await later();
  }
});
afterAll(async () => {
  await store[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

/** Flips a byte of the file of an entry's message; returns what puts it back. */
async function breakFile(index: number): Promise<() => Promise<void>> {
  const entry = await store.entry(tenant, index);
  const object = entry?.kind === 'submission' ? entry.message.object : '';
  const uid = database((db) =>
    db.prepare('SELECT hex(uid) FROM object WHERE object = ?').pluck().get(object),
  );
  const name = String(uid).toLowerCase();
  const file = join(world.directory, 'objects', tenant, name.slice(0, 2), name);
  const bytes = await readFile(file);
  const broken = Buffer.from(bytes);
  broken[100_000]! ^= 1;
  await writeFile(file, broken);
  return () => writeFile(file, bytes);
}

function database<T>(work: (db: Database.Database) => T): T {
  const db = new Database(join(world.directory, 'store.sqlite'));
  try {
    return work(db);
  } finally {
    db.close();
  }
}

async function verify() {
  using audit = openAudit(storePaths({ directory: world.directory }));
  const { findings, undecided } = await verifyStore(audit, { archive: await world.circumstances() });
  const lines = (list: typeof findings) => list.map((f) => `${f.tenant}: ${f.place}: ${f.problem}`);
  return { findings: lines(findings), undecided: lines(undecided) };
}

const leftOut = () => [
  expect.stringMatching(new RegExp(`^stadt: entry ${first}: archive timestamp 2 does not cover it: `)),
  expect.stringMatching(new RegExp(`^stadt: entry ${second}: archive timestamp 3 does not cover it: `)),
];

it('leave out what did not verify then, and nothing else', async () => {
  expect(await verify()).toEqual({ findings: [], undecided: leftOut() });
});

it('name what broke since by its object alone', async () => {
  const mend = await breakFile(second);
  const { findings, undecided } = await verify();
  await mend();
  expect(findings).toEqual([expect.stringMatching(/^stadt: object [0-9a-f]{64}: its bytes do not decrypt/)]);
  expect(undecided).toEqual(leftOut());
});

it.each([
  ['the first left out', () => first, 2],
  ['the second left out', () => second, 2],
  ['neither did', () => sound, 3],
])('give a record that verifies of what %s', async (_, index, chains) => {
  const record = (await recordOfEntry(store, tenant, index()))!;
  const parsed = parseEvidenceRecord(record);
  expect(parsed.ok && parsed.record.chains.length).toBe(chains);
  const { trust, revocation, policy, time } = await world.circumstances();
  const names = (await entryGroup(store, tenant, index(), 'sha256'))!.map(({ name }) => name);
  const report = await verifyEvidenceRecord({
    record,
    objects: names.map((name) => ({
      name,
      digest: async (digest) =>
        (await entryGroup(store, tenant, index(), digest))!.find((one) => one.name === name)!.digest,
    })),
    time,
    policy,
    verifyToken: timestampVerifier({ trust, revocation }),
  });
  expect(report.checks.filter(({ result }) => result !== 'passed')).toEqual([]);
});

it('are named where one says of an entry that it left it out, or does not say so any more', async () => {
  database((db) => {
    db.exec('DROP TRIGGER archive_excluded_no_update; DROP TRIGGER archive_excluded_no_delete');
    db.prepare('UPDATE archive_excluded SET idx = ? WHERE idx = ?').run(sound, first);
  });
  const { findings } = await verify();
  database((db) => db.prepare('UPDATE archive_excluded SET idx = ? WHERE idx = ?').run(first, sound));
  expect(findings).toEqual(
    expect.arrayContaining([
      expect.stringMatching(/^stadt: archive timestamp 2: what it leaves out is/),
      expect.stringMatching(
        new RegExp(`archive timestamp 2: entry stadt/${first} is not what was time-stamped`),
      ),
    ]),
  );
});
