/**
 * The second copy as it lies in its folder: runs of commits without gaps (epochs), each in segments.
 *
 *   <epoch>/<first commit>.seg        header, then one chunk per commit
 *   <epoch>/<first commit>.objects/   object files that its commits name, `<tenant>.<uid>`
 *
 * An epoch is of use together with a backup that was begun after it.
 */
import type { KeyObject } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type CommitRecord, decodeRecord, encodeRecord } from './commit-record.ts';
import { createSealed, openSealed, type SealedReader, type SealedWriter, sealFile } from './sealed-file.ts';

export type CopyMode = 'before-250' | 'after';

export interface SegmentHeader {
  readonly epoch: string;
  readonly first: number;
  /** `before-250`: nothing was acknowledged that is not in here. */
  readonly mode: CopyMode;
  /** RFC 3339. */
  readonly made: string;
}

/** Bytes from which on a new segment is begun. */
const SEGMENT = 64 * 1024 * 1024;

export interface JournalWriter {
  /** Durable when it resolves. */
  append(records: readonly CommitRecord[]): Promise<void>;
  /** The next commit begins a new segment. */
  rotate(): void;
  /**
   * Begins it now, where a commit was written since: what no restore needs any more, erased content among it, must not
   * wait for mail to come. @param next number of the next commit
   */
  roll(next: number): Promise<void>;
  close(): Promise<void>;
}

export function createJournal(
  folder: string,
  objects: string,
  key: KeyObject,
  { epoch, mode, now }: { readonly epoch: string; readonly mode: CopyMode; readonly now: () => number },
): JournalWriter {
  let segment: SealedWriter | null = null;
  let first = 0;
  let rotating = false;
  let written = false;

  async function begin(seq: number): Promise<SealedWriter> {
    first = seq;
    let path = segmentFile(folder, epoch, seq);
    // A segment of that name was begun, and its first commit never got whole into it.
    if (existsSync(path)) {
      await rm(path);
      path = segmentFile(folder, epoch, seq);
    }
    const made = await createSealed(path, key, segmentName(epoch, seq), true);
    const header: SegmentHeader = { epoch, first: seq, mode, made: new Date(now()).toISOString() };
    await made.write(Buffer.from(JSON.stringify(header)));
    segment = made;
    rotating = false;
    written = false;
    return made;
  }

  async function drop(): Promise<void> {
    const old = segment;
    segment = null;
    await old?.abandon().catch(() => undefined);
  }

  return {
    async append(records) {
      try {
        const [head] = records;
        if (head === undefined) return;
        if (segment !== null && (rotating || segment.size > SEGMENT)) {
          await segment.finish();
          segment = null;
        }
        const into = segment ?? (await begin(head.seq));
        for (const record of records) {
          for (const file of record.files) {
            const [tenant, uid] = file.split('/') as [string, string];
            const from = join(objects, tenant, uid.slice(0, 2), uid);
            const to = join(folder, epoch, `${pad(first)}.objects`, `${tenant}.${uid}`);
            await sealFile(from, to, key, objectName(tenant, uid));
          }
          await into.write(encodeRecord(record));
          written = true;
        }
        await into.sync();
      } catch (error) {
        // What got into the file is unknown: the next try begins another one.
        await drop();
        throw error;
      }
    },
    rotate() {
      rotating = true;
    },
    async roll(next) {
      if (segment === null || !written) return;
      try {
        await segment.finish();
        segment = null;
        await (await begin(next)).sync();
      } catch (error) {
        await drop();
        throw error;
      }
    },
    close: drop,
  };
}

export interface EpochSegments {
  readonly epoch: string;
  /** First commit of each segment, ascending. */
  readonly firsts: readonly number[];
}

export async function epochsIn(folder: string): Promise<EpochSegments[]> {
  if (!existsSync(folder)) return [];
  const epochs: EpochSegments[] = [];
  for (const epoch of await readdir(folder)) {
    if (!/^[0-9a-f]{16}$/.test(epoch)) continue;
    const firsts = (await readdir(join(folder, epoch)))
      .flatMap((name) => (/^\d{15}\.seg$/.test(name) ? [Number(name.slice(0, 15))] : []))
      .sort((a, b) => a - b);
    epochs.push({ epoch, firsts });
  }
  return epochs;
}

export interface Segment {
  readonly header: SegmentHeader;
  records(): AsyncGenerator<CommitRecord>;
}

/** Reads one segment. @throws Error naming a file that was changed; null where not even its header was written. */
export async function readSegment<T>(
  folder: string,
  epoch: string,
  first: number,
  key: KeyObject,
  read: (segment: Segment) => Promise<T>,
): Promise<T | null> {
  const path = segmentFile(folder, epoch, first);
  let sealed: SealedReader;
  try {
    sealed = await openSealed(path, key, segmentName(epoch, first));
  } catch (error) {
    // Nothing was acknowledged out of a file without a header.
    if ((error as Error).message.includes('is no file of a backup')) return null;
    throw error;
  }
  await using _ = sealed;
  const chunks = sealed.chunks();
  const head = await chunks.next();
  if (head.done) return null;
  return await read({
    header: JSON.parse(head.value.toString()) as SegmentHeader,
    async *records() {
      for await (const chunk of chunks) yield decodeRecord(chunk);
    },
  });
}

/**
 * The last commit in an epoch; null where there is none. A segment without any was begun for the commit after the last.
 * @throws Error naming a file that was changed
 */
export async function lastCommit(folder: string, epoch: string, key: KeyObject): Promise<number | null> {
  const { firsts } = (await epochsIn(folder)).find((one) => one.epoch === epoch) ?? { firsts: [] };
  for (const first of firsts.toReversed()) {
    const last = await readSegment(folder, epoch, first, key, async (segment) => {
      let seq = first - 1;
      for await (const record of segment.records()) ({ seq } = record);
      return seq;
    });
    if (last !== null) return last;
  }
  return null;
}

/** Removes what no restore from a backup at `needed` (epoch → first commit after it) begins with. */
export async function pruneJournal(folder: string, needed: ReadonlyMap<string, number>): Promise<void> {
  for (const { epoch, firsts } of await epochsIn(folder)) {
    const from = needed.get(epoch);
    if (from === undefined) {
      await rm(join(folder, epoch), { recursive: true });
      continue;
    }
    for (const [i, first] of firsts.entries()) {
      const next = firsts[i + 1];
      // All its commits lie before `from`.
      if (next === undefined || next > from) break;
      await rm(join(folder, epoch, `${pad(first)}.objects`), { recursive: true, force: true });
      await rm(segmentFile(folder, epoch, first));
    }
  }
}

export function segmentFile(folder: string, epoch: string, first: number): string {
  return join(folder, epoch, `${pad(first)}.seg`);
}

/** Where the second copy keeps an object file, or null. */
export async function copiedObjects(folder: string): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const { epoch, firsts } of await epochsIn(folder)) {
    for (const first of firsts) {
      const objects = join(folder, epoch, `${pad(first)}.objects`);
      if (!existsSync(objects)) continue;
      for (const name of await readdir(objects))
        if (!name.endsWith('.part')) found.set(name.replace('.', '/'), join(objects, name));
    }
  }
  return found;
}

/** What a sealed object file is bound to, in both copies. */
export function objectName(tenant: string, uid: string): string {
  return `object/${tenant}/${uid}`;
}

function segmentName(epoch: string, first: number): string {
  return `segment/${epoch}/${first}`;
}

function pad(seq: number): string {
  return String(seq).padStart(15, '0');
}
