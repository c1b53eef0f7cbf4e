/**
 * Keeps the write-ahead log short without holding up commits: a thread of its own copies committed pages into
 * the database file (PASSIVE never blocks the writer). Only where readers or load let the log grow all the same
 * does the writer start it anew itself.
 */
import { statSync } from 'node:fs';
import { parentPort, Worker, workerData } from 'node:worker_threads';
import Database from 'better-sqlite3';

/** From this size on the thread copies. Bytes. */
const COPY_FROM = 8 * 1024 * 1024;
/** From this size on the writer starts the log anew, which takes as long as what is left to copy. Bytes. */
const RESTART_FROM = 64 * 1024 * 1024;
/** The file's size is looked at once in so many commits. */
const EVERY = 16;
/** A reader keeps the log from being emptied as long as its snapshot lasts. */
const EMPTY_AGAIN_MS = 1000;

export interface WalKeeper {
  /** To be called after each commit, by the writer. */
  committed(): void;
  /** Empties the log as soon as no reader needs it any more: nothing of what was deleted stays in it. By the writer. */
  empty(): void;
  close(): Promise<void>;
}

export function startWalKeeper(db: Database.Database, file: string): WalKeeper {
  let thread: { readonly worker: Worker; readonly ended: Promise<void> } | null = null;
  let commits = 0;
  let copying = false;
  let copiedSince = false;
  let alone = false;

  function start() {
    const worker = new Worker(new URL(import.meta.url), {
      workerData: { walOf: file },
      // It runs one statement: hardly any nursery is enough.
      resourceLimits: { maxYoungGenerationSizeMb: 1 },
    });
    worker.on('message', () => {
      copying = false;
      copiedSince = true;
    });
    // Without the thread the writer copies by itself: slower, and nothing is lost.
    worker.on('error', () => {
      alone = true;
    });
    return { worker, ended: new Promise<void>((resolve) => worker.once('exit', () => resolve())) };
  }

  let emptying: NodeJS.Timeout | null = null;
  const empty = () => {
    emptying = null;
    const patience = db.pragma('busy_timeout', { simple: true });
    db.pragma('busy_timeout = 0');
    try {
      const [{ busy }] = db.pragma('wal_checkpoint(TRUNCATE)') as [{ busy: number }];
      if (busy === 0) return;
    } catch {
      // Busy, or out of space: tried again.
    } finally {
      db.pragma(`busy_timeout = ${patience}`);
    }
    emptying = setTimeout(empty, EMPTY_AGAIN_MS);
  };
  return {
    empty() {
      if (emptying === null) empty();
    },
    committed() {
      commits++;
      if (commits % EVERY !== 0) return;
      const size = statSync(`${file}-wal`).size;
      if (size > RESTART_FROM && (copiedSince || alone)) {
        db.pragma('wal_checkpoint(RESTART)');
        copiedSince = false;
      }
      if (size > COPY_FROM && !copying && !alone) {
        copying = true;
        // Many a store never comes to that: until then the thread is not there.
        thread ??= start();
        thread.worker.postMessage('copy');
      }
    },
    async close() {
      if (emptying !== null) clearTimeout(emptying);
      // Asked, not terminated: a thread that is cut off inside SQLite takes the process with it.
      thread?.worker.postMessage('close');
      await thread?.ended;
    },
  };
}

function copyOnDemand(file: string): void {
  const port = parentPort!;
  const db = new Database(file);
  db.pragma('busy_timeout = 0');
  db.pragma('synchronous = FULL');
  port.on('message', (order: 'copy' | 'close') => {
    if (order === 'close') {
      db.close();
      port.close();
      return;
    }
    try {
      db.pragma('wal_checkpoint(PASSIVE)');
    } catch {
      // Busy or out of space: the writer meets the same trouble, and says so.
    }
    port.postMessage('copied');
  });
}

const data = workerData as { readonly walOf?: string } | null;
if (data?.walOf !== undefined) copyOnDemand(data.walOf);
