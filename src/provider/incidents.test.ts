import { mkdtemp, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { silentLog } from '../observe/log.ts';
import { createManualClock } from '../observe/testing/manual-clock.ts';
import { openSqliteStore } from '../store/sqlite/open.ts';
import type { Store } from '../store/store.ts';
import { lowSpace, startDiskWatch } from './disk.ts';
import { createIncidents, type Incidents } from './incidents.ts';
import { operatorTeller } from './notices.ts';
import { testDirectory } from './testing/tenants.ts';

const directory = testDirectory();
const said = { de: 'Störung', en: 'trouble' };
let folder: string;
let store: Store;
const clock = createManualClock();

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'incidents-'));
  store = await openSqliteStore({ directory: folder, originPrefix: 'gateway.example' });
  for (const { id } of directory.tenants) await store.openTenant(id);
});
afterEach(async () => {
  await store[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

function start(on: Store = store): Promise<Incidents> {
  const tell = operatorTeller({ store: on, directory: () => directory, hostname: 'gateway.example', clock });
  return createIncidents({ store: on, directory: () => directory, tell, log: silentLog(), clock });
}

async function told(tenant: string, login: string): Promise<number> {
  return (await store.mailbox(tenant, { type: 'user', name: login }, 'INBOX'))?.messages ?? 0;
}

it('is recorded and told once, closed without a mail, and told again when it comes back', async () => {
  const incidents = await start();
  for (let i = 0; i < 3; i += 1) incidents.open('stadt', 'account-imap', said);
  await incidents.settled();
  incidents.open('stadt', 'account-imap', said);
  await incidents.settled();
  expect(await told('stadt', 'jan@stadt.example')).toBe(1);
  expect(await told('dorf', 'erika@dorf.example')).toBe(0);
  expect(await store.incidents('stadt')).toMatchObject([{ incident: 'account-imap', text: 'Störung' }]);
  incidents.close('stadt', 'account-imap', said);
  await incidents.settled();
  expect(await store.incidents('stadt')).toEqual([]);
  expect(await told('stadt', 'jan@stadt.example')).toBe(1);
  incidents.open('stadt', 'account-imap', said);
  await incidents.settled();
  expect(await told('stadt', 'jan@stadt.example')).toBe(2);
});

it('one that ends before its beginning was recorded is recorded and told all the same', async () => {
  const incidents = await start();
  for (const name of ['first', 'second', 'third']) {
    incidents.open('stadt', name, said);
    incidents.close('stadt', name, said);
  }
  // This one goes on.
  incidents.open('stadt', 'third', said);
  await incidents.settled();
  expect(await told('stadt', 'jan@stadt.example')).toBe(3);
  expect((await store.incidents('stadt')).map(({ incident }) => incident)).toEqual(['third']);
});

it('one that was open before a restart is not told again, and can be closed', async () => {
  const before = await start();
  before.open('stadt', 'account-smtp', said);
  await before.settled();
  const after = await start();
  after.open('stadt', 'account-smtp', said);
  await after.settled();
  expect(await told('stadt', 'jan@stadt.example')).toBe(1);
  after.close('stadt', 'account-smtp', said);
  await after.settled();
  expect(await store.incidents('stadt')).toEqual([]);
});

it.each(['recordIncident', 'deliverNotice'] as const)('is tried again where %s fails', async (command) => {
  let failures = 2;
  const failing: Store = new Proxy(store, {
    get(target, name) {
      const value = Reflect.get(target, name) as unknown;
      if (name !== command || failures === 0) return value;
      return () => {
        failures -= 1;
        return Promise.reject(new Error('disk full'));
      };
    },
  });
  const incidents = await start(failing);
  incidents.open('stadt', 'disk-full', said);
  for (let i = 0; i < 3; i += 1) {
    await incidents.settled();
    await clock.advance(30_000);
  }
  await incidents.settled();
  expect(failures).toBe(0);
  expect(await told('stadt', 'jan@stadt.example')).toBe(1);
});

it('a disk that fills up is told to the operators of every tenant before it is full', async () => {
  const incidents = await start();
  let free = lowSpace;
  const disk = startDiskWatch({
    directory: () => directory,
    dataDir: folder,
    incidents,
    log: silentLog(),
    clock,
    freeBytes: async () => free,
  });
  await disk.look();
  await incidents.settled();
  expect(await told('stadt', 'jan@stadt.example')).toBe(0);
  free = lowSpace - 1;
  await disk.look();
  await incidents.settled();
  expect(await told('stadt', 'jan@stadt.example')).toBe(1);
  expect(await told('dorf', 'erika@dorf.example')).toBe(1);
  free = lowSpace * 2;
  await disk.look();
  await incidents.settled();
  expect(await store.incidents('dorf')).toEqual([]);
  disk.close();
});

it('reads the free space of the real disk', async () => {
  const incidents = await start();
  const disk = startDiskWatch({
    directory: () => directory,
    dataDir: folder,
    incidents,
    log: silentLog(),
    clock,
  });
  await disk.look();
  await incidents.settled();
  disk.close();
  const { bavail, bsize } = await statfs(folder);
  expect((await store.incidents('stadt')).length).toBe(bavail * bsize < lowSpace ? 1 : 0);
});
