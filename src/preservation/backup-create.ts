/**
 * One generation of a backup, beside a running gateway. The database file is read block by block, without any lock,
 * while commits go on and are copied into it; what the write-ahead log held when that began, and every commit until it
 * ended, is kept as a patch. Blocks and patch together are the database as of the last of these commits: a page that
 * was written meanwhile stands in the patch, one that was not is in the blocks as it was.
 */
import { type KeyObject, randomBytes } from 'node:crypto';
import { existsSync, fstatSync, read } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type Database from 'better-sqlite3';
import {
  BLOCK,
  type BlockPlace,
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
  writeManifest,
} from './backup-folder.ts';
import { verifyNew } from './backup-verify.ts';
import { type CommitRecord, encodeRecord } from './commit-record.ts';
import { fewAtOnce } from './few-at-once.ts';
import { objectName } from './journal.ts';
import { createSealed, type SealedWriter, sealFile } from './sealed-file.ts';

const readFrom = promisify(read);

export interface BackupSource {
  /** Descriptor of the database file; closing one would drop SQLite's locks on it, so this is kept. */
  readonly database: number;
  /** A connection for reading. */
  readonly db: Database.Database;
  readonly objects: string;
  readonly recovery: string;
  /**
   * Begins to collect commits: the first is all that the write-ahead log holds. Each later call of `take` gives those
   * that came since. @throws Error where one could not be read
   */
  begin(): Promise<Collecting>;
  readonly now: () => number;
}

export interface Collecting extends Disposable {
  readonly epoch: string | null;
  take(): readonly CommitRecord[];
}

/** Bytes from which on another pack is begun. */
const PACK = 64 * 1024 * 1024;
/** A pack of which less than this share is in use is not counted on: what is in use is written anew. */
const WORTH_KEEPING = 0.5;

/** @throws Error naming what could not be read, written or read back */
export async function createGeneration(
  folder: string,
  key: KeyObject,
  source: BackupSource,
): Promise<Manifest> {
  const began = source.now();
  const id = `${new Date(began).toISOString().replaceAll(/[-:.]/g, '')}-${randomBytes(4).toString('hex')}`;
  const known = await knownBlocks(folder, key);
  const patch = await createSealed(patchFile(folder, id), key, patchName(id));
  using collecting = await source.begin();
  let last: CommitRecord | undefined;
  const added = new Set<string>();
  const collect = async () => {
    for (const record of collecting.take()) {
      for (const file of record.files) added.add(file);
      await patch.write(encodeRecord(record));
      last = record;
    }
  };
  await collect();
  const blocks = await copyBlocks(folder, key, source.database, known, collect);
  const objects = await copyObjects(folder, key, source, collect);
  // Files that were named while the others were copied.
  for (let before = -1; before !== added.size; ) {
    before = added.size;
    for (const name of added) await copyObject(folder, key, source.objects, name, objects);
    await collect();
  }
  const heads = source.db
    .prepare('SELECT tenant, origin, size FROM checkpoint ORDER BY tenant')
    .all() as Head[];
  await collect();
  await patch.finish();
  if (last === undefined) throw new Error('the database gave no base');
  const manifest: Manifest = {
    v: 1,
    id,
    made: new Date(source.now()).toISOString(),
    took: source.now() - began,
    seq: last.seq,
    epoch: collecting.epoch,
    pageSize: last.pageSize,
    databasePages: last.databasePages,
    packs: blocks.packs,
    blocks: blocks.places,
    objects: [...objects.names].sort(),
    recovery: await recoveryCopies(source.recovery),
    heads,
    written: blocks.written + objects.written + patch.size,
  };
  await verifyNew(folder, key, manifest, { packs: blocks.fresh, objects: objects.fresh });
  await writeManifest(folder, key, manifest);
  await readManifest(folder, key, id);
  return manifest;
}

interface KnownBlocks {
  readonly packs: readonly string[];
  readonly places: ReadonlyMap<string, BlockPlace>;
}

/** What the generation before holds, but for packs that are mostly out of use. */
async function knownBlocks(folder: string, key: KeyObject): Promise<KnownBlocks> {
  const newest = (await generationsIn(folder)).at(-1);
  if (newest === undefined) return { packs: [], places: new Map() };
  let manifest: Manifest;
  try {
    manifest = await readManifest(folder, key, newest);
  } catch {
    // Damaged: that must not keep another generation from being made, which writes all anew.
    return { packs: [], places: new Map() };
  }
  const { packs, blocks } = manifest;
  const used = packs.map(() => new Set<number>());
  const highest = packs.map(() => 0);
  for (const { pack, index } of blocks) {
    used[pack]!.add(index);
    highest[pack] = Math.max(highest[pack]!, index + 1);
  }
  const worth = packs.map(
    (pack, i) => existsSync(packFile(folder, pack)) && used[i]!.size >= highest[i]! * WORTH_KEEPING,
  );
  return {
    packs,
    places: new Map(blocks.filter(({ pack }) => worth[pack]).map((block) => [block.id, block])),
  };
}

