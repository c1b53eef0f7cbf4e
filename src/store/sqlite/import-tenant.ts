/**
 * Takes a tenant over from another store: entries under their indexes with the salts they had, objects under their
 * addresses, closed logs, seals and renewals. All of it is one transaction of a connection of its own, on a store that
 * no gateway works with; what is put is as good as its caller's checks.
 */
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { unlink } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { parseEntry } from '../../evidence/canonical.ts';
import type {
  Actor,
  Entry,
  ImportedEntry,
  LogKeyEntry,
  ObjectFact,
  OpenedEntry,
} from '../../evidence/entry.ts';
import type { NodeRun } from '../../evidence/ers/partial-tree.ts';
import type { KeyPeriod } from '../../evidence/log-keys.ts';
import { appendLeaves, edgeRoot, emptyEdge, leafHash, TILE_WIDTH } from '../../evidence/merkle.ts';
import { verifierKey } from '../../evidence/note.ts';
import { createOutboxReplay } from '../../evidence/outbox-replay.ts';
import { createIndexer } from '../../mime/structure.ts';
import { KeyError } from '../key-error.ts';
import { readSecret, secretExists, writeSecret } from '../key-files.ts';
import { loadTenantKeys, logKeyFile, readLogKey, type TenantKeys } from '../keys.ts';
import type { ArchiveRecord, Reader } from '../store.ts';
import { createCheckpointFiles } from './checkpoint-files.ts';
import { insertArchiveTimestamp } from './commands/archive.ts';
import { insertObject } from './commands/object.ts';
import { toWireObject } from './commands/wire.ts';
import { keptFiles, readKept } from './head-check.ts';
import { objectFile, prepareObjectDirectory, stageObject } from './objects.ts';
import type { StorePaths } from './paths.ts';
import { archiveReader } from './read-archive.ts';
import { createReadContext } from './read-context.ts';
import { mailboxReader } from './read-mailboxes.ts';
import { doubtQueue } from './restored-queue.ts';
import { configure, countCommit, migrate, requireSchema } from './schema.ts';
import { createWriteContext, type WriteContext } from './write-context.ts';
import { openedBody } from './writer-log.ts';

export interface ImportOptions {
  /** Folder of the store; made if missing. */
  readonly directory: string;
  readonly paths: StorePaths;
  /** The log goes on as `<originPrefix>/<tenant>.<entries>`. */
  readonly originPrefix: string;
  readonly tenant: string;
  /** Entries that come. */
  readonly entries: number;
  /** Logs that come, all closed from then on. */
  readonly logs: number;
  /** 32 bytes: the key by which the tenant's objects are addressed. */
  readonly addressKey: Buffer;
  /** Epoch milliseconds. */
  readonly now: () => number;
  readonly warn: (text: string) => void;
}

export interface ClosedLogImport {
  readonly number: number;
  readonly origin: string;
  readonly base: number;
  readonly size: number;
  /** Its last checkpoint. */
  readonly note: string;
}

export interface TenantImport extends AsyncDisposable {
  /** What was put so far. */
  readonly reader: ReturnType<typeof archiveReader> & Pick<Reader, 'object'>;
  /** @throws Error where the content is not what the fact says, or has another address */
  object(fact: ObjectFact, isMessage: boolean, content: AsyncIterable<Uint8Array>): Promise<void>;
  hasObject(object: string): boolean;
  /** The next entry. */
  entry(salt: Buffer, bytes: Buffer): Entry;
  /** The next entry, which was erased: its commitment is all that came. */
  erased(index: number, commitment: Buffer): void;
  /** After the last entry of a log. @throws Error where its entries do not give its size */
  closeLog(log: ClosedLogImport): void;
  /** In the order of their numbers. @returns its number here */
  archiveTimestamp(record: Omit<ArchiveRecord, 'tiles'>, nodes: readonly NodeRun[]): number;
  /** Opens the log that goes on, and commits all. */
  commit(closing: {
    readonly actor: Actor;
    readonly reason: string;
    readonly imported: Omit<ImportedEntry, 'kind'>;
  }): Promise<{ readonly origin: string; readonly key: string; readonly inDoubt: number }>;
}

