/**
 * The folder that one log is published in: first the tiles, then the checkpoint that needs them, each written whole
 * or not at all. Whatever was missed (a crash, a folder that was deleted) is written by the next publication.
 */
import { existsSync } from 'node:fs';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { HASH_LENGTH, TILE_WIDTH } from '../evidence/merkle.ts';
import { entryBundle, newTiles, type TileName, tilePath } from '../evidence/tile-path.ts';
import type { LogInfo, LogReader } from '../store/logs.ts';

/** Tiles written side by side. */
const AT_ONCE = 16;

/** Folder of a log: the last part of its origin. */
export function folderOf(directory: string, origin: string): string {
  return join(directory, origin.slice(origin.lastIndexOf('/') + 1));
}

/**
 * Writes the tiles of the first `size` leaves that the folder lacks by its checkpoint.
 * @throws Error where the folder holds a larger checkpoint, or one of another log.
 */
export async function writeTiles(
  store: Pick<LogReader, 'tile' | 'commitments'>,
  tenant: string,
  folder: string,
  log: LogInfo,
  size: number,
  signal: AbortSignal,
): Promise<void> {
  const published = await publishedSize(folder, log.origin);
  if (published > size)
    throw new Error(
      `${folder} holds a checkpoint of ${published} entries, the log has ${size}: nothing is written`,
    );
  let batch: Promise<void>[] = [];
  for (const name of newTiles(published, size)) {
    if (signal.aborted) return;
    batch.push(writeTile(store, tenant, folder, log, name));
    if (batch.length === AT_ONCE) {
      await Promise.all(batch);
      batch = [];
    }
  }
  await Promise.all(batch);
}

/** After the tiles. */
export function writeCheckpoint(folder: string, note: string): Promise<void> {
  return writeWhole(join(folder, 'checkpoint'), note);
}

/** Entries that the folder's checkpoint signs; 0 where there is none. */
async function publishedSize(folder: string, origin: string): Promise<number> {
  const file = join(folder, 'checkpoint');
  if (!existsSync(file)) return 0;
  const [said, size = ''] = (await readFile(file, 'utf8')).split('\n', 2);
  if (said !== origin || !/^\d{1,15}$/.test(size)) throw new Error(`${file} is no checkpoint of ${origin}`);
  return Number(size);
}

async function writeTile(
  store: Pick<LogReader, 'tile' | 'commitments'>,
  tenant: string,
  folder: string,
  log: LogInfo,
  name: TileName,
): Promise<void> {
  const file = join(folder, tilePath(name));
  await writeWhole(file, await contentOf(store, tenant, log, name));
  // Partial tiles may go once the full one is there.
  if (name.width === TILE_WIDTH) await rm(`${file}.p`, { recursive: true, force: true });
}

async function contentOf(
  store: Pick<LogReader, 'tile' | 'commitments'>,
  tenant: string,
  log: LogInfo,
  { level, n, width }: TileName,
): Promise<Buffer> {
  const from = log.base + n * TILE_WIDTH;
  const content =
    level === 'entries'
      ? await store.commitments(tenant, from, from + width)
      : [(await store.tile(tenant, log.number, level, n)).subarray(0, width * HASH_LENGTH)];
  const complete =
    level === 'entries' ? content.length === width : content[0]!.length === width * HASH_LENGTH;
  if (!complete) throw new Error(`tile ${level}/${n} of ${log.origin} is shorter than ${width}`);
  return level === 'entries' ? entryBundle(content) : Buffer.from(content[0]!);
}

async function writeWhole(file: string, content: string | Uint8Array): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const handle = await open(`${file}.new`, 'w', 0o644);
  try {
    await handle.writeFile(content);
    await handle.datasync();
  } finally {
    await handle.close();
  }
  await rename(`${file}.new`, file);
}
