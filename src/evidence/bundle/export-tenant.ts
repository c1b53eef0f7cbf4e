/**
 * Everything of a tenant, for an archive or a store that takes over: a bundle of each letter, each entry that belongs to
 * none, the logs as tiles, so that what is missing shows, and of every seal the part that these entries need.
 */
import { mkdir, open, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { digestLength } from '../../pki/digest-algorithm.ts';
import type { Reader } from '../../store/store.ts';
import { HASH_LENGTH, TILE_WIDTH } from '../merkle.ts';
import type { NoteSigner } from '../note.ts';
import { objectsOf } from '../objects-of.ts';
import { letterOf } from '../projection.ts';
import { ExcludedEntry, evidenceRecords } from '../record-of.ts';
import { entryBundle, newTiles, tilePath } from '../tile-path.ts';
import { writeArchive } from './archive.ts';
import { type CollectedPart, collectParts, printRun } from './archive-parts.ts';
import { collectBundle } from './collect.ts';
import { openExportFolder } from './export-folder.ts';
import { printSums, sumsNote } from './sums.ts';
import {
  archivePaths,
  bundlePath,
  type FullSummary,
  logFolder,
  loosePaths,
  TENANT_FORMAT,
  tenantFiles,
} from './tenant-layout.ts';

export interface TenantExport {
  readonly entries: number;
  readonly bundles: number;
  /** Entries that belong to no letter. */
  readonly loose: number;
  readonly erased: number;
  /** Bundles with entries under no seal. */
  readonly unsealed: number;
  /** Entries that their seal left out. */
  readonly excluded: number;
}

/** What of a tenant lies outside the database. */
export interface TenantSecrets {
  /** Of the open log; null where its key is out of reach: the list of files is not signed then, and nothing imports it. */
  readonly signer: NoteSigner | null;
  /** 32 bytes. */
  readonly addressKey: Buffer;
}

/**
 * @param directory is made; it must not be there
 * @throws Error naming what is missing or does not verify
 */
export async function exportTenant(
  reader: Reader,
  tenant: string,
  directory: string,
  { signer, addressKey }: TenantSecrets,
): Promise<TenantExport> {
  // Private De-Mails lie in it in clear text.
  await mkdir(directory, { mode: 0o700 });
  await mkdir(join(directory, 'letters'));
  // The logs as they are now: what comes meanwhile is left to the next export.
  const logs = await reader.logs(tenant);
  const last = logs.at(-1);
  const entries = last === undefined ? 0 : last.base + last.size;
  for (const log of logs) await writeLog(reader, tenant, log, join(directory, logFolder(log.number)));
  const records = evidenceRecords(reader);
  const bundled = new Set<number>();
  const counted = { loose: 0, erased: 0, excluded: 0 };
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
      const record = await records.ofEntry(tenant, index).catch((error: unknown) => {
        if (!(error instanceof ExcludedEntry)) throw error;
        counted.excluded++;
        return null;
      });
      await writeNew(join(directory, at.entry), files.bytes);
      await writeNew(join(directory, at.salt), files.salt);
      if (record !== null) await writeNew(join(directory, at.record), record);
    }
  }
  let unsealed = 0;
  for (const index of bundled) {
    const { files, report } = await collectBundle(reader, { tenant, letter: index }, signer, records);
    if (report.unsealed.length > 0) unsealed++;
    await writeArchive(join(directory, bundlePath(index)), files);
  }
  const parts = await collectParts(reader, tenant, entries);
  for (const collected of parts) await writePart(reader, collected, directory);
  const summary: FullSummary = {
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
    archive: parts.map(({ part }) => part),
  };
  await writeNew(join(directory, tenantFiles.summary), `${JSON.stringify(summary, null, 2)}\n`);
  await writeFile(join(directory, tenantFiles.addressKey), addressKey, { flag: 'wx', mode: 0o600 });
  const sums = await sumsOf(directory);
  await writeNew(join(directory, tenantFiles.sums), sums);
  if (signer !== null)
    await writeNew(join(directory, tenantFiles.sumsNote), sumsNote({ tenant, letter: null, sums }, signer));
  return { entries, bundles: bundled.size, unsealed, ...counted };
}

async function sumsOf(directory: string): Promise<string> {
  const folder = await openExportFolder(directory);
  const listed: { name: string; sha256: string }[] = [];
  for (const name of folder.names) listed.push({ name, sha256: await folder.sha256(name) });
  return printSums(listed);
}

/** Token, response and nodes of a seal or renewal. */
async function writePart(
  reader: Pick<Reader, 'archiveToken'>,
  { part, nodes }: CollectedPart,
  directory: string,
): Promise<void> {
  const at = archivePaths(part.number);
  const stored = await reader.archiveToken(part.number);
  if (stored === null) throw new Error(`archive timestamp ${part.number} is missing`);
  await writeNew(join(directory, at.token), stored.token);
  await writeNew(join(directory, at.response), stored.response);
  await using file = await open(join(directory, at.nodes), 'wx');
  for await (const run of nodes()) await file.write(printRun(run, digestLength[part.digest]));
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
