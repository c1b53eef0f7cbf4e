/** What reads work with: a read-only connection, the tenants' keys, prepared statements. */
import type Database from 'better-sqlite3';
import type { Entry } from '../../evidence/entry.ts';
import type { TileReader } from '../../evidence/merkle.ts';
import { loadTenantKeys, type TenantKeys } from '../keys.ts';
import type { LogInfo } from '../logs.ts';
import { CorruptObject } from '../store.ts';
import { ENTRY_BY_INDEX, type EntryRow, entryOfRow, openEntryRow } from './entry-rows.ts';
import { keysOf, logRows } from './tenant-logs.ts';

export interface ReadContext {
  readonly db: Database.Database;
  readonly objectsDirectory: string;
  readonly keysDirectory: string;
  sql(text: string): Database.Statement;
  keys(tenant: string): TenantKeys;
  /** Reads the tenant's keys anew when they are needed next. */
  forgetKeys(tenant: string): void;
  tiles(tenant: string, log: number): TileReader;
  /** All logs of the tenant, in order. */
  logs(tenant: string): LogInfo[];
  /** Salt and canonical bytes of an entry. @throws CorruptObject naming it. */
  openEntry(tenant: string, row: EntryRow): { salt: Buffer; bytes: Buffer };
  entry(tenant: string, index: number): Entry | null;
}

export function createReadContext(
  db: Database.Database,
  objectsDirectory: string,
  keysDirectory: string,
  loadKeys = (tenant: string) => loadTenantKeys(keysDirectory, tenant, false),
): ReadContext {
  const statements = new Map<string, Database.Statement>();
  const keyring = new Map<string, TenantKeys>();
  const context: ReadContext = {
    db,
    objectsDirectory,
    keysDirectory,
    sql(text) {
      let statement = statements.get(text);
      if (statement === undefined) {
        statement = db.prepare(text);
        statements.set(text, statement);
      }
      return statement;
    },
    keys(tenant) {
      let keys = keyring.get(tenant);
      if (keys === undefined) {
        keys = loadKeys(tenant);
        keyring.set(tenant, keys);
      }
      return keys;
    },
    forgetKeys(tenant) {
      keyring.delete(tenant);
    },
    tiles(tenant, log) {
      return (level, n) =>
        (
          context
            .sql('SELECT hashes FROM tile WHERE tenant = ? AND log = ? AND level = ? AND n = ?')
            .get(tenant, log, level, n) as { hashes: Buffer } | undefined
        )?.hashes ?? Buffer.alloc(0);
    },
    logs(tenant) {
      return logRows(context.sql, tenant).map((row) => {
        const opened = () => {
          const entry = context.entry(tenant, row.base);
          if (entry?.kind !== 'log-opened') throw new CorruptObject(`entry ${tenant}/${row.base}`);
          return entry.key;
        };
        return { ...row, keys: keysOf(context.sql, keysDirectory, tenant, row, opened) };
      });
    },
    openEntry: (tenant, row) => openEntryRow(context.keys(tenant), row),
    entry(tenant, index) {
      const row = context.sql(ENTRY_BY_INDEX).get(tenant, index) as EntryRow | undefined;
      return entryOfRow(() => context.keys(tenant), row);
    },
  };
  return context;
}
