/**
 * `node bench/backup.ts [GiB] [folder]`: a store of that size (default 1) is backed up, changed, backed up again, verified and
 * restored. Three quarters lie in files of one MiB, the rest in the database, in letters of 100 KiB. Each step is a process
 * of its own, so that its memory is its own. Takes twice the size below the folder; let the machine be idle.
 */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { cpSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createIndexer } from '../src/mime/structure.ts';
import { generationsIn, readManifest } from '../src/preservation/backup-folder.ts';
import { localBackupKey } from '../src/preservation/backup-key.ts';
import { restoreBackup } from '../src/preservation/backup-restore.ts';
import { verifyBackup } from '../src/preservation/backup-verify.ts';
import { startCopies } from '../src/preservation/copies.ts';
import { openSqliteStore, storePaths } from '../src/store/sqlite/open.ts';
import type { Store } from '../src/store/store.ts';

const tenant = 'stadt';
const KiB = 1024;
const MiB = 1024 * KiB;
const [step, root = '', size = '1'] =
  process.argv[4] === undefined ? ['all', process.argv[3], process.argv[2]] : process.argv.slice(2);
const directory = join(root, 'data');
const paths = storePaths({ directory });
const backup = join(root, 'backup');

/** @param bytes of all messages together */
async function fill(store: Store, bytes: number, each: number): Promise<void> {
  const body = randomBytes(each);
  const head = Buffer.from('Subject: x\r\n\r\n');
  for (let done = 0; done < bytes; ) {
    // Several wait for one commit, as they do when mail comes in.
    const batch = Array.from({ length: Math.min(32, Math.ceil((bytes - done) / each)) }, async () => {
      const message = Buffer.concat([head, randomBytes(32), body]);
      const writer = store.stage(tenant);
      const indexer = createIndexer();
      indexer.push(message.subarray(0, KiB));
      await writer.write(message);
      return { object: await writer.finish(), index: indexer.finish() };
    });
    done += batch.length * each;
    await Promise.all(
      batch.map(async (message) =>
        store.deliverNotice(tenant, {
          letter: null,
          about: 'incident',
          text: 'x',
          message: await message,
          deposits: [],
        }),
      ),
    );
  }
}

async function withStore<T>(work: (store: Store, backUp: () => Promise<unknown>) => Promise<T>): Promise<T> {
  await using copies = startCopies(paths, {
    backup: { directory: backup, keep: 2, every: 86_400_000 },
    secondCopy: null,
    recoveryCertificates: [],
  });
  await using store = await openSqliteStore({ directory, originPrefix: 'bench', feed: copies.feed });
  await store.openTenant(tenant);
  return await work(store, () => copies.backUp());
}

/** Each returns the bytes that it handled. */
const steps: Record<string, (total: number) => Promise<number>> = {
  async make(total) {
    await withStore(async (store) => {
      await fill(store, (total * 3) / 4, MiB);
      await fill(store, total / 4, 100 * KiB);
    });
    return total;
  },
  async backup() {
    await withStore((_, backUp) => backUp());
    return await written();
  },
  async again(total) {
    await withStore(async (store, backUp) => {
      await fill(store, total / 100, MiB);
      await backUp();
    });
    return await written();
  },
  async verify(total) {
    const findings = await verifyBackup(backup, localBackupKey(paths.keys), undefined);
    if (findings.length > 0) throw new Error(JSON.stringify(findings));
    return total;
  },
  async restore(total) {
    const key = localBackupKey(paths.keys);
    cpSync(paths.keys, join(root, 'keys'), { recursive: true });
    await rm(directory, { recursive: true });
    cpSync(join(root, 'keys'), paths.keys, { recursive: true });
    const restored = await restoreBackup({ from: backup, key, paths, directory, now: Date.now });
    if (restored.missingObjects.length + restored.missingKeys.length > 0) throw new Error('not whole');
    return total;
  },
};

async function written(): Promise<number> {
  const id = (await generationsIn(backup)).at(-1)!;
  return (await readManifest(backup, localBackupKey(paths.keys), id)).written;
}

if (step === 'all') {
  const place = await mkdtemp(join(root === '' ? tmpdir() : root, 'bench-backup-'));
  console.log('| step | bytes | time | processor | memory (peak) |\n|---|---|---|---|---|');
  try {
    for (const name of Object.keys(steps)) {
      const { stdout, stderr, status } = spawnSync(
        process.execPath,
        [import.meta.filename, name, place, String(size)],
        { encoding: 'utf8' },
      );
      if (status !== 0) throw new Error(`${name}: ${stderr}`);
      console.log(stdout.trimEnd());
    }
  } finally {
    await rm(place, { recursive: true });
  }
} else {
  const began = performance.now();
  const bytes = await steps[step!]!(Number(size) * KiB * MiB);
  const seconds = (performance.now() - began) / 1000;
  const memory = Math.round(process.resourceUsage().maxRSS / KiB);
  const { user, system } = process.cpuUsage();
  console.log(
    `| ${step} | ${(bytes / 1e9).toFixed(2)} GB | ${seconds.toFixed(1)} s | ${((user + system) / 1e6).toFixed(1)} s | ${memory} MiB |`,
  );
}
