import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { configure } from './schema.ts';
import { startWalKeeper } from './wal-keeper.ts';

const mebibyte = 1024 * 1024;
let directory: string;
let file: string;
let db: Database.Database;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'wal-'));
  file = join(directory, 'store.sqlite');
  db = new Database(file);
  configure(db);
  db.pragma('synchronous = OFF');
  db.exec('CREATE TABLE t (n INTEGER PRIMARY KEY, b BLOB NOT NULL)');
});
afterEach(() => {
  db.close();
  rmSync(directory, { recursive: true });
});

const databaseSize = () => statSync(file).size;

function commit(bytes: number) {
  db.prepare('INSERT INTO t (b) VALUES (zeroblob(?))').run(bytes);
}

it('copies a long log while the writer goes on, and ends with all of it intact', async () => {
  const keeper = startWalKeeper(db, file);
  for (let i = 0; i < 16; i += 1) {
    commit(0.6 * mebibyte);
    keeper.committed();
  }
  while (databaseSize() < 9 * mebibyte) {
    commit(1);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await keeper.close();
  expect(db.pragma('integrity_check', { simple: true })).toBe('ok');
});

it('leaves a short log alone', async () => {
  const keeper = startWalKeeper(db, file);
  const before = databaseSize();
  for (let i = 0; i < 64; i += 1) {
    commit(1000);
    keeper.committed();
  }
  await keeper.close();
  expect(databaseSize()).toBe(before);
});

it('may be closed while it is copying', async () => {
  const keeper = startWalKeeper(db, file);
  for (let i = 0; i < 16; i += 1) {
    commit(0.6 * mebibyte);
    keeper.committed();
  }
  await keeper.close();
  expect(databaseSize()).toBeGreaterThan(9 * mebibyte);
});
