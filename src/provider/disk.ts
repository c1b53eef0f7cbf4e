/** Free space where the store lies: operators hear of a full disk before the last mail is refused. */
import { statfs } from 'node:fs/promises';
import type { Directory } from '../directory/directory.ts';
import type { Clock } from '../observe/clock.ts';
import type { Log } from '../observe/log.ts';
import type { Incidents } from './incidents.ts';
import { incidentTexts } from './texts.ts';

export interface DiskWatch {
  /** Looks now. */
  look(): Promise<void>;
  close(): void;
}

export interface DiskDeps {
  readonly directory: () => Directory;
  readonly dataDir: string;
  readonly incidents: Incidents;
  readonly log: Log;
  readonly clock: Clock;
  /** Bytes free to this program; by default those of `dataDir`. */
  readonly freeBytes?: () => Promise<number>;
}

/** Below this many bytes it is an incident; a notice must still find room. */
export const lowSpace = 512 * 1024 * 1024;
const interval = 60_000;

export function startDiskWatch(deps: DiskDeps): DiskWatch {
  const { incidents, log, clock, dataDir } = deps;
  const freeBytes = deps.freeBytes ?? (() => freeIn(dataDir));
  let closed = false;
  let timer: Disposable | undefined;

  async function look() {
    timer?.[Symbol.dispose]();
    try {
      const free = await freeBytes();
      const low = free < lowSpace;
      const text = incidentTexts.diskFull(dataDir, Math.floor(free / 1024 ** 2));
      for (const { id } of deps.directory().tenants) {
        if (low) incidents.open(id, 'disk-full', text);
        else incidents.close(id, 'disk-full', incidentTexts.diskFree);
      }
    } catch (error) {
      log.error({ error: String(error) }, 'free space cannot be read');
    }
    if (!closed) timer = clock.after(interval, look);
  }

  void look();
  return {
    look,
    close() {
      closed = true;
      timer?.[Symbol.dispose]();
    },
  };
}

async function freeIn(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}
