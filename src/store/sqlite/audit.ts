/** The SQLite engine's view for verification: one read transaction, no writer. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { AuditObject, AuditSource, OpenRecipient } from '../../evidence/audit.ts';
import { verifierKey } from '../../evidence/checkpoint.ts';
import { type Cell, evidenceTables } from '../../evidence/projection.ts';
import type { MessageIndex } from '../../mime/types.ts';
import { keyedDigest } from '../sealing.ts';
import { type ObjectRow, openObject } from './objects.ts';
import type { StorePaths } from './open.ts';
import { createReadContext, type EntryRow } from './read-context.ts';

/**
 * Opens a store for verification, also while a gateway runs on it. Dispose ends the snapshot.
 * @throws Error where there is no store, or it is of a later release.
 */
export function openAudit(paths: StorePaths): AuditSource & Disposable {
  if (!existsSync(paths.file)) throw new Error(`${paths.file}: there is no store`);
  const db = new Database(paths.file, { readonly: true });
  db.pragma('busy_timeout = 10000');
  const tenants = db
    .prepare('SELECT DISTINCT tenant FROM entry UNION SELECT tenant FROM checkpoint ORDER BY 1')
    .pluck()
    .all() as string[];
  // Read before the snapshot begins: a checkpoint that a running gateway writes later may be ahead of it.
  const kept = new Map(tenants.map((tenant) => [tenant, readKept(paths, tenant)]));
  db.exec('BEGIN');
  const context = createReadContext(db, paths.objects, paths.keys);

  function auditObject(tenant: string, row: ObjectRow & { structure: string | null }): AuditObject {
    return {
      object: row.object,
      size: row.size,
      structure: row.structure === null ? null : (JSON.parse(row.structure) as MessageIndex),
      async *read(from = 0) {
        yield* openObject(paths.objects, context.keys(tenant), row).read(from);
      },
    };
  }

  return {
    tenants: () => tenants,
    checkpoint: (tenant) =>
      (db.prepare('SELECT origin, size, note FROM checkpoint WHERE tenant = ?').get(tenant) as
        | { origin: string; size: number; note: string }
        | undefined) ?? null,
    keptCheckpoint: (tenant) => kept.get(tenant) ?? null,
    verifierKey: (tenant, origin) => verifierKey(origin, context.keys(tenant).logPublic),
    keyed: (tenant, sha256) => keyedDigest(context.keys(tenant).address, sha256),
    *entries(tenant) {
      for (const row of db
        .prepare('SELECT idx, kind, time, commitment, key, sealed FROM entry WHERE tenant = ? ORDER BY idx')
        .iterate(tenant) as Iterable<EntryRow>) {
        yield {
          index: row.idx,
          kind: row.kind,
          time: row.time,
          commitment: row.commitment,
          open: () => context.openEntry(tenant, row),
        };
      }
    },
    tiles: (tenant) =>
      db.prepare('SELECT level, n, hashes FROM tile WHERE tenant = ?').iterate(tenant) as Iterable<{
        level: number;
        n: number;
        hashes: Buffer;
      }>,
    rows: (tenant, table) =>
      db
        .prepare(`SELECT ${evidenceTables[table].join(', ')} FROM ${table} WHERE tenant = ? ORDER BY rowid`)
        .raw()
        .iterate(tenant) as Iterable<readonly Cell[]>,
    openRecipients: (tenant) =>
      db
        .prepare(
          'SELECT r.letter, r.tx, r.address, o.state FROM outbox_recipient r JOIN outbox o USING (tenant, letter, tx) WHERE r.tenant = ?',
        )
        .iterate(tenant) as Iterable<OpenRecipient>,
    *objects(tenant) {
      const names = db
        .prepare('SELECT object FROM object WHERE tenant = ? ORDER BY rowid')
        .pluck()
        .all(tenant) as string[];
      for (const name of names) yield this.object(tenant, name)!;
    },
    object(tenant, name) {
      const row = context
        .sql('SELECT object, uid, size, key, inline, structure FROM object WHERE tenant = ? AND object = ?')
        .get(tenant, name) as (ObjectRow & { structure: string | null }) | undefined;
      return row === undefined ? null : auditObject(tenant, row);
    },
    brokenCopies: (tenant) =>
      db
        .prepare(
          `SELECT b.owner_name || '/' || b.name AS mailbox, m.uid, m.object FROM mail m JOIN mailbox b ON b.id = m.mailbox
           WHERE m.tenant = ? AND NOT EXISTS (SELECT 1 FROM object o WHERE o.tenant = m.tenant AND o.object = m.object)`,
        )
        .iterate(tenant) as Iterable<{ mailbox: string; uid: number; object: string }>,
    [Symbol.dispose]() {
      db.close();
    },
  };
}

function readKept(paths: StorePaths, tenant: string): { place: string; note: string } | null {
  const place = join(paths.checkpoints, tenant);
  return existsSync(place) ? { place, note: readFileSync(place, 'utf8') } : null;
}