/**
 * @throws Error where the tenant has entries, checkpoints or other keys here, or the store is of another release;
 * nothing was changed then
 */
export function beginImport(options: ImportOptions): TenantImport {
  const { directory, paths, tenant, entries, now } = options;
  refuseKept(paths, tenant);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  prepareObjectDirectory(paths.objects);
  const isNew = !existsSync(paths.file);
  const db = new Database(paths.file);
  let madeKeys: string[] = [];
  try {
    if (!isNew) requireSchema(db);
    configure(db);
    if (isNew) migrate(db);
    const { n } = db
      .prepare(
        'SELECT (SELECT COUNT(*) FROM entry WHERE tenant = $tenant) + (SELECT COUNT(*) FROM checkpoint WHERE tenant = $tenant) AS n',
      )
      .get({ tenant }) as { n: number };
    if (n > 0)
      throw new Error(`tenant ${tenant} has entries in ${paths.file}: what comes cannot stand before them`);
    madeKeys = makeKeys(paths.keys, tenant, options.addressKey);
    db.exec('BEGIN IMMEDIATE');
    const context = createWriteContext(db, { keysDirectory: paths.keys, originPrefix: options.originPrefix });
    const number = options.logs + 1;
    const origin = `${options.originPrefix}/${tenant}.${entries}`;
    const key = verifierKey(origin, readLogKey(logKeyFile(paths.keys, tenant, null)).publicKey);
    context
      .sql(`INSERT INTO checkpoint (tenant, log, origin, base, size, note) VALUES (?, ?, ?, ?, 0, '')`)
      .run(tenant, number, origin, entries);
    insertKey(context, tenant, number, { after: -1, key }, 0);
    context.now = now();
    return importInto(options, context, context.log(tenant).keys, { origin, key }, madeKeys);
  } catch (error) {
    db.close();
    for (const file of madeKeys) rmSync(file, { force: true });
    throw error;
  }
}

