/** Two districts whose gateways witness each other: what one signed, the other remembers. */
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { EvidenceConfig } from '../../src/config/schema.ts';
import type { Actor } from '../../src/evidence/entry.ts';
import { leafHash, rootAt } from '../../src/evidence/merkle.ts';
import { parseVerifierKey } from '../../src/evidence/note.ts';
import { parseProof, verifyProof } from '../../src/evidence/proof.ts';
import { parseTilePath, tilePath } from '../../src/evidence/tile-path.ts';
import { verifyStore } from '../../src/evidence/verify.ts';
import { systemClock } from '../../src/observe/clock.ts';
import { silentLog } from '../../src/observe/log.ts';
import { openAudit } from '../../src/store/sqlite/audit.ts';
import { openSqliteStore, storePaths } from '../../src/store/sqlite/open.ts';
import type { Store } from '../../src/store/store.ts';
import { startTransparency, type Transparency } from '../../src/transparency/start.ts';
import { type RunningWitness, startWitness } from '../../src/transparency/witness.ts';

const tenant = 'stadt';
const actor: Actor = { type: 'operator', name: 'root' };
const clock = { ...systemClock, now: () => Date.parse('2026-03-01T08:00:00Z') };
let root: string;
let opened: AsyncDisposableStack;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'districts-'));
  opened = new AsyncDisposableStack();
});
afterEach(async () => {
  await opened.disposeAsync();
  await rm(root, { recursive: true });
});

interface District {
  readonly directory: string;
  readonly origin: string;
  /** Opens the store, without the service. */
  open(): Promise<Store>;
  follow(store: Store, witness?: RunningWitness): Promise<Transparency>;
}

function district(name: string): District {
  const directory = join(root, name);
  const originPrefix = `${name}.example`;
  return {
    directory,
    origin: `${originPrefix}/${tenant}`,
    open: () =>
      openSqliteStore({
        directory,
        originPrefix,
        tilesDirectory: join(directory, 'tiles'),
        clock: clock.now,
      }),
    follow(store, witness) {
      const config: EvidenceConfig = {
        checkpointFolders: [],
        tiles: { directory: join(directory, 'tiles'), listen: { address: '127.0.0.1', port: 0 } },
        interval: 1,
        witnesses:
          witness === undefined
            ? []
            : [{ url: `http://127.0.0.1:${witness.port}`, key: witness.key, trustAnchors: [] }],
      };
      return startTransparency({ store, config, tenants: [tenant], originPrefix, log: silentLog() });
    },
  };
}

async function witnessOf(name: string, store: Store, origin: string): Promise<RunningWitness> {
  const keys = (await store.logs(tenant))[0]!.keys.map(({ key }) => key);
  const listen = { address: '127.0.0.1', port: 0 };
  return opened.use(
    await startWitness(
      {
        name: `${name}.example/witness`,
        directory: join(root, `${name}-witness`),
        listen,
        logs: [{ origin, keys }],
      },
      silentLog(),
      clock,
    ),
  );
}

const record = async (store: Store, times: number) => {
  for (let i = 0; i < times; i++)
    await store.recordAccess(tenant, { actor, action: 'search', query: String(i) });
};

/** Far longer than anything takes on a busy machine; what does not come by then is quoted. */
function until<T>(look: () => Promise<T | null | false>): Promise<T> {
  return vi.waitFor(
    async () => {
      const found = await look();
      if (found === null || found === false) throw new Error(`did not come true: ${look}`);
      return found;
    },
    { timeout: 60_000, interval: 10 },
  );
}

const cosigned = (store: Store, size: number) =>
  until(async () => {
    const found = await store.cosigned(tenant);
    return found !== null && found.size >= size && found;
  });

it('cosign each other, and their proofs carry both signatures', async () => {
  const [north, south] = [district('north'), district('south')];
  const stores = { north: opened.use(await north.open()), south: opened.use(await south.open()) };
  for (const store of Object.values(stores)) await store.openTenant(tenant);
  const inNorth = await witnessOf('north', stores.south, south.origin);
  const inSouth = await witnessOf('south', stores.north, north.origin);
  opened.use(await north.follow(stores.north, inSouth));
  opened.use(await south.follow(stores.south, inNorth));
  await record(stores.north, 600);
  await record(stores.south, 3);
  for (const [store, witness, last] of [
    [stores.north, inSouth, 600],
    [stores.south, inNorth, 3],
  ] as const) {
    await cosigned(store, last + 1);
    const [log] = await store.logs(tenant);
    const [commitment] = await store.commitments(tenant, last, last + 1);
    const proof = parseProof((await store.proof(tenant, last))!);
    const { checkpoint, cosignatures } = verifyProof(
      proof,
      leafHash(commitment!),
      log!.keys.map(({ key }) => key),
      [witness.key],
    );
    expect(checkpoint.origin).toBe(log!.origin);
    expect(cosignatures).toMatchObject([{ witness: witness.key.split('+')[0], time: clock.now() / 1000 }]);
  }
  await stores.north[Symbol.asyncDispose]();
  const stranger = inNorth.key;
  expect(await verified(north, inSouth.key)).toEqual({ findings: [], undecided: [] });
  expect(await verified(north, stranger)).toMatchObject({
    findings: [],
    undecided: [{ place: 'checkpoint with cosignatures', problem: expect.stringMatching(/none of its/) }],
  });
  // The witness's line over another checkpoint of the same log, or with another time.
  const db = new Database(join(north.directory, 'store.sqlite'));
  const note = db.prepare('SELECT note FROM cosigned').pluck().get() as string;
  const forged = note.replace(/(south.example\/witness \S{12})(.)/, (_, a, b) => a + (b === 'A' ? 'B' : 'A'));
  db.prepare('UPDATE cosigned SET note = ?').run(forged);
  db.close();
  expect((await verified(north, inSouth.key)).findings).toMatchObject([
    { place: 'checkpoint with cosignatures', problem: expect.stringMatching(/south.*does not verify/) },
  ]);
});

