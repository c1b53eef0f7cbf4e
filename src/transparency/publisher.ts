/**
 * Follows the logs after each commit: tiles into the folder, the checkpoint to the witnesses, and then, with their
 * lines, into the folder. One publication per log at a time, always of the newest checkpoint.
 */
import { parseNote } from '../evidence/note.ts';
import { type Clock, pause } from '../observe/clock.ts';
import type { Log } from '../observe/log.ts';
import type { LogInfo } from '../store/logs.ts';
import type { Store } from '../store/store.ts';
import { compareWithWitnesses } from './head-watch.ts';
import { folderOf, writeCheckpoint, writeTiles } from './tile-folder.ts';
import { type WitnessClient, WitnessDisagrees } from './witness-client.ts';

export interface PublisherDeps {
  readonly store: Store;
  readonly log: Log;
  readonly clock: Clock;
  /** Where tiles go; null: nowhere. */
  readonly directory: string | null;
  readonly witnesses: readonly WitnessClient[];
  readonly originPrefix: string;
  /** Milliseconds between two publications of a log. */
  readonly interval: number;
}

export interface Publisher {
  /** The log has a new checkpoint. */
  wake(): void;
  close(): Promise<void>;
}

export function startPublisher(deps: PublisherDeps, tenant: string): Publisher {
  const { store, log, clock } = deps;
  const ending = new AbortController();
  let published = '';
  let again = true;
  let running: Promise<void> | null = null;

  async function run(): Promise<void> {
    while (again && !ending.signal.aborted) {
      again = false;
      try {
        await publish();
      } catch (error) {
        log.error({ tenant, error: String(error) }, 'log not published; it is tried again');
        again = true;
      }
      await pause(clock, deps.interval, ending.signal);
    }
    running = null;
  }

  async function publish(): Promise<void> {
    const open = (await store.logs(tenant)).at(-1);
    if (open === undefined || open.note === published || (await store.holds(tenant)).length > 0) return;
    const folder = deps.directory === null ? null : folderOf(deps.directory, open.origin);
    if (folder !== null) await writeTiles(store, tenant, folder, open, open.size, ending.signal);
    const lines = await cosignatures(open);
    if (ending.signal.aborted) return;
    const note = `${open.note}${lines.join('')}`;
    if (lines.length > 0) await store.recordCosigned(tenant, { log: open.number, size: open.size, note });
    if (folder !== null) await writeCheckpoint(folder, note);
    // With a witness missing the same checkpoint is offered again.
    if (lines.length === deps.witnesses.length) published = open.note;
    else again = true;
  }

  /** Lines of all witnesses that answer, in the order of the configuration. */
  async function cosignatures(open: LogInfo): Promise<string[]> {
    const lines = await Promise.all(deps.witnesses.map((witness) => cosignature(witness, open)));
    return lines.filter((line) => line !== null);
  }

  async function cosignature(witness: WitnessClient, open: LogInfo): Promise<string | null> {
    try {
      const consistency = (from: number) => store.consistency(tenant, open.number, from, open.size);
      const line = await witness.cosign(open.note, open.size, consistency);
      parseNote(`${open.note}${line}`);
      return line;
    } catch (error) {
      log.warn({ tenant, witness: witness.name, error: String(error) }, 'checkpoint not cosigned');
      // It may have grown meanwhile; only what the witness can show signed by us counts.
      if (error instanceof WitnessDisagrees)
        await compareWithWitnesses({ ...deps, witnesses: [witness] }, tenant);
      return null;
    }
  }

  return {
    wake() {
      again = true;
      running ??= run();
    },
    async close() {
      ending.abort();
      await running;
    },
  };
}
