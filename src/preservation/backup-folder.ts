/**
 * A backup folder:
 *
 *   key.json, key.cms            which key it is under, and that key encrypted to the recovery keys
 *   packs/<id>.pack              blocks of the database, each once, whatever number of generations names it
 *   objects/<tenant>/<xx>/<uid>  object files
 *   generations/<id>.patch       commits that came while the blocks were read, to be applied over them
 *   generations/<id>.manifest    written last: what makes the generation whole
 */
import { createHmac, createSecretKey, hkdfSync, type KeyObject } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createSealed, openSealed } from './sealed-file.ts';

/** Bytes of a block. The last of a database may be shorter. */
export const BLOCK = 65_536;

export interface Manifest {
  readonly v: 1;
  /** Sorts by time. */
  readonly id: string;
  /** RFC 3339, when its last commit had been made. */
  readonly made: string;
  /** Milliseconds that it took. */
  readonly took: number;
  /** Commits up to this one are in it; those of the second copy after it belong to this epoch. */
  readonly seq: number;
  readonly epoch: string | null;
  readonly pageSize: number;
  readonly databasePages: number;
  readonly packs: readonly string[];
  readonly blocks: readonly BlockPlace[];
  /** `tenant/uid`, ascending. */
  readonly objects: readonly string[];
  /** Recovery copies of keys, base64 by file name. */
  readonly recovery: Readonly<Record<string, string>>;
  /** Heads of the logs. */
  readonly heads: readonly Head[];
  /** Bytes that were written for it. */
  readonly written: number;
}

export interface Head {
  readonly tenant: string;
  readonly origin: string;
  readonly size: number;
}

export interface BlockPlace {
  /** Hex of its keyed digest. */
  readonly id: string;
  /** Position in `packs`. */
  readonly pack: number;
  readonly index: number;
  readonly offset: number;
}

/** Digests of blocks: keyed, since equal content would show otherwise. */
export function blockDigest(key: KeyObject): (block: Uint8Array) => string {
  const digestKey = createSecretKey(
    Buffer.from(hkdfSync('sha256', key.export(), Buffer.alloc(0), 'demail-gateway/backup/v1/blocks', 32)),
  );
  return (block) => createHmac('sha256', digestKey).update(block).digest('hex');
}

/** Bytes of a block's row in a manifest: digest, pack, index, offset. */
const ROW = 32 + 12;

export async function writeManifest(folder: string, key: KeyObject, manifest: Manifest): Promise<void> {
  const { blocks, objects, ...rest } = manifest;
  const rows = Buffer.alloc(blocks.length * ROW);
  for (const [i, { id, pack, index, offset }] of blocks.entries()) {
    rows.write(id, i * ROW, 'hex');
    rows.writeUInt32BE(pack, i * ROW + 32);
    rows.writeUInt32BE(index, i * ROW + 36);
    rows.writeUInt32BE(offset, i * ROW + 40);
  }
  const file = await createSealed(manifestFile(folder, manifest.id), key, `manifest/${manifest.id}`);
  await file.write(Buffer.from(JSON.stringify(rest)));
  await file.write(rows);
  await file.write(Buffer.from(objects.join('\n')));
  await file.finish();
}

/** @throws Error naming the file that cannot be read */
export async function readManifest(folder: string, key: KeyObject, id: string): Promise<Manifest> {
  const path = manifestFile(folder, id);
  await using file = await openSealed(path, key, `manifest/${id}`);
  const parts: Buffer[] = [];
  const chunks = file.chunks();
  let step = await chunks.next();
  for (; !step.done; step = await chunks.next()) parts.push(step.value);
  const [head, rows, objects] = parts;
  if (!step.value || head === undefined || rows === undefined || objects === undefined)
    throw new Error(`${path}: is not whole`);
  const blocks = Array.from({ length: rows.length / ROW }, (_, i) => ({
    id: rows.toString('hex', i * ROW, i * ROW + 32),
    pack: rows.readUInt32BE(i * ROW + 32),
    index: rows.readUInt32BE(i * ROW + 36),
    offset: rows.readUInt32BE(i * ROW + 40),
  }));
  const list = objects.toString();
  return {
    ...(JSON.parse(head.toString()) as Omit<Manifest, 'blocks' | 'objects'>),
    blocks,
    objects: list === '' ? [] : list.split('\n'),
  };
}

/** Generations that are whole, oldest first. */
export async function generationsIn(folder: string): Promise<string[]> {
  const generations = join(folder, 'generations');
  if (!existsSync(generations)) return [];
  return (await readdir(generations))
    .flatMap((name) => (name.endsWith('.manifest') ? [name.slice(0, -'.manifest'.length)] : []))
    .sort();
}

export function manifestFile(folder: string, id: string): string {
  return join(folder, 'generations', `${id}.manifest`);
}

export function patchFile(folder: string, id: string): string {
  return join(folder, 'generations', `${id}.patch`);
}

export function patchName(id: string): string {
  return `patch/${id}`;
}

export function packFile(folder: string, pack: string): string {
  return join(folder, 'packs', `${pack}.pack`);
}

export function packName(pack: string): string {
  return `pack/${pack}`;
}

export function objectBackupFile(folder: string, tenant: string, uid: string): string {
  return join(folder, 'objects', tenant, uid.slice(0, 2), uid);
}
