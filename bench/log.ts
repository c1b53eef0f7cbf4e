/**
 * `node bench/log.ts [ENTRIES…]`: does a log cost the same at any length? Appends synthetic entries in group commits of
 * 50, then measures appending, proving and opening at that length, beside raw SQLite commits of the same rows in the
 * same run. Without arguments 100,000 and 1,000,000.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { openSqliteStore } from '../src/store/sqlite/open.ts';
import { configure, migrate } from '../src/store/sqlite/schema.ts';
import { createWriteContext } from '../src/store/sqlite/write-context.ts';

const BATCH = 50;
const SAMPLE = 5_000;
const tenant = 'stadt';
const sizes = process.argv.slice(2).map(Number);

for (const size of sizes.length > 0 ? sizes : [100_000, 1_000_000]) {
  const directory = await mkdtemp(join(tmpdir(), 'bench-log-'));
  try {
    const db = new Database(join(directory, 'store.sqlite'));
    configure(db);
    migrate(db);
    const context = createWriteContext(db, {
      keysDirectory: join(directory, 'keys'),
      originPrefix: 'bench.example',
    });
    const append = (from: number, count: number) => {
      for (let at = 0; at < count; at += BATCH) {
        db.exec('BEGIN IMMEDIATE');
        context.now = Date.parse('2026-01-01T00:00:00Z') + from + at;
        for (let i = 0; i < BATCH; i++)
          context.append(tenant, {
            kind: 'access',
            actor: { type: 'user', name: 'erika@stadt.example' },
            action: 'search',
            query: `{"messageId":"<${from + at + i}@stadt.example>"}`,
          });
        context.commitTrees();
        db.exec('COMMIT');
        context.changes = [];
      }
    };
    db.pragma('synchronous = OFF'); // building up to the length that is measured
    append(0, size - SAMPLE);
    db.pragma('wal_checkpoint(TRUNCATE)');
    db.pragma('synchronous = FULL');
    const appended = seconds(() => append(size - SAMPLE, SAMPLE));
    const raw = rawCommits(db, join(directory, 'raw.sqlite'), size);
    db.pragma('wal_checkpoint(TRUNCATE)');
    db.close();
    const before = performance.now();
    await using store = await openSqliteStore({ directory, originPrefix: 'bench.example' });
    const start = performance.now() - before;
    const proofs: number[] = [];
    for (let i = 0; i < 1000; i++) {
      const began = performance.now();
      await store.proof(tenant, Math.floor((i * 7919 * size) / 7_919_000) % size);
      proofs.push(performance.now() - began);
    }
    proofs.sort((a, b) => a - b);
    console.log(
      JSON.stringify({
        entries: size,
        append_per_second: Math.round(SAMPLE / appended),
        raw_sqlite_per_second: Math.round(SAMPLE / raw),
        start_ms: Math.round(start),
        proof_ms_median: Number(proofs[500]!.toFixed(3)),
        proof_ms_p99: Number(proofs[990]!.toFixed(3)),
      }),
    );
  } finally {
    await rm(directory, { recursive: true });
  }
}

function seconds(work: () => void): number {
  const before = performance.now();
  work();
  return (performance.now() - before) / 1000;
}

/** The newest rows again, into a table of the same form in a file of its own, in the same batches. */
function rawCommits(db: Database.Database, file: string, size: number): number {
  const rows = db
    .prepare('SELECT * FROM entry WHERE tenant = ? AND idx >= ?')
    .raw()
    .all(tenant, size - SAMPLE) as unknown[][];
  const raw = new Database(file);
  configure(raw);
  raw.exec(
    'CREATE TABLE entry (tenant TEXT, idx INTEGER, kind TEXT, time TEXT, commitment BLOB, key BLOB, sealed BLOB, UNIQUE (tenant, idx)) STRICT',
  );
  const insert = raw.prepare('INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?)');
  const took = seconds(() => {
    for (let at = 0; at < rows.length; at += BATCH) {
      raw.exec('BEGIN IMMEDIATE');
      for (const row of rows.slice(at, at + BATCH)) insert.run(...row);
      raw.exec('COMMIT');
    }
  });
  raw.close();
  return took;
}
