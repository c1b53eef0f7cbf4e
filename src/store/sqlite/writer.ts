/**
 * The writer thread: owns the one write connection. All commands that wait when it comes to work share one
 * transaction and one fsync (group commit). Where one of them is refused, each gets a transaction of its own: one
 * refusal harms no other.
 * An answer leaves only after the commit.
 */
import { unlinkSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import Database from 'better-sqlite3';
import { GatewayError } from '../../errors.ts';
import type { CommitFeed } from '../commit-feed.ts';
import type { Change } from '../store.ts';
import { createCheckpointFiles } from './checkpoint-files.ts';
import { type CommandName, commands } from './commands/index.ts';
import { startCommitTap } from './commit-tap.ts';
import { createErasureJournal } from './erasure-journal.ts';
import { objectFile } from './objects.ts';
import { createReadContext } from './read-context.ts';
import { rebuildTables } from './rebuild.ts';
import { configure, countCommit, migrate, SCHEMA_VERSION } from './schema.ts';
import { startWalKeeper } from './wal-keeper.ts';
import { createWriteContext } from './write-context.ts';

export interface WriterData {
  readonly file: string;
  readonly objects: string;
  readonly keys: string;
  readonly checkpoints: readonly string[];
  readonly originPrefix: string;
  readonly feed?: CommitFeed | undefined;
}

export interface WriterCall {
  readonly id: number;
  readonly name: CommandName;
  readonly tenant: string;
  readonly args: unknown;
  /** Epoch milliseconds at the caller. */
  readonly now: number;
}

export type WriterAnswer = { readonly id: number } & (
  | { readonly value: unknown }
  | { readonly error: WriterError }
);
export interface WriterError {
  readonly name: string;
  readonly message: string;
  readonly code: string | null;
  readonly detail: string | null;
}

export type WriterMessage =
  | { readonly type: 'ready' }
  | { readonly type: 'failed'; readonly error: WriterError }
  | {
      readonly type: 'committed';
      readonly answers: readonly WriterAnswer[];
      readonly changes: readonly Change[];
    }
  | { readonly type: 'warning'; readonly text: string }
  | { readonly type: 'closed' };

/** What is refused while the second copy cannot be written: everything that sets something new going. */
const beginnings = new Set<CommandName>([
  'acceptSubmission',
  'recordHandoverIntent',
  'recordForwardIntent',
  'recordLoginIntent',
  'recordDeletionIntent',
]);
/** How long the end of the store waits for copies. */
const CLOSE_GRACE_MS = 5_000;

const port = parentPort!;
const data = workerData as WriterData;

function describe(error: unknown): WriterError {
  if (error instanceof GatewayError)
    return { name: error.name, message: error.message, code: error.code, detail: error.detail ?? null };
  const e = error as Error & { code?: string };
  return { name: e.name, message: e.message, code: e.code ?? null, detail: null };
}

function run(): void {
  const db = new Database(data.file);
  configure(db);
  const version = db.pragma('user_version', { simple: true });
  migrate(db);
  rebuildTables(db, createReadContext(db, data.objects, data.keys), (text) =>
    port.postMessage({ type: 'warning', text } satisfies WriterMessage),
  );
  const context = createWriteContext(db, { keysDirectory: data.keys, originPrefix: data.originPrefix });
  const checkpoints = createCheckpointFiles(data.checkpoints, (text) =>
    port.postMessage({ type: 'warning', text } satisfies WriterMessage),
  );
  const journal = createErasureJournal(data.checkpoints, (text) =>
    port.postMessage({ type: 'warning', text } satisfies WriterMessage),
  );
  const wal = startWalKeeper(db, data.file);
  const begin = db.prepare('BEGIN IMMEDIATE');
  const commit = db.prepare('COMMIT');
  const rollback = db.prepare('ROLLBACK');
  const count = db.prepare(countCommit);
  // Bringing a store forward commits without counting: a copy does not follow on from before that.
  const touched =
    version !== SCHEMA_VERSION || (db.prepare('SELECT total_changes()').pluck().get() as number) > 0;
  if (touched) count.run();
  const tap = data.feed === undefined ? null : startCommitTap(db, data.file, data.feed, beginEpoch, !touched);

  let waiting: WriterCall[] = [];
  let scheduled = false;

  /** One transaction. @throws the error of the first command that fails: then none of them happened. */
  function transact(calls: readonly WriterCall[]): { answers: WriterAnswer[]; notes: Map<string, string> } {
    try {
      begin.run();
      const answers = calls.map((call) => {
        context.now = call.now;
        const handler = commands[call.name] as (c: typeof context, tenant: string, args: unknown) => unknown;
        return { id: call.id, value: handler(context, call.tenant, call.args) };
      });
      const notes = context.commitTrees();
      count.run();
      commit.run();
      return { answers, notes };
    } catch (error) {
      if (db.inTransaction) rollback.run();
      context.rollbackTrees();
      throw error;
    }
  }

  function beginEpoch(epoch: string): void {
    begin.run();
    db.prepare('UPDATE commit_count SET epoch = ?').run(epoch);
    count.run();
    commit.run();
    tap?.committed([], () => undefined);
  }

  function flush(): void {
    scheduled = false;
    let batch = waiting;
    waiting = [];
    if (tap?.stalled()) {
      const error = new GatewayError('store-unavailable', 'the second copy cannot be written');
      for (const call of batch) if (beginnings.has(call.name)) refuse(call, error);
      batch = batch.filter(({ name }) => !beginnings.has(name));
    }
    if (batch.length === 0) return;
    try {
      settle(transact(batch));
    } catch (error) {
      if (batch.length === 1) refuse(batch[0]!, error);
      else retryAlone(batch);
    }
  }

  /** Refusals are rare: only then does each command of the batch get a transaction of its own. */
  function retryAlone(batch: readonly WriterCall[]): void {
    for (const call of batch) {
      try {
        settle(transact([call]));
      } catch (error) {
        refuse(call, error);
      }
    }
  }

  function refuse({ id }: WriterCall, error: unknown): void {
    port.postMessage({
      type: 'committed',
      answers: [{ id, error: describe(error) }],
      changes: [],
    } satisfies WriterMessage);
  }

  function settle({
    answers,
    notes,
  }: {
    answers: readonly WriterAnswer[];
    notes: Map<string, string>;
  }): void {
    const { changes, unlink, files } = context;
    context.changes = [];
    context.unlink = [];
    context.files = [];
    const erasures = context.erasures;
    context.erasures = [];
    const deliver = () => {
      port.postMessage({ type: 'committed', answers, changes: distinct(changes) } satisfies WriterMessage);
      for (const [tenant, note] of notes) checkpoints.write(tenant, note);
      for (const name of unlink) unlinkObject(name);
      journal.append(erasures);
    };
    // Before the log may begin anew, and its frames be gone.
    if (tap === null) deliver();
    else tap.committed(files, deliver);
    wal.committed();
    // What was erased still stands in the write-ahead log.
    if (erasures.length > 0) wal.empty();
  }

  port.on('message', (message: WriterCall | 'close') => {
    if (message === 'close') {
      flush();
      const copied = tap?.close(CLOSE_GRACE_MS) ?? Promise.resolve();
      Promise.all([
        copied.then(() => Promise.all([checkpoints.settle(), journal.settle()])),
        wal.close(),
      ]).then(() => {
        db.pragma('wal_checkpoint(TRUNCATE)');
        db.close();
        port.postMessage({ type: 'closed' } satisfies WriterMessage);
        port.close();
      });
      return;
    }
    waiting.push(message);
    if (!scheduled) {
      scheduled = true;
      setImmediate(flush);
    }
  });
  port.postMessage({ type: 'ready' } satisfies WriterMessage);
}

/** A batch changes the same outbox and mailboxes many times; once is enough to wake who waits. */
function distinct(changes: readonly Change[]): Change[] {
  return [...new Map(changes.map((change) => [JSON.stringify(change), change])).values()];
}

function unlinkObject(name: string): void {
  const [tenant, uid] = name.split('/') as [string, string];
  try {
    unlinkSync(objectFile(data.objects, tenant, Buffer.from(uid, 'hex')));
  } catch {
    // Already gone: the sweep at start finds what a crash leaves behind.
  }
}

try {
  run();
} catch (error) {
  port.postMessage({ type: 'failed', error: describe(error) } satisfies WriterMessage);
}
