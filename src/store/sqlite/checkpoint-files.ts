/**
 * The last checkpoint of each tenant as a file in folders meant for other hosts. Written after the commit, never
 * before; one write per tenant at a time, always of the newest note, and not more than one a second: a sync of its
 * own for each of hundreds of commits a second would slow them all. A larger checkpoint is never overwritten.
 */
import { existsSync, renameSync } from 'node:fs';
import { mkdir, open, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface CheckpointFiles {
  write(tenant: string, note: string): void;
  /** Writes what waits, at once. */
  settle(): Promise<void>;
}

const INTERVAL_MS = 1000;

/** @param warn told when a file cannot be written; the store goes on, the next checkpoint is tried again. */
export function createCheckpointFiles(
  folders: readonly string[],
  warn: (text: string) => void,
): CheckpointFiles {
  const next = new Map<string, string>();
  const running = new Map<string, Promise<void>>();
  /** Files whose content is known to be of the log that is written. */
  const ours = new Map<string, string>();
  const hurry = new AbortController();

  async function drain(tenant: string): Promise<void> {
    for (let note = next.get(tenant); note !== undefined; note = next.get(tenant)) {
      next.delete(tenant);
      const text = note;
      await Promise.all(folders.map((folder) => writeInto(folder, tenant, text)));
      await sleep(INTERVAL_MS, undefined, { signal: hurry.signal }).catch(() => undefined);
    }
    running.delete(tenant);
  }

  async function writeInto(folder: string, tenant: string, note: string): Promise<void> {
    const file = join(folder, tenant);
    try {
      const { origin, size } = headOf(note);
      if (ours.get(file) !== origin) {
        const kept = existsSync(file) ? headOf(await readFile(file, 'utf8')) : null;
        if (kept?.origin === origin && kept.size > size)
          throw new Error(`it holds a larger checkpoint (${kept.size}), which stays`);
        // The last word about a log that was closed is kept beside that of the next.
        if (kept !== null && kept.origin !== origin) renameSync(file, closedFile(file));
      }
      await writeAtomically(file, note);
      ours.set(file, origin);
    } catch (error) {
      warn(`the checkpoint of ${tenant} cannot be written to ${file}: ${(error as Error).message}`);
    }
  }

  return {
    write(tenant, note) {
      next.set(tenant, note);
      if (!running.has(tenant)) running.set(tenant, drain(tenant));
    },
    async settle() {
      hurry.abort();
      await Promise.all(running.values());
    },
  };
}

/** A name that is free: `tenant.closed`, `tenant.closed-2`, … */
function closedFile(file: string): string {
  for (let n = 1; ; n++) {
    const name = `${file}.closed${n === 1 ? '' : `-${n}`}`;
    if (!existsSync(name)) return name;
  }
}

/** Origin and size as they stand there. */
function headOf(note: string): { origin: string; size: number } {
  const [origin = '', size = ''] = note.split('\n', 2);
  return { origin, size: /^\d{1,16}$/.test(size) ? Number(size) : 0 };
}

export async function writeAtomically(file: string, content: string | Uint8Array): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const handle = await open(`${file}.new`, 'w', 0o644);
  try {
    await handle.writeFile(content);
    await handle.datasync();
  } finally {
    await handle.close();
  }
  renameSync(`${file}.new`, file);
}
