/** What a write command works with: the connection, the tenants' logs, and what to tell after the commit. */
import type Database from 'better-sqlite3';
import { commitmentOf, entryBytes, SALT_LENGTH } from '../../evidence/canonical.ts';
import { createNoteSigner, type NoteSigner, signCheckpoint, verifierKey } from '../../evidence/checkpoint.ts';
import { ENTRY_VERSION, type Entry, type EntryBody } from '../../evidence/entry.ts';
import { appendLeaves, edgeRoot, leafHash, loadEdge, type TreeEdge } from '../../evidence/merkle.ts';
import { type EvidenceTable, evidenceTables, projectionOf } from '../../evidence/projection.ts';
import { loadTenantKeys, type TenantKeys } from '../keys.ts';
import { keyedDigest, newKey, random, sealChunk, wrapKey } from '../sealing.ts';
import type { Change } from '../store.ts';
import { followAwaited } from './awaited.ts';
import { followPrivateMail } from './private-mail.ts';
import { insertSql } from './schema.ts';

export interface TenantLog {
  keys: TenantKeys;
  readonly origin: string;
  readonly signer: NoteSigner;
  edge: TreeEdge;
  /** Leaves of the running transaction, not yet in the tree. */
  pending: Buffer[];
}

export interface WriteContext {
  readonly db: Database.Database;
  /** Epoch milliseconds of the running command. */
  now: number;
  /** Told to subscribers after the commit. */
  changes: Change[];
  /** Files to unlink after the commit. */
  unlink: string[];
  sql(text: string): Database.Statement;
  log(tenant: string): TenantLog;
  /** Reads the tenant's keys anew; those of before still open what was staged under them. */
  reloadKeys(tenant: string): TenantLog;
  /** Appends an entry with its projection; returns it with index and time. */
  append(tenant: string, body: EntryBody): Entry;
}

export interface ContextOptions {
  readonly keysDirectory: string;
  /** Origin of a tenant's log is `<originPrefix>/<tenant>`. */
  readonly originPrefix: string;
}

export function createWriteContext(
  db: Database.Database,
  options: ContextOptions,
): WriteContext & { commitTrees(): Map<string, string>; rollbackTrees(): void } {
  const statements = new Map<string, Database.Statement>();
  const logs = new Map<string, TenantLog>();
  const sql = (text: string) => {
    let statement = statements.get(text);
    if (statement === undefined) {
      statement = db.prepare(text);
      statements.set(text, statement);
    }
    return statement;
  };
  const inserts = Object.fromEntries(
    (Object.keys(evidenceTables) as EvidenceTable[]).map((table) => [table, insertSql(table)]),
  ) as Record<EvidenceTable, string>;

  const context: WriteContext = {
    db,
    now: 0,
    changes: [],
    unlink: [],
    sql,
    log(tenant) {
      let log = logs.get(tenant);
      if (log === undefined) {
        log = openLog(sql, options, tenant);
        logs.set(tenant, log);
      }
      return log;
    },
    reloadKeys(tenant) {
      const log = context.log(tenant);
      const fresh = loadTenantKeys(options.keysDirectory, tenant, false);
      const former = log.keys.wraps.filter((wrap) => !fresh.wraps.some((other) => other.equals(wrap)));
      log.keys = { ...fresh, wraps: [...fresh.wraps, ...former] };
      return log;
    },
    append(tenant, body) {
      const log = context.log(tenant);
      const index = log.edge.size + log.pending.length;
      const entry = {
        v: ENTRY_VERSION,
        tenant,
        index,
        time: new Date(context.now).toISOString(),
        ...body,
      } as Entry;
      const bytes = entryBytes(entry);
      const salt = random(SALT_LENGTH);
      const commitment = commitmentOf(salt, bytes);
      const { bytes: keyBytes, key } = newKey();
      const name = entryContext(tenant, index);
      const sealed = sealChunk(key, Buffer.from(name), 0, true, Buffer.concat([salt, bytes]));
      sql(
        'INSERT INTO entry (tenant, idx, kind, time, commitment, key, sealed) VALUES (?, ?, ?, ?, ?, ?, ?)',
      ).run(
        tenant,
        index,
        entry.kind,
        entry.time,
        commitment,
        wrapKey(log.keys.wrap, keyBytes, name),
        sealed,
      );
      for (const row of projectionOf(entry, (sha256) => keyedDigest(log.keys.address, sha256))) {
        sql(inserts[row.table]).run(tenant, ...row.cells);
      }
      log.pending.push(leafHash(commitment));
      followAwaited(context, tenant, entry);
      followPrivateMail(context, tenant, entry);
      return entry;
    },
  };

  return Object.assign(context, {
    /** Puts the pending leaves into the trees and signs; to be called inside the transaction, before its commit. */
    commitTrees() {
      const notes = new Map<string, string>();
      for (const [tenant, log] of logs) {
        if (log.pending.length === 0) continue;
        const { edge, changed } = appendLeaves(log.edge, log.pending);
        for (const tile of changed) {
          sql(
            'INSERT INTO tile (tenant, level, n, hashes) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET hashes = excluded.hashes',
          ).run(tenant, tile.level, tile.n, tile.hashes);
        }
        const note = signCheckpoint(
          { origin: log.origin, size: edge.size, root: edgeRoot(edge) },
          log.signer,
        );
        sql(
          'INSERT INTO checkpoint (tenant, origin, size, note) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET size = excluded.size, note = excluded.note',
        ).run(tenant, log.origin, edge.size, note);
        log.edge = edge;
        log.pending = [];
        notes.set(tenant, note);
      }
      return notes;
    },
    /** Forgets what the failed transaction built; the next use loads the committed state again. */
    rollbackTrees() {
      logs.clear();
      context.changes = [];
      context.unlink = [];
    },
  });
}

/** Additional data of an entry's encryption: binds it to its place. */
export function entryContext(tenant: string, index: number): string {
  return `entry/${tenant}/${index}`;
}

function openLog(
  sql: (text: string) => Database.Statement,
  options: ContextOptions,
  tenant: string,
): TenantLog {
  const row = sql('SELECT origin, size FROM checkpoint WHERE tenant = ?').get(tenant) as
    | { origin: string; size: number }
    | undefined;
  const keys = loadTenantKeys(options.keysDirectory, tenant, row === undefined);
  const origin = row?.origin ?? `${options.originPrefix}/${tenant}`;
  const read = (level: number, n: number) =>
    (
      sql('SELECT hashes FROM tile WHERE tenant = ? AND level = ? AND n = ?').get(tenant, level, n) as
        | { hashes: Buffer }
        | undefined
    )?.hashes ?? Buffer.alloc(0);
  return {
    keys,
    origin,
    signer: createNoteSigner(origin, keys.logPrivate),
    edge: loadEdge(row?.size ?? 0, read),
    pending: [],
  };
}

/** Body of the first entry of a log. */
export function openedBody(log: TenantLog): EntryBody {
  return { kind: 'log-opened', origin: log.origin, key: verifierKey(log.origin, log.keys.logPublic) };
}
