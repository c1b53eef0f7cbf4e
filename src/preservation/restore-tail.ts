/** The end of a restore: the commits of the second copy, applied over a generation, and whether they are all. */
import type { KeyObject } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import type { Manifest } from './backup-folder.ts';
import { applyRecord, type CommitRecord } from './commit-record.ts';
import { type CopyMode, epochsIn, readSegment } from './journal.ts';

export interface Tail {
  readonly seq: number;
  readonly last: CommitRecord | null;
  readonly complete: boolean;
  readonly why: string;
}

export const noCopy: Tail = {
  seq: 0,
  last: null,
  complete: false,
  why: 'no second copy was given: what was committed after this backup is not here',
};

/** @throws Error naming a file that was changed */
export async function applySecondCopy(
  folder: string,
  key: KeyObject,
  { seq: from, epoch }: Manifest,
  database: FileHandle,
): Promise<Tail> {
  const none = (why: string): Tail => ({ seq: from, last: null, complete: false, why });
  if (epoch === null) return none('this backup was made while the second copy was not running');
  const epochs = await epochsIn(folder);
  const own = epochs.find((one) => one.epoch === epoch);
  if (own === undefined) return none(`the second copy has no commits of the epoch ${epoch}`);
  const state = {
    seq: from,
    last: null as CommitRecord | null,
    mode: 'after' as CopyMode,
    closed: false,
    made: '',
  };
  for (const first of own.firsts) {
    const follows = await readSegment(folder, epoch, first, key, async ({ header, records }) => {
      state.mode = header.mode;
      state.made = header.made;
      for await (const record of records()) {
        if (record.seq > state.seq + 1) return false;
        if (record.closed) state.closed = record.seq === state.seq;
        // What the backup has, or an interrupted segment had, is not applied again: later pages are there already.
        if (record.closed || record.seq <= state.seq) continue;
        await applyRecord(database, record);
        Object.assign(state, { seq: record.seq, last: record, closed: false });
      }
      return true;
    });
    if (follows === false)
      return {
        seq: state.seq,
        last: state.last,
        complete: false,
        why: `the second copy has no commit ${state.seq + 1}: what comes after it cannot be used`,
      };
  }
  const { seq, last, mode, closed, made } = state;
  for (const other of epochs) {
    if (other.epoch === epoch) continue;
    const newer = await Promise.all(
      other.firsts
        .slice(0, 1)
        .map((first) => readSegment(folder, other.epoch, first, key, async ({ header }) => header.made)),
    );
    if (newer.some((time) => time !== null && time > made))
      return {
        seq,
        last,
        complete: false,
        why: `the second copy went on in the epoch ${other.epoch}, which no backup leads to`,
      };
  }
  const complete = closed || mode === 'before-250';
  return {
    seq,
    last,
    complete,
    why: complete
      ? closed
        ? 'the store was closed in good order after the last commit of the second copy'
        : 'nothing was acknowledged before it lay in the second copy'
      : 'the second copy was kept after acknowledging: its last moments may be missing',
  };
}
