/** Seals, completion and renewal over months, with a clock that is moved and authorities that fail when told to. */
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AlgorithmPolicy } from '../../src/evidence/ers/algorithm-policy.ts';
import { verifyEvidenceRecord } from '../../src/evidence/ers/verify-record.ts';
import { entryGroup } from '../../src/evidence/groups.ts';
import { recordOfEntry } from '../../src/evidence/record-of.ts';
import { silentLog } from '../../src/observe/log.ts';
import { timestampVerifier } from '../../src/pki/timestamp.ts';
import { type Preservation, startPreservation } from '../../src/preservation/preservation.ts';
import { renewDue } from '../../src/preservation/renew.ts';
import { renewalWorkshop } from '../../src/preservation/renewal-work.ts';
import type { TimestampAuthority } from '../../src/simulator/timestamp-authority.ts';
import type { Store } from '../../src/store/store.ts';
import { DAY, lasting, openSealedWorld, type SealedWorld, submit } from './sealed-store.ts';

let world: SealedWorld;
let store: Store;
let told: string[];

beforeEach(async () => {
  world = await openSealedWorld();
  store = await world.openStore();
  told = [];
});

afterEach(async () => {
  await store[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

async function start(
  settings: { policy?: AlgorithmPolicy; digest?: 'sha256' | 'sha512'; renewAhead?: number } = {},
  ...order: TimestampAuthority[]
): Promise<Preservation> {
  return startPreservation({
    store,
    authorities: await world.authorities(...order),
    workshop: renewalWorkshop(world.root),
    settings: {
      every: DAY,
      alarmAfter: DAY,
      digest: 'sha256',
      renewAhead: 30 * DAY,
      policy: lasting,
      ...settings,
    },
    incidents: {
      open: (tenant, incident, text) => told.push(`${tenant} ${incident}: ${text.en}`),
      close: () => {},
    },
    clock: world.clock,
    log: silentLog(),
  });
}

const kinds = async () =>
  (await store.archiveTimestamps()).map(({ id, kind, final }) => `${id} ${kind} ${final}`);

describe('seals', () => {
  it('cover all tenants on schedule, are completed a day later, and idle where nothing came', async () => {
    const preservation = await start();
    await submit(store, 'stadt', 1);
    await submit(store, 'kreis', 1);
    await preservation.look();
    expect(await store.archiveRanges(1)).toMatchObject([
      { tenant: 'kreis', from: 0, to: 2, position: 0 },
      { tenant: 'stadt', from: 0, to: 2, position: 3 },
    ]);
    expect(await kinds()).toEqual(['1 seal false']);
    world.clock.move(DAY);
    await preservation.look();
    // Only the entries that the seal itself made are new: nothing to pay for.
    expect(await kinds()).toEqual(['1 seal true']);
    await submit(store, 'stadt', 2);
    await preservation.look();
    expect((await store.archiveRanges(2)).map(({ tenant }) => tenant)).toEqual(['kreis', 'stadt']);
    expect(await preservation.status()).toMatchObject({ unsealed: 0, incomplete: 1, lastError: null });
    await preservation.close();
  });

  it('leave out an entry that does not verify, say so, and hold the others', async () => {
    const preservation = await start();
    const letter = await submit(store, 'stadt', 1);
    await submit(store, 'stadt', 2);
    const db = new Database(join(world.directory, 'store.sqlite'));
    db.exec('DROP TRIGGER entry_no_update');
    db.prepare(`UPDATE entry SET sealed = zeroblob(200) WHERE tenant = 'stadt' AND idx = ?`).run(letter);
    db.close();
    const sealed = await preservation.sealNow();
    expect(sealed!.excluded).toMatchObject([{ tenant: 'stadt', index: letter }]);
    expect(told).toEqual([expect.stringMatching(/^stadt evidence-corrupt: 1 evidence entries/)]);
    expect(await store.entry('stadt', letter + 2)).toMatchObject({
      kind: 'sealed',
      excluded: [{ index: letter }],
    });
    await preservation.close();
  });

  it('come from the next authority where one fails', async () => {
    const second = await world.startTsa();
    const preservation = await start({}, world.tsas[0]!, second);
    for (const fault of ['unavailable', 'wrong-imprint', 'expired-certificate', 'wrong-eku'] as const) {
      world.tsas[0]!.faults.add(fault);
      await submit(store, 'stadt', 1);
      const sealed = await preservation.sealNow();
      expect(sealed).toMatchObject({ authority: 'tsa-2', failures: [{ url: world.tsas[0]!.url }] });
      world.tsas[0]!.faults.clear();
    }
    await preservation.close();
  });

  it('are an alarm where none can be had for too long; nothing is recorded meanwhile', async () => {
    const preservation = await start();
    world.tsas[0]!.faults.add('unavailable');
    await submit(store, 'stadt', 1);
    await preservation.look();
    expect(await store.archiveTimestamps()).toEqual([]);
    expect(told).toEqual([]);
    world.clock.move(DAY + 60_000);
    await preservation.look();
    expect(told).toEqual(
      expect.arrayContaining([
        expect.stringMatching(
          /^stadt evidence-unsealed: Evidence has been under no seal since 2026-01-05.*503/,
        ),
      ]),
    );
    expect(await preservation.status()).toMatchObject({
      lastSeal: null,
      lastError: expect.stringMatching(/503/),
    });
    world.tsas[0]!.faults.clear();
    await preservation.look();
    expect(await preservation.status()).toMatchObject({ unsealed: 0, lastError: null });
    await preservation.close();
  });
});

describe('renewal', () => {
  const until = (name: string, day: string): AlgorithmPolicy =>
    lasting.map((rule) => (rule.name === name ? { ...rule, validUntil: new Date(day) } : rule));

  it('covers tokens ahead of the end of their signature algorithm, and says that new ones do not last', async () => {
    const policy = until('ec-dsa', '2026-06-30');
    let preservation = await start({ policy });
    await submit(store, 'stadt', 1);
    await preservation.look();
    world.clock.move(DAY);
    await preservation.look();
    expect(told).toEqual([]);
    await preservation.close();
    world.clock.move(150 * DAY);
    const rsa = await world.startTsa({ signature: 'rsa' });
    preservation = await start({ policy }, rsa);
    await preservation.look();
    expect(await kinds()).toEqual(['1 seal true', '2 timestamp-renewal false']);
    expect(await store.archiveCovers()).toMatchObject([{ id: 2, covers: 1 }]);
    await preservation.close();
    const before = await start({ policy: until('rsa', '2026-06-20') }, rsa);
    world.clock.move(DAY);
    await before.look();
    expect(told).toEqual(
      expect.arrayContaining([expect.stringMatching(/^stadt evidence-authority: .* until 2026-06-/)]),
    );
    await before.close();
  });

  it('reads everything under another digest before one ends, and leaves out what broke', async () => {
    const letter = await submit(store, 'stadt', 1);
    await submit(store, 'stadt', 2);
    const first = await start();
    await first.look();
    world.clock.move(DAY);
    await first.look();
    await first.close();
    const db = new Database(join(world.directory, 'store.sqlite'));
    db.exec('DROP TRIGGER entry_no_update');
    db.prepare(`UPDATE entry SET sealed = zeroblob(200) WHERE tenant = 'stadt' AND idx = ?`).run(letter);
    db.close();
    const preservation = await start({ digest: 'sha512', policy: until('sha256', '2026-01-20') });
    world.clock.move(3_600_000);
    await preservation.look();
    expect(await kinds()).toContain('2 hash-tree-renewal false');
    expect(await store.archiveExcluded(2)).toMatchObject([{ tenant: 'stadt', index: letter }]);
    expect((await store.archiveLeafLists(2)).map(({ tenant }) => tenant)).toEqual(['kreis', 'stadt']);
    expect(told).toEqual(expect.arrayContaining([expect.stringMatching(/^stadt evidence-corrupt: 1 /)]));
    await preservation.close();
  });

  it('takes up a hash-tree renewal where it was cut off, and ends with the same tree as one that was not', async () => {
    for (let n = 1; n <= 5; n++) await submit(store, 'stadt', n);
    const first = await start();
    await first.look();
    world.clock.move(DAY);
    await first.look();
    await first.close();
    world.clock.move(3_600_000);
    const cut = new AbortController();
    const read: number[] = [];
    const deps = {
      store,
      authorities: await world.authorities(),
      policy: until('sha256', '2026-01-20'),
      digest: 'sha512',
      ahead: 30 * DAY,
      now: world.clock.now,
      known: new Map(),
      workshop: renewalWorkshop(world.root),
    } as const;
    const stopAt = 4;
    const onProgress = (done: number) => {
      read.push(done);
      if (done === stopAt) cut.abort();
    };
    await expect(renewDue({ ...deps, signal: cut.signal, onProgress })).rejects.toThrow(/abort/i);
    expect(read).toEqual([1, 2, 3, 4]);
    expect(await kinds()).not.toContain('2 hash-tree-renewal false');
    const [renewal] = await renewDue({ ...deps, known: new Map(), onProgress: (done) => read.push(done) });
    expect(read[stopAt]).toBe(stopAt + 1);
    expect(renewal).toMatchObject({ kind: 'hash-tree-renewal', excluded: [] });
    expect(deps.workshop.unfinished()).toBeNull();
    const record = (await recordOfEntry(store, 'stadt', 1))!;
    const { trust, revocation, policy, time } = await world.circumstances();
    const group = (await entryGroup(store, 'stadt', 1, 'sha512'))!;
    const report = await verifyEvidenceRecord({
      record,
      objects: group.map(({ name }) => ({
        name,
        digest: async (digest) =>
          (await entryGroup(store, 'stadt', 1, digest))!.find((one) => one.name === name)!.digest,
      })),
      time,
      policy,
      verifyToken: timestampVerifier({ trust, revocation }),
    });
    expect(report.checks.filter(({ result }) => result === 'failed')).toEqual([]);
    expect(report.checks.filter(({ name }) => name === 'record-objects')).toHaveLength(2);
  });
});
