/** What a witness has seen of each log: one file per log, replaced whole and synced before anything is answered. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';

export interface WitnessState {
  /** The newest checkpoint with its cosignature; null: none was cosigned yet. */
  read(origin: string): Promise<string | null>;
  write(origin: string, note: string): Promise<void>;
  /** Runs one after the other what reads and writes one log: checking and persisting are one step. */
  exclusive<T>(origin: string, work: () => Promise<T>): Promise<T>;
}

/** Name of a log within URLs and files. */
export function originHash(origin: string): string {
  return createHash('sha256').update(origin).digest('hex');
}

export function createWitnessState(directory: string): WitnessState {
  const turns = new Map<string, Promise<unknown>>();
  const fileOf = (origin: string) => join(directory, `${originHash(origin)}.checkpoint`);
  return {
    async read(origin) {
      const file = fileOf(origin);
      return existsSync(file) ? await readFile(file, 'utf8') : null;
    },
    async write(origin, note) {
      const file = fileOf(origin);
      await mkdir(directory, { recursive: true, mode: 0o700 });
      const handle = await open(`${file}.new`, 'w', 0o644);
      try {
        await handle.writeFile(note);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(`${file}.new`, file);
      const folder = await open(directory, 'r');
      await folder.sync().finally(() => folder.close());
    },
    exclusive(origin, work) {
      const turn = (turns.get(origin) ?? Promise.resolve()).catch(() => undefined).then(work);
      turns.set(origin, turn);
      return turn;
    },
  };
}
