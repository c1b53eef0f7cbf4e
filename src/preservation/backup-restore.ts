/**
 * Makes a store again out of a backup, and of the second copy where there is one. What comes out signs nothing and sends
 * nothing by itself: a log that may have gone on elsewhere is held, and every queue is in doubt before anything begins.
 */
import type { KeyObject } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { secretExists, writeSecret } from '../store/key-files.ts';
import { importSecrets } from '../store/keys.ts';
import { openRecoveryCopy } from '../store/recovery.ts';
import { objectFile } from '../store/sqlite/objects.ts';
import type { StorePaths } from '../store/sqlite/paths.ts';
import { configure, countCommit, migrate } from '../store/sqlite/schema.ts';
import {
  BLOCK,
  blockDigest,
  generationsIn,
  type Head,
  type Manifest,
  objectBackupFile,
  packFile,
  packName,
  patchFile,
  patchName,
  readManifest,
} from './backup-folder.ts';
import { backupKeyFile } from './backup-key.ts';
import { applyRecord, type CommitRecord, decodeRecord } from './commit-record.ts';
import { fewAtOnce } from './few-at-once.ts';
import { copiedObjects, objectName } from './journal.ts';
import { takeMirrored } from './recovery-mirror.ts';
import { applySecondCopy, noCopy, type Tail } from './restore-tail.ts';
import { openSealed, type SealedReader, syncFolder, unsealFile, writeAll } from './sealed-file.ts';

export interface RestoreOptions {
  readonly from: string;
  /** The newest where none is named. */
  readonly generation?: string | undefined;
  readonly secondCopy?: string | undefined;
  readonly key: KeyObject;
  /** Makes the tenants' key files again out of the recovery copies. */
  readonly recoveryKey?: KeyObject | undefined;
  /** Of the store to be made; its folder holds none yet. */
  readonly paths: StorePaths;
  readonly directory: string;
  readonly now: () => number;
}

export interface Restored {
  readonly generation: string;
  readonly made: string;
  /** The last commit that came back. */
  readonly seq: number;
  /** Commits that came out of the second copy. */
  readonly fromSecondCopy: number;
  /** Is every commit there that was ever acknowledged? If not, why not. */
  readonly complete: boolean;
  readonly why: string;
  readonly heads: readonly (Head & { readonly base: number; readonly log: number })[];
  /** Object files that neither copy has. */
  readonly missingObjects: readonly {
    readonly tenant: string;
    readonly object: string;
    readonly why: string;
  }[];
  readonly queue: readonly {
    readonly tenant: string;
    readonly handovers: number;
    readonly forwards: number;
  }[];
  /** Tenants whose keys are not there. */
  readonly missingKeys: readonly string[];
  readonly tookMs: number;
}

/** @throws Error naming what cannot be read; then nothing is left behind that a gateway would start on */
export async function restoreBackup(options: RestoreOptions): Promise<Restored> {
  const { from, key, paths, directory, now } = options;
  const began = now();
  if (existsSync(paths.file))
    throw new Error(`${paths.file}: there is a store already; restore into an empty folder`);
  const id = options.generation ?? (await generationsIn(from)).at(-1);
  if (id === undefined) throw new Error(`${from}: there is no generation of a backup`);
  const manifest = await readManifest(from, key, id);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const unfinished = `${paths.file}.restoring`;
  // Of a restore that was cut off.
  for (const suffix of ['-wal', '-shm']) await rm(unfinished + suffix, { force: true });
  const database = await open(unfinished, 'w+', 0o600);
  let tail: Tail;
  try {
    await writeBlocks(from, key, manifest, database);
    let last = await applyPatch(from, key, manifest, database);
    tail = { ...noCopy, seq: manifest.seq };
    if (options.secondCopy !== undefined) {
      tail = await applySecondCopy(options.secondCopy, key, manifest, database);
      last = tail.last ?? last;
    }
    await database.truncate(last.databasePages * last.pageSize);
    await database.sync();
  } finally {
    await database.close();
  }
  restoreRecovery(paths.recovery, manifest);
  if (options.secondCopy !== undefined) takeMirrored(options.secondCopy, paths.recovery);
  const objects = options.secondCopy === undefined ? new Map() : await copiedObjects(options.secondCopy);
  const db = new Database(unfinished);
  let found: Pick<Restored, 'heads' | 'missingObjects' | 'queue'>;
  try {
    const problem = db.pragma('quick_check(1)', { simple: true });
    if (problem !== 'ok') throw new Error(`${from}: generation ${id} gives no sound database: ${problem}`);
    configure(db);
    migrate(db);
    hold(db, tail, `restored from the backup ${id}`, new Date(now()).toISOString());
    found = {
      heads: db
        .prepare('SELECT tenant, origin, base, size, log FROM checkpoint ORDER BY tenant')
        .all() as Restored['heads'][number][],
      missingObjects: await restoreObjects(db, options, objects),
      queue: db
        .prepare(
          `SELECT tenant, (SELECT COUNT(*) FROM outbox o WHERE o.tenant = c.tenant) AS handovers,
             (SELECT COUNT(*) FROM forward f WHERE f.tenant = c.tenant) AS forwards
           FROM checkpoint c ORDER BY tenant`,
        )
        .all() as Restored['queue'][number][],
    };
    db.pragma('wal_checkpoint(TRUNCATE)');
  } finally {
    db.close();
  }
  const tenants = found.heads.map(({ tenant }) => tenant);
  await restoreKeys(options, tenants);
  // Only now is it a store.
  await rename(unfinished, paths.file);
  await syncFolder(directory);
  return {
    generation: id,
    made: manifest.made,
    seq: tail.seq,
    fromSecondCopy: tail.seq - manifest.seq,
    complete: tail.complete,
    why: tail.why,
    ...found,
    missingKeys: tenants.filter((tenant) => !secretExists(join(paths.keys, `${tenant}.key`))),
    tookMs: now() - began,
  };
}

