/** Takes old generations out of a backup. What a kept one names stays; what cannot be read stays too. */
import type { KeyObject } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  generationsIn,
  type Manifest,
  manifestFile,
  objectBackupFile,
  packFile,
  patchFile,
  readManifest,
} from './backup-folder.ts';

/**
 * @param keep how many generations stay, at least 1
 * @returns those kept, oldest first
 * @throws Error where a kept manifest cannot be read: then nothing that it may name is removed
 */
export async function pruneBackup(folder: string, key: KeyObject, keep: number): Promise<Manifest[]> {
  const all = await generationsIn(folder);
  const kept: Manifest[] = [];
  for (const id of all.slice(-Math.max(1, keep))) kept.push(await readManifest(folder, key, id));
  for (const id of all.slice(0, -Math.max(1, keep))) {
    // The manifest first: without it the generation is none any more, and an interruption leaves nothing half.
    await rm(manifestFile(folder, id));
    await rm(patchFile(folder, id), { force: true });
  }
  const ids = new Set(kept.map(({ id }) => id));
  for (const name of await namesIn(join(folder, 'generations'))) {
    const id = name.replace(/\.(manifest|patch)(\.part)?$/, '');
    if (!ids.has(id)) await rm(join(folder, 'generations', name));
  }
  const packs = new Set(kept.flatMap((manifest) => manifest.packs));
  for (const name of await namesIn(join(folder, 'packs'))) {
    const pack = name.replace(/\.pack(\.part)?$/, '');
    if (!packs.has(pack) || name.endsWith('.part')) await rm(packFile(folder, pack) + partOf(name));
  }
  const objects = new Set(kept.flatMap((manifest) => manifest.objects));
  for (const tenant of await namesIn(join(folder, 'objects'))) {
    for (const shard of await namesIn(join(folder, 'objects', tenant))) {
      for (const name of await namesIn(join(folder, 'objects', tenant, shard))) {
        const uid = name.replace(/\.part$/, '');
        if (!objects.has(`${tenant}/${uid}`) || name.endsWith('.part'))
          await rm(objectBackupFile(folder, tenant, uid) + partOf(name));
      }
    }
  }
  return kept;
}

/**
 * Removes what an attempt left that did not end: a full disk would stay full of them. Object files stay, since the next
 * attempt counts on them.
 * @throws Error where a manifest cannot be read: then nothing that it may name is removed
 */
export async function dropUnfinished(folder: string, key: KeyObject): Promise<void> {
  const ids = new Set(await generationsIn(folder));
  const packs = new Set<string>();
  for (const id of ids) for (const pack of (await readManifest(folder, key, id)).packs) packs.add(pack);
  for (const name of await namesIn(join(folder, 'generations')))
    if (name.endsWith('.part') || !ids.has(name.replace(/\.(manifest|patch)$/, '')))
      await rm(join(folder, 'generations', name));
  for (const name of await namesIn(join(folder, 'packs')))
    if (name.endsWith('.part') || !packs.has(name.replace(/\.pack$/, '')))
      await rm(join(folder, 'packs', name));
}

function partOf(name: string): string {
  return name.endsWith('.part') ? '.part' : '';
}

async function namesIn(folder: string): Promise<string[]> {
  return existsSync(folder) ? await readdir(folder) : [];
}
