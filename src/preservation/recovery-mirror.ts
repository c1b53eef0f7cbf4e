/**
 * The recovery copies of the tenants' keys, beside the second copy. A backup holds those of its time; a key that came
 * after it must not be lost with the disk, or what the second copy holds could not be read.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { recoveryNote } from '../store/recovery.ts';
import { syncFolder } from './sealed-file.ts';

export interface RecoveryMirror {
  /** Copies what is new; durable when it resolves. Costs one look at the folder where nothing is. */
  sync(): Promise<void>;
}

/** Below the folder of the second copy. */
const FOLDER = 'recovery';

export function createRecoveryMirror(recovery: string, secondCopy: string): RecoveryMirror {
  const to = join(secondCopy, FOLDER);
  let seen: bigint | null = null;
  return {
    async sync() {
      if (!existsSync(recovery)) return;
      // Copies are renamed into their place: the folder tells of each.
      const { mtimeNs } = statSync(recovery, { bigint: true });
      if (mtimeNs === seen && existsSync(to)) return;
      mkdirSync(to, { recursive: true, mode: 0o700 });
      for (const name of copiesIn(recovery)) {
        const bytes = readFileSync(join(recovery, name));
        const file = join(to, name);
        if (existsSync(file) && readFileSync(file).equals(bytes)) continue;
        const handle = await open(`${file}.part`, 'w', 0o600);
        try {
          await handle.writeFile(bytes);
          await handle.sync();
        } finally {
          await handle.close();
        }
        await rename(`${file}.part`, file);
      }
      await syncFolder(to);
      seen = mtimeNs;
    },
  };
}

/** Takes over each tenant's copy that is newer than the one in `recovery`, or that has none there. */
export function takeMirrored(secondCopy: string, recovery: string): void {
  const from = join(secondCopy, FOLDER);
  if (!existsSync(from)) return;
  mkdirSync(recovery, { recursive: true, mode: 0o700 });
  for (const name of copiesIn(from)) {
    const tenant = /^(.+)\.cms$/.exec(name)?.[1];
    const made = tenant === undefined ? undefined : recoveryNote(from, tenant)?.made;
    if (tenant === undefined || made === undefined) continue;
    if ((recoveryNote(recovery, tenant)?.made ?? '') >= made) continue;
    for (const file of [`${tenant}.cms`, `${tenant}.json`])
      writeFileSync(join(recovery, file), readFileSync(join(from, file)), { mode: 0o600, flush: true });
  }
}

function copiesIn(folder: string): string[] {
  return readdirSync(folder).filter((name) => /^[\w.-]+\.(cms|json)$/.test(name));
}
