/** What a write command works with: the connection, the tenants' logs, and what to tell after the commit. */
import type Database from 'better-sqlite3';
import { GatewayError } from '../../errors.ts';
import { commitmentOfSalted, entryBytes, SALT_LENGTH } from '../../evidence/canonical.ts';
import { signCheckpoint } from '../../evidence/checkpoint.ts';
import { ENTRY_VERSION, type Entry, type EntryBody } from '../../evidence/entry.ts';
import { appendLeaves, edgeRoot, leafHash } from '../../evidence/merkle.ts';
import { type EvidenceTable, evidenceTables, projectionOf } from '../../evidence/projection.ts';
import { loadTenantKeys } from '../keys.ts';
import { keyedDigest, newKey, random, sealChunk, wrapKey } from '../sealing.ts';
import type { Change } from '../store.ts';
import { followAwaited } from './awaited.ts';
import { ENTRY_BY_INDEX, type EntryRow, entryContext, entryOfRow } from './entry-rows.ts';
import type { ErasureLine } from './erasure-journal.ts';
import { followKeywords } from './keywords.ts';
import { followIntents } from './open-intents.ts';
import { followPrivateMail } from './private-mail.ts';
import { insertSql } from './schema.ts';
import { openLog, type TenantLog } from './writer-log.ts';

export interface WriteContext {
  readonly db: Database.Database;
  readonly options: ContextOptions;
  /** Epoch milliseconds of the running command. */
  now: number;
  /** Told to subscribers after the commit. */
  changes: Change[];
  /** Files to unlink after the commit. */
  unlink: string[];
  /** Object files that rows of this transaction name, `tenant/uid`. */
  files: string[];
  /** For the journal of erasures, after the commit. */
  erasures: ErasureLine[];
  sql(text: string): Database.Statement;
  log(tenant: string): TenantLog;
  /** Reads the tenant's keys anew; those of before still open what was staged under them. */
  reloadKeys(tenant: string): TenantLog;
  /** The next use of the tenant's log loads it anew: its rows were changed beside it. */
  reloadLog(tenant: string): void;
  /** Appends an entry with its projection; returns it with index and time. @throws evidence-held */
  append(tenant: string, body: EntryBody): Entry;
  /** Row and projection of an entry; its place in a tree is the caller's matter. @returns its commitment */
  put(tenant: string, entry: Entry, salted: Buffer): Buffer;
  /** Null where there is none, or it was erased. @throws CorruptObject */
  entry(tenant: string, index: number): Entry | null;
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
    options,
    now: 0,
    changes: [],
    unlink: [],
    files: [],
    erasures: [],
    sql,
    log(tenant) {
      let log = logs.get(tenant);
      if (log === undefined) {
        log = openLog(sql, options.keysDirectory, options.originPrefix, tenant, context.now);
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
    reloadLog(tenant) {
      if ((logs.get(tenant)?.pending.length ?? 0) > 0)
        throw new Error(`log of ${tenant} has entries that are not committed`);
      logs.delete(tenant);
    },
    append(tenant, body) {
      const log = context.log(tenant);
      if (log.held) throw new GatewayError('evidence-held', tenant);
      const index = log.base + log.edge.size + log.pending.length;
      const entry = {
        v: ENTRY_VERSION,
        tenant,
        index,
        time: new Date(context.now).toISOString(),
        ...body,
      } as Entry;
      const salted = Buffer.concat([random(SALT_LENGTH), entryBytes(entry)]);
      log.pending.push(leafHash(context.put(tenant, entry, salted)));
      return entry;
    },
    put(tenant, entry, salted) {
      const { keys } = context.log(tenant);
      const { index } = entry;
      const commitment = commitmentOfSalted(salted);
      const { bytes: keyBytes, key } = newKey();
      const name = entryContext(tenant, index);
      const sealed = sealChunk(key, Buffer.from(name), 0, true, salted);
      sql(
        'INSERT INTO entry (tenant, idx, kind, time, commitment, key, sealed) VALUES (?, ?, ?, ?, ?, ?, ?)',
      ).run(tenant, index, entry.kind, entry.time, commitment, wrapKey(keys.wrap, keyBytes, name), sealed);
      for (const row of projectionOf(entry, (sha256) => keyedDigest(keys.address, sha256))) {
        sql(inserts[row.table]).run(tenant, ...row.cells);
      }
      followAwaited(context, tenant, entry);
      followIntents(context, tenant, entry);
      followPrivateMail(context, tenant, entry);
      followKeywords(context, tenant, entry);
      return commitment;
    },
    entry(tenant, index) {
      const row = sql(ENTRY_BY_INDEX).get(tenant, index) as EntryRow | undefined;
      return entryOfRow(() => context.log(tenant).keys, row);
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
            'INSERT INTO tile (tenant, log, level, n, hashes) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET hashes = excluded.hashes',
          ).run(tenant, log.number, tile.level, tile.n, tile.hashes);
        }
        const note = signCheckpoint(
          { origin: log.origin, size: edge.size, root: edgeRoot(edge) },
          ...log.signers,
        );
        sql(
          'INSERT INTO checkpoint (tenant, origin, size, note) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET size = excluded.size, note = excluded.note',
        ).run(tenant, log.origin, edge.size, note);
        log.edge = edge;
        log.pending = [];
        // The checkpoint over the change of keys carries both signatures, later ones only while they overlap.
        if (log.signers.length > 1 && log.overlapUntil <= context.now) log.signers = [log.signers[0]!];
        context.changes.push({ topic: 'log', tenant });
        notes.set(tenant, note);
      }
      return notes;
    },
    /** Forgets what the failed transaction built; the next use loads the committed state again. */
    rollbackTrees() {
      logs.clear();
      context.changes = [];
      context.unlink = [];
      context.files = [];
      context.erasures = [];
    },
  });
}
