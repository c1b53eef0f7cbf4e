/**
 * Everything of a tenant, for an archive that takes over: a bundle of each letter, each entry that belongs to none, and
 * the logs as tiles, so that what is missing shows.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Reader } from '../../store/store.ts';
import { HASH_LENGTH, TILE_WIDTH } from '../merkle.ts';
import type { NoteSigner } from '../note.ts';
import { objectsOf } from '../objects-of.ts';
import { letterOf } from '../projection.ts';
import { recordOfEntry } from '../record-of.ts';
import { entryBundle, newTiles, tilePath } from '../tile-path.ts';
import { writeArchive } from './archive.ts';
import { collectBundle } from './collect.ts';
import { bundlePath, logFolder, loosePaths, TENANT_FORMAT, type TenantSummary } from './tenant-layout.ts';

export interface TenantExport {
  readonly entries: number;
  readonly bundles: number;
  /** Entries that belong to no letter. */
  readonly loose: number;
  readonly erased: number;
  /** Bundles with entries under no seal. */
  readonly unsealed: number;
}

/**
 * @param directory is made; it must not be there
 * @throws Error naming what is missing or does not verify
 */
export async function exportTenant(
  reader: Reader,
  tenant: string,
  directory: string,
  signer: NoteSigner | null,
): Promise<TenantExport> {
  await mkdir(directory);
  await mkdir(join(directory, 'letters'));
  // The logs as they are now: what comes meanwhile is left to the next export.
  const logs = await reader.logs(tenant);
  const last = logs.at(-1);
  const entries = last === undefined ? 0 : last.base + last.size;
  for (const log of logs) await writeLog(reader, tenant, log, join(directory, logFolder(log.number)));
  const bundled = new Set<number>();
  const counted = { loose: 0, erased: 0 };
  for (let index = 0; index < entries; index++) {
    const files = await reader.entryFiles(tenant, index);
    if (files === null) {
      counted.erased++;
      continue;
    }
    const letter = letterOf(files.entry);
    if (letter !== null && (await reader.entryFiles(tenant, letter)) !== null) bundled.add(letter);
    else if (objectsOf(files.entry).length > 0) bundled.add(index);
    else {
      counted.loose++;
      const at = loosePaths(index);
      const record = await recordOfEntry(reader, tenant, index);
      await writeNew(join(directory, at.entry), files.bytes);
      await writeNew(join(directory, at.salt), files.salt);
      if (record !== null) await writeNew(join(directory, at.record), record);
    }
  }
  let unsealed = 0;
  for (const index of bundled) {
    const { files, report } = await collectBundle(reader, { tenant, letter: index }, signer);
    if (report.unsealed.length > 0) unsealed++;
    await writeArchive(join(directory, bundlePath(index)), files);
  }
  const summary: TenantSummary = {
    format: TENANT_FORMAT,
    tenant,
    entries,
    logs: logs.map(({ number, origin, base, size, keys }) => ({
      number,
      origin,
      base,
      size,
      keys: keys.map(({ key }) => key),
    })),
  };
  await writeNew(join(directory, 'tenant.json'), `${JSON.stringify(summary, null, 2)}\n`);
  return { entries, bundles: bundled.size, unsealed, ...counted };
}

async function writeLog(
  reader: Reader,
  tenant: string,
  log: { readonly number: number; readonly base: number; readonly size: number; readonly note: string },
  folder: string,
): Promise<void> {
  for (const name of newTiles(0, log.size)) {
    const from = log.base + name.n * TILE_WIDTH;
    await writeNew(
      join(folder, tilePath(name)),
      name.level === 'entries'
        ? entryBundle(await reader.commitments(tenant, from, from + name.width))
        : (await reader.tile(tenant, log.number, name.level, name.n)).subarray(0, name.width * HASH_LENGTH),
    );
  }
  await writeNew(join(folder, 'checkpoint'), log.note);
}

async function writeNew(file: string, content: string | Uint8Array): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, content, { flag: 'wx' });
}
