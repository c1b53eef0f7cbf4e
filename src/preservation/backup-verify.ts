/** Reads a backup back: every chunk authenticates, and every block is the one that its manifest names. */
import type { KeyObject } from 'node:crypto';
import {
  blockDigest,
  generationsIn,
  type Manifest,
  objectBackupFile,
  packFile,
  packName,
  patchFile,
  patchName,
  readManifest,
} from './backup-folder.ts';
import { decodeRecord } from './commit-record.ts';
import { objectName } from './journal.ts';
import { openSealed } from './sealed-file.ts';

/** What was just written. @throws Error naming what does not read back */
export async function verifyNew(
  folder: string,
  key: KeyObject,
  manifest: Manifest,
  fresh: { readonly packs: readonly string[]; readonly objects: readonly string[] },
): Promise<void> {
  for (const pack of fresh.packs) await verifyPack(folder, key, manifest, pack);
  for (const name of fresh.objects) await verifyObject(folder, key, name);
  await verifyPatch(folder, key, manifest);
}

export interface BackupFinding {
  readonly generation: string;
  readonly problem: string;
}

/** Everything of the generations named, or of all. Packs and objects that several share are read once. */
export async function verifyBackup(
  folder: string,
  key: KeyObject,
  named?: readonly string[],
  onProgress?: (bytes: number) => void,
): Promise<BackupFinding[]> {
  const findings: BackupFinding[] = [];
  const objects = new Map<string, string | null>();
  for (const generation of named ?? (await generationsIn(folder))) {
    const attempt = async (work: () => Promise<void>) => {
      try {
        await work();
        return null;
      } catch (error) {
        const problem = (error as Error).message;
        findings.push({ generation, problem });
        return problem;
      }
    };
    let manifest: Manifest | undefined;
    await attempt(async () => {
      manifest = await readManifest(folder, key, generation);
    });
    if (manifest === undefined) continue;
    const { packs, objects: names } = manifest;
    const whole = manifest;
    for (const pack of packs) await attempt(() => verifyPack(folder, key, whole, pack, onProgress));
    await attempt(() => verifyPatch(folder, key, whole));
    for (const name of names) {
      const known = objects.get(name);
      if (known === undefined) objects.set(name, await attempt(() => verifyObject(folder, key, name)));
      else if (known !== null) findings.push({ generation, problem: known });
    }
  }
  return findings;
}

async function verifyPack(
  folder: string,
  key: KeyObject,
  { packs, blocks }: Manifest,
  pack: string,
  onProgress?: (bytes: number) => void,
): Promise<void> {
  const digest = blockDigest(key);
  const number = packs.indexOf(pack);
  const path = packFile(folder, pack);
  await using file = await openSealed(path, key, packName(pack));
  const wanted = new Map<number, string>();
  for (const block of blocks) if (block.pack === number) wanted.set(block.index, block.id);
  const chunks = file.chunks();
  let index = 0;
  let step = await chunks.next();
  for (; !step.done; step = await chunks.next()) {
    onProgress?.(step.value.length);
    const id = wanted.get(index);
    if (id !== undefined && digest(step.value) !== id)
      throw new Error(`${path}: block ${index} is not the one that was read`);
    wanted.delete(index);
    index++;
  }
  if (!step.value || wanted.size > 0) throw new Error(`${path}: is not whole`);
}

async function verifyPatch(folder: string, key: KeyObject, { id, seq }: Manifest): Promise<void> {
  const path = patchFile(folder, id);
  await using file = await openSealed(path, key, patchName(id));
  const chunks = file.chunks();
  let last = -1;
  let step = await chunks.next();
  for (; !step.done; step = await chunks.next()) last = decodeRecord(step.value).seq;
  if (!step.value || last !== seq) throw new Error(`${path}: ends with commit ${last} instead of ${seq}`);
}

async function verifyObject(folder: string, key: KeyObject, name: string): Promise<void> {
  const [tenant, uid] = name.split('/') as [string, string];
  const path = objectBackupFile(folder, tenant, uid);
  await using file = await openSealed(path, key, objectName(tenant, uid));
  const chunks = file.chunks();
  let step = await chunks.next();
  for (; !step.done; ) step = await chunks.next();
  if (!step.value) throw new Error(`${path}: is not whole`);
}
