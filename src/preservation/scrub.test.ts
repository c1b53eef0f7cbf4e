import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createIndexer } from '../mime/structure.ts';
import { silentLog } from '../observe/log.ts';
import { createManualClock, type ManualClock } from '../observe/testing/manual-clock.ts';
import { openSqliteStore, storePaths } from '../store/sqlite/open.ts';
import { openScrubSource } from '../store/sqlite/scrub-source.ts';
import { startScrub } from './scrub.ts';

let directory: string;
let clock: ManualClock;
let told: string[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'scrub-'));
  clock = createManualClock();
  told = [];
  await using store = await openSqliteStore({ directory, originPrefix: 'test.example' });
  for (const tenant of ['dorf', 'stadt']) {
    await store.openTenant(tenant);
    for (let n = 0; n < 5; n++)
      await store.recordAccess(tenant, {
        actor: { type: 'operator', name: 'op' },
        action: 'search',
        query: String(n),
      });
  }
  await store.ensureMailboxes('stadt', { type: 'user', name: 'e@stadt.example' }, [
    { name: 'INBOX', specialUse: null },
  ]);
  const box = await store.mailbox('stadt', { type: 'user', name: 'e@stadt.example' }, 'INBOX');
  for (const size of [100, 300_000]) {
    const bytes = Buffer.from(`Subject: x\r\n\r\n${'y'.repeat(size)}`);
    const writer = store.stage('stadt');
    const indexer = createIndexer();
    indexer.push(bytes);
    await writer.write(bytes);
    await store.appendMessage('stadt', box!.id, {
      message: { object: await writer.finish(), index: indexer.finish() },
      flags: [],
      internalDate: 0,
    });
  }
});
afterEach(() => rm(directory, { recursive: true }));

const start = (bytesPerSecond = 1_000_000) =>
  startScrub({
    open: () => openScrubSource(storePaths({ directory })),
    settings: { bytesPerSecond, within: 86_400_000 },
    file: join(directory, 'scrub.json'),
    incidents: {
      open: (tenant, incident, text) => told.push(`open ${tenant} ${incident}: ${text.en}`),
      close: (tenant, incident) => told.push(`close ${tenant} ${incident}`),
    },
    clock,
    log: silentLog(),
  });

/** Moves the clock until it holds; each look lets reads end. */
async function until(holds: () => boolean, step = 100): Promise<number> {
  let passed = 0;
  for (; !holds(); passed += step) {
    await clock.advance(step);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return passed;
}

it('reads every entry and object at the rate set, and begins again a day later', async () => {
  await using scrub = start();
  await until(() => scrub.status().lastFullRound !== null);
  expect(JSON.parse(readFileSync(join(directory, 'scrub.json'), 'utf8')).last).toMatchObject({
    entries: 12,
    objects: 2,
    findings: [],
  });
  expect(told).toContain('close stadt bit-rot');
  const first = scrub.status().lastFullRound;
  await until(() => scrub.status().lastFullRound !== first, 3_600_000);
  expect(Date.parse(scrub.status().lastFullRound!) - Date.parse(first!)).toBeGreaterThan(80_000_000);
});

it('names a flipped bit of an object file by its place, and ends the incident once it is mended', async () => {
  const file = readdirSync(join(directory, 'objects'), { recursive: true, withFileTypes: true }).find(
    (entry) => entry.isFile(),
  )!;
  const path = join(file.parentPath, file.name);
  const whole = readFileSync(path);
  const damaged = Buffer.from(whole);
  damaged[200_000]! ^= 1;
  writeFileSync(path, damaged);
  {
    await using scrub = start();
    await until(() => scrub.status().lastFullRound !== null);
    expect(scrub.status().findings).toHaveLength(1);
    expect(scrub.status().findings[0]!.problem).toMatch(/bytes 196608 to 262144/);
    expect(told.filter((text) => text.startsWith('open'))).toEqual([
      expect.stringMatching(/^open stadt bit-rot: .*stadt\/object [0-9a-f]{64}\./),
    ]);
    expect(told).toContain('close dorf bit-rot');
    writeFileSync(path, whole);
    await until(() => told.includes('close stadt bit-rot'), 3_600_000);
    expect(scrub.status().findings).toEqual([]);
  }
});

it('goes on after a restart where it was', async () => {
  {
    await using scrub = start(50_000);
    await until(() => scrub.status().entries >= 4);
    expect(scrub.status().lastFullRound).toBeNull();
  }
  const { round } = JSON.parse(readFileSync(join(directory, 'scrub.json'), 'utf8'));
  expect(round.entries).toBeGreaterThanOrEqual(4);
  await using scrub = start();
  expect(scrub.status().entries).toBe(round.entries);
  await until(() => scrub.status().lastFullRound !== null);
  expect(JSON.parse(readFileSync(join(directory, 'scrub.json'), 'utf8')).last.entries).toBe(12);
});
