/** Logs as Go sees them: notes, tiles, proofs and cosignatures verify with golang.org/x/mod, which shares no code with ours. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import type { Actor } from '../../src/evidence/entry.ts';
import { silentLog } from '../../src/observe/log.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import { startTransparency } from '../../src/transparency/start.ts';
import { startWitness } from '../../src/transparency/witness.ts';

const run = promisify(execFile);
const tenant = 'stadt';
const actor: Actor = { type: 'operator', name: 'root' };
let root: string;
let program: string;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'tlog-go-'));
  program = join(root, 'follow');
  await run('go', ['build', '-o', program, join(import.meta.dirname, 'peers/tlog/follow.go')], {
    env: {
      ...process.env,
      GO111MODULE: 'off',
      GOPATH: '/usr/share/gocode',
      GOCACHE: join(root, 'cache'),
      GOFLAGS: '',
    },
  });
});
afterAll(() => rm(root, { recursive: true, force: true }));

it.each([7, 256, 700, 66_000])('a log of %d entries', async (entries) => {
  await using opened = new AsyncDisposableStack();
  const directory = join(root, String(entries));
  const store = opened.use(await openSqliteStore({ directory, originPrefix: 'gateway.example' }));
  const record = async (count: number) => {
    const look = () => store.recordAccess(tenant, { actor, action: 'search', query: '' });
    for (let left = count; left > 0; left -= 1000)
      await Promise.all(Array.from({ length: Math.min(left, 1000) }, look));
  };
  await store.openTenant(tenant);
  await record(Math.floor(entries / 3));
  const older = await store.head(tenant);
  const [{ origin, keys } = { origin: '', keys: [] }] = await store.logs(tenant);
  const witness = opened.use(
    await startWitness(
      {
        name: 'nachbar.example/witness',
        directory: join(directory, 'witness'),
        listen: { address: '127.0.0.1', port: 0 },
        logs: [{ origin, keys: keys.map(({ key }) => key) }],
      },
      silentLog(),
    ),
  );
  opened.use(
    await startTransparency({
      store,
      tenants: [tenant],
      originPrefix: 'gateway.example',
      log: silentLog(),
      config: {
        checkpointFolders: [],
        tiles: { directory: join(directory, 'tiles') },
        interval: 1,
        witnesses: [{ url: `http://127.0.0.1:${witness.port}`, key: witness.key, trustAnchors: [] }],
      },
    }),
  );
  await record(entries - 1 - Math.floor(entries / 3));
  const folder = join(directory, 'tiles', tenant);
  await vi.waitUntil(
    async () =>
      (await readFile(join(folder, 'checkpoint'), 'utf8').catch(() => '')).split('\n')[1] === String(entries),
    { timeout: 300_000 },
  );
  const at = (name: string) => join(directory, name);
  const index = entries - 3;
  const [commitment] = await store.commitments(tenant, index, index + 1);
  const path = await store.consistency(tenant, 1, older.size, entries);
  await writeFile(at('older'), older.checkpoint);
  await writeFile(at('consistency'), path.map((hash) => `${hash.toString('base64')}\n`).join(''));
  await writeFile(at('proof'), (await store.proof(tenant, index))!);
  const go = (...changed: [number, string][]) => {
    const args = [
      folder,
      keys[0]!.key,
      witness.key,
      at('older'),
      at('consistency'),
      at('proof'),
      Buffer.from(commitment!).toString('hex'),
    ];
    for (const [i, value] of changed) args[i] = value;
    return run(program, args).then(
      ({ stdout }) => stdout,
      (error: { stdout: string }) => error.stdout,
    );
  };
  expect(await go()).toBe(`ok ${entries} entries, 2 signatures, consistent with ${older.size}\n`);
  // And it would tell.
  expect(await go([6, '00'.repeat(32)])).toMatch(/^FAILED/);
  expect(await go([2, keys[0]!.key])).toMatch(/^FAILED/);
});