async function verified({ directory }: District, key: string) {
  using audit = openAudit(storePaths({ directory }));
  const { findings, undecided } = await verifyStore(audit, { witnesses: [parseVerifierKey(key)] });
  return { findings, undecided };
}

it('publish what any client of tiled logs can follow, over a restart and a lost folder', async () => {
  const north = district('north');
  const folder = join(north.directory, 'tiles', tenant);
  const store = opened.use(await north.open());
  await store.openTenant(tenant);
  const publishedSize = async () =>
    Number((await readFile(join(folder, 'checkpoint'), 'utf8').catch(() => '\n0')).split('\n')[1]);
  const published = (size: number) => until(async () => (await publishedSize()) === size);

  await using first = await north.follow(store);
  await record(store, 300);
  await published(301);
  const base = `http://127.0.0.1:${first.port}/${tenant}`;
  const tile = async (level: number | 'entries', n: number, width: number) => {
    const response = await fetch(`${base}/${tilePath({ level, n, width })}`);
    expect(response.status).toBe(200);
    expect(response.headers.get('cache-control')).toMatch(/immutable/);
    return Buffer.from(await response.arrayBuffer());
  };
  const tiles = new Map<string, Buffer>();
  for (const [level, n, width] of [
    [0, 0, 256],
    [0, 1, 45],
    [1, 0, 1],
  ] as const)
    tiles.set(`${level}/${n}`, await tile(level, n, width));
  const note = await (await fetch(`${base}/checkpoint`)).text();
  expect(note.split('\n')[2]).toBe(rootAt(301, (level, n) => tiles.get(`${level}/${n}`)!).toString('base64'));
  const bundle = await tile('entries', 1, 45);
  expect(bundle.length).toBe(45 * 34);
  expect(leafHash(bundle.subarray(2, 34))).toEqual(tiles.get('0/1')!.subarray(0, 32));

  for (const [method, path, status] of [
    ['GET', '/../store.sqlite', 404],
    ['GET', `/${tenant}/tile/0/%2e%2e/000`, 404],
    ['GET', `/${tenant}/tile/0/1`, 404],
    ['GET', `/${tenant}/tile/9/000`, 404],
    ['GET', `/${tenant}/checkpoint?x`, 404],
    ['POST', `/${tenant}/checkpoint`, 405],
    ['HEAD', `/${tenant}/checkpoint`, 200],
  ] as const)
    expect((await fetch(`http://127.0.0.1:${first.port}${path}`, { method })).status, path).toBe(status);
  await first[Symbol.asyncDispose]();

  await rm(join(north.directory, 'tiles'), { recursive: true });
  await record(store, 299);
  await using _second = await north.follow(store);
  await published(600);
  const files = (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name).slice(folder.length + 1));
  expect(files.filter((file) => file !== 'checkpoint' && parseTilePath(file) === null)).toEqual([]);
  expect(files.filter((file) => file.startsWith('tile/')).sort()).toEqual([
    'tile/0/000',
    'tile/0/001',
    'tile/0/002.p/88',
    'tile/1/000.p/2',
    'tile/entries/000',
    'tile/entries/001',
    'tile/entries/002.p/88',
  ]);
});

it('a whole machine rolled back is held by what the other district has seen, and closed', async () => {
  const north = district('north');
  const snapshot = join(root, 'snapshot');
  let witness: RunningWitness;
  {
    await using store = await north.open();
    await store.openTenant(tenant);
    witness = await witnessOf('south', store, north.origin);
    await record(store, 2);
  }
  await cp(north.directory, snapshot, { recursive: true });
  {
    await using store = await north.open();
    await using _following = await north.follow(store, witness);
    await record(store, 5);
    await cosigned(store, 8);
  }
  // Database, checkpoint files, tiles: everything of this machine is as it was.
  await rm(north.directory, { recursive: true });
  await cp(snapshot, north.directory, { recursive: true });
  await using store = await north.open();
  expect(await store.holds(tenant)).toEqual([]);
  {
    await using _following = await north.follow(store, witness);
    expect(await store.holds(tenant)).toMatchObject([
      {
        source: 'witness south.example/witness',
        knownSize: 8,
        reason: expect.stringMatching(/seen 8 entries .*has 3/),
      },
    ]);
    await expect(record(store, 1)).rejects.toMatchObject({ code: 'evidence-held' });
  }
  const { origin } = await store.closeLog(tenant, { actor, reason: 'snapshot restored' });
  expect(origin).toBe('north.example/stadt.8');
  await using _after = await north.follow(store, witness);
  await record(store, 1);
  expect(await store.holds(tenant)).toEqual([]);
});

it('a fork is not cosigned, and the gateway that made it is held', async () => {
  const north = district('north');
  let witness: RunningWitness;
  const fork = district('fork');
  {
    await using store = await north.open();
    await store.openTenant(tenant);
    witness = await witnessOf('south', store, north.origin);
  }
  await cp(north.directory, fork.directory, { recursive: true });
  {
    await using store = await north.open();
    await using _following = await north.follow(store, witness);
    await record(store, 3);
    await cosigned(store, 4);
  }
  await using store = await fork.open();
  await record(store, 9);
  await using _following = await fork.follow(store, witness);
  expect(await store.holds(tenant)).toMatchObject([
    { reason: expect.stringMatching(/first 4 entries are not those/) },
  ]);
  expect(await store.cosigned(tenant)).toBe(null);
});