function importInto(
  options: ImportOptions,
  context: ReturnType<typeof createWriteContext>,
  keys: TenantKeys,
  log: { readonly origin: string; readonly key: string },
  madeKeys: readonly string[],
): TenantImport {
  const { paths, tenant, entries, now } = options;
  const { db, sql } = context;
  const outbox = createOutboxReplay();
  const attempts = new Map<string, number>();
  /** Keys of the log whose entries come, with the entries that name them. */
  const keyEntries: (Entry & (OpenedEntry | LogKeyEntry))[] = [];
  const staged: string[] = [];
  let leaves: Buffer[] = [];
  let next = 0;
  let committed = false;
  let closed: (ClosedLogImport & { readonly root: string }) | null = null;
  const reading = createReadContext(db, paths.objects, paths.keys);

  function place(index: number, commitment: Buffer): void {
    if (index !== next) throw new Error(`entry ${index} comes where ${next} belongs`);
    leaves.push(leafHash(commitment));
    next++;
  }

  return {
    reader: { ...archiveReader(reading), object: mailboxReader(reading).object },

    hasObject: (object) =>
      sql('SELECT 1 FROM object WHERE tenant = ? AND object = ?').get(tenant, object) !== undefined,

    async object(fact, isMessage, content) {
      const writer = stageObject(paths.objects, keys);
      const indexer = isMessage ? createIndexer() : null;
      try {
        for await (const chunk of content) {
          indexer?.push(chunk);
          await writer.write(chunk);
        }
        const made = await writer.finish();
        if (made.sha256 !== fact.sha256 || made.size !== fact.size)
          throw new Error('it is not what the entry says');
        if (made.object !== fact.object)
          throw new Error('the address key gives it another address than the entry says');
        insertObject(
          context,
          tenant,
          toWireObject(made),
          indexer === null ? null : JSON.stringify(indexer.finish()),
        );
        staged.push(...context.files.splice(0));
      } catch (error) {
        await writer.abort();
        throw error;
      }
    },

    entry(salt, bytes) {
      const entry = parseEntry(bytes);
      // What follows from entries by their time follows from the time they had.
      context.now = Date.parse(entry.time);
      place(entry.index, context.put(tenant, entry, Buffer.concat([salt, bytes])));
      outbox.entry(entry);
      if (entry.kind === 'handover-intent')
        attempts.set(`${entry.letter}.${entry.transaction}`, entry.attempt);
      if ('source' in entry) noteFetched(context, tenant, entry);
      if (entry.kind === 'log-opened' || entry.kind === 'log-key') keyEntries.push(entry);
      return entry;
    },

    erased(index, commitment) {
      sql(
        `INSERT INTO entry (tenant, idx, kind, time, commitment, key, sealed) VALUES (?, ?, '', '', ?, x'', x'')`,
      ).run(tenant, index, commitment);
      place(index, commitment);
    },

    closeLog({ number, origin, base, size, note }) {
      if (next !== base + size || leaves.length !== size)
        throw new Error(`log ${origin} does not end with entry ${next - 1}`);
      let edge = emptyEdge();
      for (let from = 0; from < size; from += TILE_WIDTH) {
        const step = appendLeaves(edge, leaves.slice(from, from + TILE_WIDTH));
        edge = step.edge;
        for (const tile of step.changed)
          sql(
            'INSERT INTO tile (tenant, log, level, n, hashes) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET hashes = excluded.hashes',
          ).run(tenant, number, tile.level, tile.n, tile.hashes);
      }
      leaves = [];
      for (const entry of keyEntries.splice(0)) {
        const after = entry.kind === 'log-opened' ? -1 : entry.index - base;
        const until = entry.kind === 'log-opened' || entry.until === undefined ? 0 : Date.parse(entry.until);
        insertKey(context, tenant, number, { after, key: entry.key }, until);
      }
      sql('INSERT INTO closed_log (tenant, log, origin, base, size, note) VALUES (?, ?, ?, ?, ?, ?)').run(
        tenant,
        number,
        origin,
        base,
        size,
        note,
      );
      closed = { number, origin, base, size, note, root: edgeRoot(edge).toString('base64') };
    },

    archiveTimestamp(record, nodes) {
      const id = insertArchiveTimestamp(context, { ...record, tiles: [] });
      for (const { level, first, hashes } of nodes)
        sql('INSERT INTO archive_node (id, level, first, hashes) VALUES (?, ?, ?, ?)').run(
          id,
          level,
          first,
          hashes,
        );
      return id;
    },

    async commit({ actor, reason, imported }) {
      if (next !== entries || closed === null)
        throw new Error(`${next} entries came, ${entries} were announced`);
      context.now = now();
      const { note: _, number: __, ...last } = closed;
      const key = sql('SELECT key FROM log_key WHERE tenant = ? AND log = ? ORDER BY after DESC LIMIT 1')
        .pluck()
        .get(tenant, closed.number) as string;
      context.append(tenant, {
        ...openedBody(context.log(tenant)),
        predecessor: { ...last, key, known: [], actor, reason, note: null },
      } as Parameters<typeof context.append>[1]);
      context.append(tenant, { kind: 'imported', ...imported });
      const inDoubt = queueAgain(context, tenant, outbox.waiting(), attempts);
      doubtQueue(
        context,
        tenant,
        `it came with the import by ${actor.name}: whether it was sent meanwhile is not known here`,
      );
      const notes = context.commitTrees();
      sql(countCommit).run();
      db.exec('COMMIT');
      committed = true;
      const checkpoints = createCheckpointFiles(paths.checkpoints, options.warn);
      for (const [of, note] of notes) checkpoints.write(of, note);
      await checkpoints.settle();
      return { ...log, inDoubt };
    },

    async [Symbol.asyncDispose]() {
      if (db.inTransaction) db.exec('ROLLBACK');
      if (committed) db.pragma('wal_checkpoint(TRUNCATE)');
      db.close();
      if (committed) return;
      for (const name of staged) {
        const [of, uid] = name.split('/') as [string, string];
        await unlink(objectFile(paths.objects, of, Buffer.from(uid, 'hex'))).catch(() => undefined);
      }
      for (const file of madeKeys) rmSync(file, { force: true });
    },
  };
}

