import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { mergeCommits, readCommits, type WalPlace } from './wal-frames.ts';

let folder: string;
let db: Database.Database;
let wal: number;
const file = () => join(folder, 'a.sqlite');

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'wal-'));
  db = new Database(file());
  db.pragma('journal_mode = WAL');
  db.pragma('wal_autocheckpoint = 0');
  db.exec('CREATE TABLE t (n INTEGER, b BLOB)');
  wal = openSync(`${file()}-wal`, 'r');
});
afterEach(async () => {
  closeSync(wal);
  db.close();
  await rm(folder, { recursive: true });
});

const insert = (n: number, size = 100) =>
  db.prepare('INSERT INTO t VALUES (?, ?)').run(n, Buffer.alloc(size, n));

/** The database as file and log give it. */
function replay(pages: ReadonlyMap<number, Buffer>, databasePages: number): Buffer {
  const bytes = Buffer.alloc(databasePages * 4096);
  readFileSync(file()).copy(bytes);
  for (const [page, image] of pages) image.copy(bytes, (page - 1) * 4096);
  return bytes;
}

it('gives each commit once, and together the database', () => {
  let place: WalPlace | null = readCommits(wal, null).place;
  for (let n = 1; n < 20; n++) {
    insert(n, n * 3000);
    const reading = readCommits(wal, place);
    expect(reading.commits).toHaveLength(1);
    ({ place } = reading);
  }
  const { commits } = readCommits(wal, null);
  expect(commits).toHaveLength(20);
  const all = mergeCommits(commits)!;
  const copy = join(folder, 'copy.sqlite');
  writeFileSync(copy, replay(all.pages, all.databasePages));
  const other = new Database(copy);
  expect(other.prepare('SELECT COUNT(*), SUM(length(b)) FROM t').raw().get()).toEqual(
    db.prepare('SELECT COUNT(*), SUM(length(b)) FROM t').raw().get(),
  );
  expect(other.pragma('integrity_check', { simple: true })).toBe('ok');
  other.close();
});

it('begins at the beginning of a log that was begun anew, and takes nothing of the round before', () => {
  for (let n = 0; n < 10; n++) insert(n, 20_000);
  const { place } = readCommits(wal, null);
  db.pragma('wal_checkpoint(RESTART)');
  insert(77);
  const reading = readCommits(wal, place);
  expect(reading.commits).toHaveLength(1);
  expect(reading.place!.salts).not.toBe(place!.salts);
  expect(readCommits(wal, reading.place).commits).toEqual([]);
});

it('takes nothing of a transaction that was rolled back after it had spilled', () => {
  db.pragma('cache_size = 5');
  const { place } = readCommits(wal, null);
  db.exec('BEGIN');
  for (let n = 0; n < 30; n++) insert(n, 50_000);
  db.exec('ROLLBACK');
  expect(readCommits(wal, place).commits).toEqual([]);
  insert(1);
  const reading = readCommits(wal, place);
  expect(reading.commits).toHaveLength(1);
  expect(reading.commits[0]!.pages.size).toBeLessThan(4);
});

it('stops before a frame that is not whole', () => {
  insert(1);
  insert(2);
  const bytes = readFileSync(`${file()}-wal`);
  const cut = join(folder, 'cut');
  for (const change of [
    (b: Buffer) => b.subarray(0, -1),
    (b: Buffer) => {
      b[b.length - 1]! ^= 1;
      return b;
    },
  ]) {
    writeFileSync(cut, change(Buffer.from(bytes)));
    const handle = openSync(cut, 'r');
    expect(readCommits(handle, null).commits).toHaveLength(2);
    closeSync(handle);
  }
  writeFileSync(cut, 'no log at all, but longer than a header of one');
  const handle = openSync(cut, 'r');
  expect(readCommits(handle, null)).toEqual({ pageSize: 0, commits: [], place: null });
  closeSync(handle);
});