async function writeBlocks(folder: string, key: KeyObject, manifest: Manifest, database: FileHandle) {
  const digest = blockDigest(key);
  const open = new Map<number, SealedReader>();
  try {
    for (const [i, place] of manifest.blocks.entries()) {
      const pack = manifest.packs[place.pack]!;
      let reader = open.get(place.pack);
      if (reader === undefined) {
        reader = await openSealed(packFile(folder, pack), key, packName(pack));
        open.set(place.pack, reader);
      }
      const block = await reader.readAt(place);
      if (digest(block) !== place.id)
        throw new Error(`${packFile(folder, pack)}: block ${place.index} is another`);
      await writeAll(database, block, i * BLOCK);
    }
  } finally {
    for (const reader of open.values()) await reader[Symbol.asyncDispose]();
  }
}

async function applyPatch(
  folder: string,
  key: KeyObject,
  { id, seq }: Manifest,
  database: FileHandle,
): Promise<CommitRecord> {
  await using file = await openSealed(patchFile(folder, id), key, patchName(id));
  let last: CommitRecord | undefined;
  for await (const chunk of file.chunks()) {
    last = decodeRecord(chunk);
    await applyRecord(database, last);
  }
  if (last?.seq !== seq) throw new Error(`${patchFile(folder, id)}: does not reach commit ${seq}`);
  return last;
}

/** Records, in the database itself, that it came out of a backup. */
function hold(db: Database.Database, { complete, why }: Tail, what: string, since: string): void {
  db.transaction(() => {
    db.prepare('UPDATE commit_count SET epoch = NULL').run();
    db.exec(countCommit);
    db.prepare(
      `INSERT INTO restored (tenant, reason) SELECT tenant, ? FROM checkpoint WHERE true
       ON CONFLICT DO UPDATE SET reason = excluded.reason`,
    ).run(`${what}: whether this was sent already, only the provider can say`);
    if (complete) return;
    db.prepare(
      `INSERT INTO log_hold (tenant, source, since, reason, known_size, known_note)
       SELECT tenant, 'restore', ?, ?, size, NULL FROM checkpoint WHERE true ON CONFLICT DO NOTHING`,
    ).run(since, `${what}; ${why}`);
  })();
}

/** Errors of the place that is restored to. */
const ours = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'EMFILE', 'ENFILE']);

async function restoreObjects(
  db: Database.Database,
  { from, key, paths }: RestoreOptions,
  copied: ReadonlyMap<string, string>,
): Promise<Restored['missingObjects']> {
  const missing: Restored['missingObjects'][number][] = [];
  const next = db.prepare(
    `SELECT tenant, uid, object FROM object INDEXED BY object_file
     WHERE inline IS NULL AND (tenant, uid) > (?, ?) ORDER BY tenant, uid LIMIT 500`,
  );
  for (let tenant = '', uid: Buffer = Buffer.alloc(0); ; ) {
    const rows = next.all(tenant, uid) as { tenant: string; uid: Buffer; object: string }[];
    await fewAtOnce(rows, async (row) => {
      const hex = row.uid.toString('hex');
      const to = objectFile(paths.objects, row.tenant, row.uid);
      const places = [objectBackupFile(from, row.tenant, hex), copied.get(`${row.tenant}/${hex}`)].filter(
        (place) => place !== undefined && existsSync(place),
      ) as string[];
      let why = 'in neither copy';
      let done = false;
      for (const place of places) {
        try {
          await unsealFile(place, to, key, objectName(row.tenant, hex));
          done = true;
          break;
        } catch (error) {
          // What the copy lacks is named and left out; where this disk is full, nothing comes back.
          if (ours.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
          why = (error as Error).message;
          await rm(to, { force: true });
        }
      }
      if (!done) missing.push({ tenant: row.tenant, object: row.object, why });
    });
    const last = rows.at(-1);
    if (last === undefined) return missing;
    ({ tenant, uid } = last);
  }
}

function restoreRecovery(folder: string, { recovery }: Manifest): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  for (const [name, content] of Object.entries(recovery)) {
    const file = join(folder, name);
    if (/^[\w.-]+$/.test(name) && !existsSync(file))
      writeFileSync(file, Buffer.from(content, 'base64'), { mode: 0o600, flush: true });
  }
}

/** Keys that are there stay; those that are not come out of the recovery copies. */
async function restoreKeys(
  { paths, key, recoveryKey }: RestoreOptions,
  tenants: readonly string[],
): Promise<void> {
  const local = backupKeyFile(paths.keys);
  mkdirSync(paths.keys, { recursive: true, mode: 0o700 });
  // Backups go on under the same key.
  if (!secretExists(local)) writeSecret(local, key.export());
  if (recoveryKey === undefined) return;
  const copies = existsSync(paths.recovery) ? readdirSync(paths.recovery) : [];
  for (const tenant of tenants) {
    if (secretExists(join(paths.keys, `${tenant}.key`)) || !copies.includes(`${tenant}.cms`)) continue;
    importSecrets(paths.keys, await openRecoveryCopy(paths.recovery, tenant, recoveryKey));
  }
}
