/**
 * The last checkpoint of each tenant as a file meant for another host. Written after the commit, never before;
 * one write per tenant at a time, always of the newest note, and not more than one a second: a sync of its own
 * for each of hundreds of commits a second would slow them all.
 */
import { renameSync } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface CheckpointFiles {
  write(tenant: string, note: string): void;
  /** Writes what waits, at once. */
  settle(): Promise<void>;
}

const INTERVAL_MS = 1000;

/** @param warn told when a file cannot be written; the store goes on, the next checkpoint is tried again. */
export function createCheckpointFiles(directory: string, warn: (text: string) => void): CheckpointFiles {
  const next = new Map<string, string>();
  const running = new Map<string, Promise<void>>();
  const hurry = new AbortController();

  async function drain(tenant: string): Promise<void> {
    for (let note = next.get(tenant); note !== undefined; note = next.get(tenant)) {
      next.delete(tenant);
      const file = join(directory, tenant);
      try {
        await writeAtomically(file, note);
      } catch (error) {
        warn(`the checkpoint of ${tenant} cannot be written to ${file}: ${(error as Error).message}`);
      }
      await sleep(INTERVAL_MS, undefined, { signal: hurry.signal }).catch(() => undefined);
    }
    running.delete(tenant);
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

async function writeAtomically(file: string, text: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const handle = await open(`${file}.new`, 'w', 0o644);
  try {
    await handle.writeFile(text);
    await handle.datasync();
  } finally {
    await handle.close();
  }
  renameSync(`${file}.new`, file);
}
