/**
 * Reads committed transactions out of a write-ahead log (https://sqlite.org/fileformat2.html#walformat). Every frame is
 * checked by its salt and its place in the chain of checksums: what an earlier round or a rolled-back transaction left
 * behind never counts.
 */
import { readSync } from 'node:fs';
import { endianness } from 'node:os';

/** One transaction as it changed the database. */
export interface WalCommit {
  /** Pages of the database after it. */
  readonly databasePages: number;
  /** Page numbers, from 1; the last image of each. */
  readonly pages: ReadonlyMap<number, Buffer>;
}

/** After which frame reading goes on. */
export interface WalPlace {
  /** Both salts: another round of the log has others. */
  readonly salts: string;
  readonly offset: number;
  readonly sums: readonly [number, number];
}

export interface WalReading {
  readonly pageSize: number;
  readonly commits: readonly WalCommit[];
  /** After the last commit; null where the log is empty. */
  readonly place: WalPlace | null;
}

const HEADER = 32;
const FRAME_HEADER = 24;
const WINDOW = 262_144;

/** Reads the commits after `from`; from the log's beginning where it was begun anew since, or `from` is null. */
export function readCommits(wal: number, from: WalPlace | null): WalReading {
  const header = Buffer.alloc(HEADER);
  if (readSync(wal, header, 0, HEADER, 0) < HEADER) return { pageSize: 0, commits: [], place: null };
  const magic = header.readUInt32BE(0);
  if (magic >>> 1 !== 0x377f0682 >>> 1) return { pageSize: 0, commits: [], place: null };
  const swapped = ((magic & 1) === 1) !== (endianness() === 'BE');
  const pageSize = header.readUInt32BE(8);
  const salts = header.toString('hex', 16, 24);
  const start = checksum(header.subarray(0, 24), [0, 0], swapped);
  if (start[0] !== header.readUInt32BE(24) || start[1] !== header.readUInt32BE(28))
    return { pageSize, commits: [], place: null };
  let place: WalPlace = from?.salts === salts ? from : { salts, offset: HEADER, sums: start };
  const commits: WalCommit[] = [];
  let pages = new Map<number, Buffer>();
  let sums = place.sums;
  const frameSize = FRAME_HEADER + pageSize;
  const frames = Math.max(1, Math.floor(WINDOW / frameSize));
  for (let at = place.offset; ; ) {
    const window = Buffer.allocUnsafeSlow(frames * frameSize);
    const read = readSync(wal, window, 0, window.length, at);
    for (let i = 0; (i + 1) * frameSize <= read; i++) {
      const frame = window.subarray(i * frameSize, (i + 1) * frameSize);
      if (frame.toString('hex', 8, 16) !== salts) return { pageSize, commits, place };
      const image = frame.subarray(FRAME_HEADER);
      sums = checksum(image, checksum(frame.subarray(0, 8), sums, swapped), swapped);
      if (sums[0] !== frame.readUInt32BE(16) || sums[1] !== frame.readUInt32BE(20))
        return { pageSize, commits, place };
      pages.set(frame.readUInt32BE(0), image);
      at += frameSize;
      const databasePages = frame.readUInt32BE(4);
      if (databasePages === 0) continue;
      commits.push({ databasePages, pages });
      pages = new Map();
      place = { salts, offset: at, sums };
    }
    if (read < window.length) return { pageSize, commits, place };
  }
}

/** All of them as one: the last image of each page. */
export function mergeCommits(commits: readonly WalCommit[]): WalCommit | null {
  const last = commits.at(-1);
  if (last === undefined) return null;
  const pages = new Map<number, Buffer>();
  for (const commit of commits) for (const [page, image] of commit.pages) pages.set(page, image);
  return { databasePages: last.databasePages, pages };
}

function checksum(bytes: Buffer, from: readonly [number, number], swapped: boolean): [number, number] {
  let [a, b] = from;
  if (swapped) {
    for (let i = 0; i < bytes.length; i += 8) {
      a = (a + readOther(bytes, i) + b) >>> 0;
      b = (b + readOther(bytes, i + 4) + a) >>> 0;
    }
    return [a, b];
  }
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  for (let i = 0; i < words.length; i += 2) {
    a = (a + words[i]! + b) >>> 0;
    b = (b + words[i + 1]! + a) >>> 0;
  }
  return [a, b];
}

function readOther(bytes: Buffer, at: number): number {
  return endianness() === 'BE' ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at);
}
