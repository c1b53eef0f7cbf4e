/** The SQLite engine's view for verification: one read transaction, no writer. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import Database from 'better-sqlite3';
import type {
  AuditEntry,
  AuditObject,
  AuditSource,
  LogKey,
  OpenRecipient,
  PrivateObject,
  WaitingAddress,
} from '../../evidence/audit.ts';
import type { NodeRun } from '../../evidence/ers/partial-tree.ts';
import { verifierKey } from '../../evidence/note.ts';
import { type Cell, evidenceTables } from '../../evidence/projection.ts';
import type { MessageIndex } from '../../mime/types.ts';
import { secretExists } from '../key-files.ts';
import { logKeyFile, logKeyFileOf, readLogKey } from '../keys.ts';
import type { LogInfo } from '../logs.ts';
import { keyedDigest } from '../sealing.ts';
import { ENTRY_BY_INDEX, type EntryRow, isErased } from './entry-rows.ts';
import { keptFiles, readKept as readKeptFile } from './head-check.ts';
import { listingProblems } from './listings.ts';
import { type ObjectRow, objectFile, openObject, sealedSize } from './objects.ts';
import type { StorePaths } from './paths.ts';
import { archiveReader } from './read-archive.ts';
import { createReadContext } from './read-context.ts';
import { requireSchema } from './schema.ts';
import { summaryOf } from './summary.ts';
import { keyRows } from './tenant-logs.ts';

/**
 * Opens a store for verification, also while a gateway runs on it. Dispose ends the snapshot.
 * @throws Error where there is no store, or it is of a later release.
 */