async function copyBlocks(
  folder: string,
  key: KeyObject,
  database: number,
  known: KnownBlocks,
  collect: () => Promise<void>,
) {
  const digest = blockDigest(key);
  const packs: string[] = [];
  const numbers = new Map<string, number>();
  const numberOf = (pack: string) => {
    const number = numbers.get(pack) ?? packs.push(pack) - 1;
    numbers.set(pack, number);
    return number;
  };
  const places: BlockPlace[] = [];
  const placed = new Map<string, BlockPlace>();
  const fresh: string[] = [];
  let pack: SealedWriter | null = null;
  let number = 0;
  let written = 0;
  const endPack = async () => {
    if (pack === null) return;
    written += pack.size;
    await pack.finish();
    pack = null;
  };
  // What is appended after this is in the patch.
  const { size } = fstatSync(database);
  for (let at = 0; at < size; at += BLOCK) {
    const { buffer, bytesRead } = await readFrom(database, {
      buffer: Buffer.allocUnsafe(BLOCK),
      position: at,
    });
    const block = buffer.subarray(0, bytesRead);
    const id = digest(block);
    const old = known.places.get(id);
    let place = placed.get(id);
    if (place === undefined && old !== undefined) place = { ...old, pack: numberOf(known.packs[old.pack]!) };
    if (place === undefined) {
      if (pack !== null && (pack as SealedWriter).size > PACK) await endPack();
      if (pack === null) {
        const name = randomBytes(16).toString('hex');
        pack = await createSealed(packFile(folder, name), key, packName(name));
        number = numberOf(name);
        fresh.push(name);
      }
      place = { id, pack: number, ...(await (pack as SealedWriter).write(block)) };
    }
    placed.set(id, place);
    places.push(place);
    if (places.length % 64 === 0) await collect();
  }
  await endPack();
  return { packs, places, fresh, written };
}

interface CopiedObjects {
  readonly names: Set<string>;
  readonly fresh: string[];
  written: number;
}

async function copyObjects(
  folder: string,
  key: KeyObject,
  { db, objects }: BackupSource,
  collect: () => Promise<void>,
): Promise<CopiedObjects> {
  const copied: CopiedObjects = { names: new Set(), fresh: [], written: 0 };
  // Short reads: one that is held would keep the write-ahead log from beginning anew.
  const next = db.prepare(
    `SELECT tenant, uid FROM object INDEXED BY object_file
     WHERE inline IS NULL AND (tenant, uid) > (?, ?) ORDER BY tenant, uid LIMIT 500`,
  );
  for (let tenant = '', uid: Buffer = Buffer.alloc(0); ; ) {
    const rows = next.all(tenant, uid) as { tenant: string; uid: Buffer }[];
    await fewAtOnce(rows, (row) =>
      copyObject(folder, key, objects, `${row.tenant}/${row.uid.toString('hex')}`, copied),
    );
    await collect();
    const last = rows.at(-1);
    if (last === undefined) return copied;
    ({ tenant, uid } = last);
  }
}

/** False where the file is gone: then its row went too. */
async function copyObject(
  folder: string,
  key: KeyObject,
  objects: string,
  name: string,
  copied: CopiedObjects,
): Promise<boolean> {
  if (copied.names.has(name)) return true;
  const [tenant, uid] = name.split('/') as [string, string];
  const to = objectBackupFile(folder, tenant, uid);
  if (!existsSync(to)) {
    const from = join(objects, tenant, uid.slice(0, 2), uid);
    const size = await sealFile(from, to, key, objectName(tenant, uid));
    if (size === null) return false;
    copied.fresh.push(name);
    copied.written += size;
  }
  copied.names.add(name);
  return true;
}

async function recoveryCopies(folder: string): Promise<Record<string, string>> {
  if (!existsSync(folder)) return {};
  const copies: Record<string, string> = {};
  for (const name of await readdir(folder)) {
    if (/\.(cms|json)$/.test(name)) copies[name] = (await readFile(join(folder, name))).toString('base64');
  }
  return copies;
}
