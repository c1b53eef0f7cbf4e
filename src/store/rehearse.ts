/** Reads a store with keys that came out of a recovery copy: what cannot be read now cannot be read later either. */
import { objectsOf } from '../evidence/objects-of.ts';
import type { Reader } from './store.ts';

/** Entries that a rehearsal reads: the newest, and as many spread over all of them. */
const sample = 100;

export interface Rehearsal {
  /** Entries read, of how many. */
  readonly entries: number;
  readonly of: number;
  readonly objects: number;
}

/** @throws Error or CorruptObject naming what does not open */
export async function rehearse(reader: Reader, tenant: string): Promise<Rehearsal> {
  const log = (await reader.logs(tenant)).at(-1);
  const size = log === undefined ? 0 : log.base + log.size;
  const indexes = new Set<number>();
  for (let i = 0; i < sample; i++) {
    indexes.add(Math.max(0, size - 1 - i));
    indexes.add(Math.floor((i * (size - 1)) / sample));
  }
  let objects = 0;
  for (const index of indexes) {
    const files = await reader.entryFiles(tenant, index);
    if (files === null) continue; // erased
    for (const { fact } of objectsOf(files.entry)) {
      const object = await reader.object(tenant, fact.object);
      if (object === null) throw new Error(`object ${fact.object} of entry ${index} is missing`);
      for await (const _ of object.read()) {
        // Each chunk is authenticated as it is read.
      }
      objects++;
    }
  }
  return { entries: indexes.size, of: size, objects };
}
