/**
 * Object files that no row names: left by a crash between writing a file and committing its row. Looked for beside
 * the work, so that a start costs the same however much lies there. Files younger than an hour before the start are
 * left alone, since their rows may be on the way and clocks are set back.
 */
import { type Dir, existsSync, opendirSync } from 'node:fs';
import { stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as breathe } from 'node:timers/promises';
import type Database from 'better-sqlite3';

export interface Sweep {
  /** Resolves when every file was looked at. */
  readonly done: Promise<void>;
  /** Breaks it off; the next start begins anew. */
  end(): Promise<void>;
}

const MARGIN_MS = 3_600_000;

export function sweepOrphans(db: Database.Database, objects: string, startedAt = Date.now()): Sweep {
  let ended = false;
  const named = db.prepare('SELECT 1 FROM object WHERE tenant = ? AND uid = ? AND inline IS NULL').pluck();

  async function sweep(): Promise<void> {
    for (const tenant of namesIn(objects)) {
      for (const shard of namesIn(join(objects, tenant))) {
        for (const name of namesIn(join(objects, tenant, shard))) {
          if (ended) return;
          const file = join(objects, tenant, shard, name);
          if (named.get(tenant, Buffer.from(name, 'hex')) === undefined) await removeOld(file);
        }
        await breathe();
      }
    }
  }

  async function removeOld(file: string): Promise<void> {
    try {
      const { mtimeMs } = await stat(file);
      if (mtimeMs < startedAt - MARGIN_MS && !ended) await unlink(file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }

  const done = breathe().then(sweep);
  // What cannot be removed now is met again at the next start.
  done.catch(() => undefined);
  return {
    done,
    async end() {
      ended = true;
      await done.catch(() => undefined);
    },
  };
}

/** Names in a folder, read as they are needed. */
function* namesIn(folder: string): Generator<string> {
  if (!existsSync(folder)) return;
  const directory: Dir = opendirSync(folder);
  try {
    for (let entry = directory.readSync(); entry !== null; entry = directory.readSync()) yield entry.name;
  } finally {
    directory.closeSync();
  }
}