export function openAudit(paths: StorePaths): AuditSource & Disposable {
  if (!existsSync(paths.file)) throw new Error(`${paths.file}: there is no store`);
  const db = new Database(paths.file, { readonly: true });
  db.pragma('busy_timeout = 10000');
  requireSchema(db);
  const stored = db
    .prepare(
      `SELECT tenant FROM (${TENANTS_WITH_ENTRIES}) UNION SELECT tenant FROM checkpoint
       UNION SELECT tenant FROM closed_log UNION SELECT tenant FROM cosigned`,
    )
    .pluck()
    .all() as string[];
  // A tenant may have been taken out of the database whole: its checkpoint is left.
  const tenants = [...new Set([...stored, ...keptTenants(paths)])].sort();
  // Read before the snapshot begins: a checkpoint that a running gateway writes later may be ahead of it.
  const kept = new Map(tenants.map((tenant) => [tenant, readKept(paths, tenant)]));
  db.exec('BEGIN');
  const context = createReadContext(db, paths.objects, paths.keys);

  function auditEntry(tenant: string, row: EntryRow): AuditEntry {
    return {
      index: row.idx,
      kind: row.kind,
      time: row.time,
      commitment: row.commitment,
      erased: isErased(row),
      open: () => context.openEntry(tenant, row),
    };
  }

  function auditObject(tenant: string, row: StoredObject): AuditObject {
    return {
      object: row.object,
      row: row.rowid,
      size: row.size,
      structure: () => (row.structure === null ? null : (JSON.parse(row.structure) as MessageIndex)),
      summaryProblem(index, head) {
        const kept = context
          .sql('SELECT envelope, structure, header FROM summary WHERE tenant = ? AND object = ?')
          .get(tenant, row.object);
        // Messages of earlier releases have none.
        if (kept === undefined || isDeepStrictEqual(kept, { ...summaryOf(index, head) })) return null;
        return 'what lists show of it is not what it says';
      },
      isFile: row.inline === null,
      fileProblem() {
        const file = objectFile(paths.objects, tenant, row.uid);
        const found = statSync(file, { throwIfNoEntry: false })?.size;
        if (found === undefined) return `its file ${file} is missing`;
        const wanted = sealedSize(row.size);
        return found === wanted ? null : `its file ${file} has ${found} bytes, not ${wanted}`;
      },
      async *read(from = 0) {
        yield* openObject(paths.objects, context.keys(tenant), row).read(from);
      },
    };
  }

  const archive = {
    ...archiveReader(context),
    async object(tenant: string, name: string) {
      const row = objectRow(tenant, name);
      return row === undefined ? null : openObject(paths.objects, context.keys(tenant), row);
    },
    tileNames: (id: number) =>
      db.prepare('SELECT level, n FROM archive_tile WHERE id = ?').iterate(id) as Iterable<{
        level: number;
        n: number;
      }>,
    nodes: (id: number) =>
      db
        .prepare('SELECT level, first, hashes FROM archive_node WHERE id = ? ORDER BY level, first')
        .iterate(id) as Iterable<NodeRun>,
    strays: () => db.prepare(STRAYS).pluck().iterate() as Iterable<string>,
  };

  function objectRow(tenant: string, name: string) {
    return context
      .sql(`SELECT ${STORED_OBJECT} FROM object WHERE tenant = ? AND object = ?`)
      .get(tenant, name) as StoredObject | undefined;
  }

  /** Rows lie in the order of the log: a tenant with a good part of them reads them all faster than it sorts its own. */
  function rowsAreMostlyOf(tenant: string): boolean {
    const sizes = context.sql('SELECT tenant, size FROM checkpoint').all() as {
      tenant: string;
      size: number;
    }[];
    const all = sizes.reduce((sum, { size }) => sum + size, 0);
    return sizes.some((one) => one.tenant === tenant && one.size * SORT_COSTS >= all);
  }

  return {
    tenants: () => tenants,
    archive,
    logs: (tenant) =>
      context.logs(tenant).map((log) => ({
        ...log,
        keys: withOverlaps(log, keyRows(context.sql, tenant, log.number)),
        trustedKey: trustedKey(paths.keys, tenant, log),
        cosigned: db
          .prepare('SELECT size, note FROM cosigned WHERE tenant = ? AND log = ?')
          .all(tenant, log.number) as { size: number; note: string }[],
      })),
    keptCheckpoints: (tenant) => kept.get(tenant) ?? [],
    keyed: (tenant, sha256) => keyedDigest(context.keys(tenant).address, sha256),
    *entries(tenant) {
      for (const row of db
        .prepare('SELECT idx, kind, time, commitment, key, sealed FROM entry WHERE tenant = ? ORDER BY idx')
        .iterate(tenant) as Iterable<EntryRow>)
        yield auditEntry(tenant, row);
    },
    entry(tenant, index) {
      const row = context.sql(ENTRY_BY_INDEX).get(tenant, index) as EntryRow | undefined;
      return row === undefined ? null : auditEntry(tenant, row);
    },
    tile: (tenant, log, level, n) => context.tiles(tenant, log)(level, n),
    tileNames: (tenant, log) =>
      db.prepare('SELECT level, n FROM tile WHERE tenant = ? AND log = ?').iterate(tenant, log) as Iterable<{
        level: number;
        n: number;
      }>,
    rows: (tenant, table) =>
      db
        .prepare(
          `SELECT ${evidenceTables[table].join(', ')} FROM ${table} ${rowsAreMostlyOf(tenant) ? 'NOT INDEXED' : ''} WHERE tenant = ? ORDER BY rowid`,
        )
        .raw()
        .iterate(tenant) as Iterable<readonly Cell[]>,
    waitingPrivate: (tenant) =>
      db
        .prepare('SELECT idx AS "index", address, object FROM waiting_private WHERE tenant = ?')
        .iterate(tenant) as Iterable<WaitingAddress>,
    privateObjects: (tenant) =>
      db
        .prepare('SELECT object, idx AS "index" FROM private_message WHERE tenant = ? ORDER BY idx')
        .iterate(tenant) as Iterable<PrivateObject>,
    privateMark: (tenant, object) =>
      (context
        .sql('SELECT idx FROM private_message WHERE tenant = ? AND object = ?')
        .pluck()
        .get(tenant, object) as number | undefined) ?? null,
    openIntents: (tenant) =>
      db.prepare('SELECT idx FROM open_intent WHERE tenant = ?').pluck().iterate(tenant) as Iterable<number>,
    listings: (tenant) => listingProblems(db, tenant),
    openRecipients: (tenant) =>
      db
        .prepare(
          'SELECT r.letter, r.tx, r.address, o.state FROM outbox_recipient r JOIN outbox o USING (tenant, letter, tx) WHERE r.tenant = ?',
        )
        .iterate(tenant) as Iterable<OpenRecipient>,
    *objects(tenant, rows) {
      // Only the numbers are sorted, and not in memory; as big integers, whatever somebody wrote there.
      const numbers =
        rows ??
        (db
          .prepare('SELECT rowid FROM object WHERE tenant = ? ORDER BY rowid')
          .pluck()
          .safeIntegers()
          .iterate(tenant) as Iterable<bigint>);
      const byNumber = db.prepare(`SELECT ${STORED_OBJECT} FROM object WHERE rowid = ? AND tenant = ?`);
      for (const number of numbers) {
        const row = byNumber.get(number, tenant) as StoredObject | undefined;
        if (row !== undefined) yield auditObject(tenant, row);
      }
    },
    object(tenant, name) {
      const row = objectRow(tenant, name);
      return row === undefined ? null : auditObject(tenant, row);
    },
    objectRow(tenant, name) {
      const row = context
        .sql(
          'SELECT rowid AS number, size, structure IS NOT NULL AS structure FROM object WHERE tenant = ? AND object = ?',
        )
        .get(tenant, name) as { number: number; size: number; structure: number } | undefined;
      return row === undefined
        ? null
        : { number: row.number, size: row.size, hasStructure: row.structure === 1 };
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

interface StoredObject extends ObjectRow {
  readonly rowid: number;
  readonly structure: string | null;
}

const STORED_OBJECT = 'rowid, object, uid, size, key, inline, structure';

/** From one tenant to the next: a look-up in the index for each, whatever the length of their logs. */
const TENANTS_WITH_ENTRIES = `
  WITH RECURSIVE each (tenant) AS (SELECT MIN(tenant) FROM entry
    UNION ALL SELECT (SELECT MIN(tenant) FROM entry e WHERE e.tenant > each.tenant) FROM each WHERE tenant IS NOT NULL)
  SELECT tenant FROM each WHERE tenant IS NOT NULL`;

/** How many rows of others are passed over in the time that it takes to sort one. */
const SORT_COSTS = 8;

/** Rows of the archive's tables whose archive timestamp is missing, or of a kind that has no such rows. */
const STRAYS = `
  SELECT 'range of ' || r.tenant || ' from entry ' || r.from_idx FROM archive_range r
    WHERE NOT EXISTS (SELECT 1 FROM archive_timestamp a WHERE a.id = r.id AND a.kind = 'seal')
  UNION ALL SELECT 'renewal ' || c.id || ' of archive timestamp ' || c.covers FROM archive_cover c
    WHERE NOT EXISTS (SELECT 1 FROM archive_timestamp a WHERE a.id = c.id AND a.kind <> 'seal')
      OR NOT EXISTS (SELECT 1 FROM archive_timestamp a WHERE a.id = c.covers AND a.id < c.id)
  UNION ALL SELECT 'leaf list of ' || l.tenant || ' under archive timestamp ' || l.id FROM archive_leaves l
    WHERE NOT EXISTS (SELECT 1 FROM archive_timestamp a WHERE a.id = l.id AND a.kind = 'hash-tree-renewal')
  UNION ALL SELECT 'exclusion of ' || x.tenant || '/' || x.idx || ' from archive timestamp ' || x.id FROM archive_excluded x
    WHERE NOT EXISTS (SELECT 1 FROM archive_timestamp a WHERE a.id = x.id AND a.kind <> 'timestamp-renewal')
  UNION ALL SELECT 'node ' || n.level || '/' || n.first || ' of archive timestamp ' || n.id FROM archive_node n
    WHERE NOT EXISTS (SELECT 1 FROM archive_timestamp a WHERE a.id = n.id)
  UNION ALL SELECT 'tile ' || t.level || '/' || t.n || ' of archive timestamp ' || t.id FROM archive_tile t
    WHERE NOT EXISTS (SELECT 1 FROM archive_timestamp a WHERE a.id = t.id)`;

/** Tenants that have a checkpoint in the store's own folder; other folders may be those of several stores. */
function keptTenants({ checkpoints: [folder] }: StorePaths): string[] {
  if (!existsSync(folder!)) return [];
  const files = readdirSync(folder!, { withFileTypes: true }).filter((file) => file.isFile());
  return files.map(({ name }) => name).filter((name) => /^[a-z0-9][a-z0-9-]{0,62}$/.test(name));
}

function readKept(paths: StorePaths, tenant: string): { place: string; note: string }[] {
  return keptFiles(paths, tenant).flatMap((place) => {
    const note = readKeptFile(place);
    return note === null ? [] : [{ place, note }];
  });
}

function withOverlaps({ keys }: LogInfo, rows: readonly { readonly until: number }[]): LogKey[] {
  const first = keys.length - rows.length;
  return keys.map((key, at) => ({ ...key, until: rows[at - first]?.until ?? null }));
}

/** By the key folder, not by the database: whoever rewrites the one does not hold the other. */
function trustedKey(directory: string, tenant: string, { number, origin, keys }: LogInfo): string | null {
  const last = keys.at(-1);
  if (last === undefined) return null;
  const file =
    number === 1 && keys.length === 1
      ? logKeyFile(directory, tenant, null)
      : logKeyFileOf(directory, tenant, last.key);
  return secretExists(file) ? verifierKey(origin, readLogKey(file).publicKey) : null;
}