/** A checkpoint of the tenant says that it had a log here: what was lost must not be written over. */
function refuseKept(paths: StorePaths, tenant: string): void {
  for (const file of keptFiles(paths, tenant))
    if (readKept(file) !== null)
      throw new Error(`${file} is a checkpoint of ${tenant}: it has, or had, a log of its own here`);
}

/** Key files that are not there yet; those of an import that was cut off stay. @returns those that were made */
function makeKeys(directory: string, tenant: string, addressKey: Buffer): string[] {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const address = join(directory, `${tenant}.address.key`);
  const files = [address, join(directory, `${tenant}.key`), join(directory, `${tenant}.log.key`)];
  const missing = files.filter((file) => !secretExists(file));
  if (!secretExists(address)) writeSecret(address, addressKey);
  else if (!readSecret(address).equals(addressKey))
    throw new KeyError(`${address}: is another key than that of the export, and a key is never overwritten`);
  loadTenantKeys(directory, tenant, true);
  return missing.flatMap((file) => [file, `${file}.p11`]);
}

function insertKey(
  { sql }: Pick<WriteContext, 'sql'>,
  tenant: string,
  log: number,
  { after, key }: KeyPeriod,
  until: number,
): void {
  sql('INSERT INTO log_key (tenant, log, after, key, until) VALUES (?, ?, ?, ?, ?)').run(
    tenant,
    log,
    after,
    key,
    until,
  );
}

/** So that the provider's messages are not taken in once more. */
function noteFetched(
  { sql }: Pick<WriteContext, 'sql'>,
  tenant: string,
  { source, message, index }: Extract<Entry, { source: unknown }>,
): void {
  sql(
    'INSERT OR IGNORE INTO fetched (tenant, account, folder, uidvalidity, uid, object, idx) VALUES (?, ?, ?, ?, ?, ?, ?)',
  ).run(tenant, source.account, source.folder, source.uidValidity, source.uid, message.object, index);
}

/** What by the entries was still to be handed over. @returns how many transactions */
function queueAgain(
  context: WriteContext,
  tenant: string,
  waiting: ReturnType<ReturnType<typeof createOutboxReplay>['waiting']>,
  attempts: ReadonlyMap<string, number>,
): number {
  const { sql } = context;
  const transactions = Map.groupBy(waiting, ({ letter, tx }) => `${letter}.${tx}`);
  for (const [name, recipients] of transactions) {
    const { letter, tx, state } = recipients[0]!;
    const submission = context.entry(tenant, letter);
    if (submission?.kind !== 'submission') throw new Error(`entry ${letter} is no submission`);
    const own = submission.transactions.find(({ id }) => id === tx)!;
    sql(
      'INSERT INTO outbox (tenant, letter, tx, private_id, state, attempts, accepted_at, next_attempt, last_reply) VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL)',
    ).run(
      tenant,
      letter,
      tx,
      own.privateId,
      state,
      attempts.get(name) ?? 0,
      Date.parse(submission.time),
      context.now,
    );
    for (const { address } of recipients)
      sql('INSERT INTO outbox_recipient (tenant, letter, tx, address) VALUES (?, ?, ?, ?)').run(
        tenant,
        letter,
        tx,
        address,
      );
  }
  return transactions.size;
}
