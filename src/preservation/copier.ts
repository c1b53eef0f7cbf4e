/**
 * The thread that copies: it holds the far end of the feed of commits, keeps the second copy, and makes backups. Apart
 * from the rest, so that encrypting and waiting for another host's disk hold up nobody who sends or reads mail.
 */
import type { KeyObject } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import Database from 'better-sqlite3';
import type { FeedMessage, FeedOrder } from '../store/commit-feed.ts';
import { type Collecting, createGeneration } from './backup-create.ts';
import { generationsIn, type Manifest, readManifest } from './backup-folder.ts';
import { claimFolder, localBackupKey } from './backup-key.ts';
import { dropUnfinished, pruneBackup } from './backup-prune.ts';
import type { CommitRecord } from './commit-record.ts';
import { type CopyMode, pruneJournal } from './journal.ts';
import { createSecondCopy, type SecondCopyStatus } from './second-copy.ts';

export interface CopierData {
  readonly copierPort: MessagePort;
  readonly database: string;
  readonly objects: string;
  readonly keys: string;
  readonly recovery: string;
  readonly recoveryCertificates: readonly string[];
  readonly backup: { readonly directory: string; readonly keep: number };
  readonly secondCopy: { readonly directory: string; readonly mode: CopyMode } | null;
}

export type CopierOrder =
  | { readonly type: 'backup' }
  | { readonly type: 'status' }
  | { readonly type: 'stop' };

/** What is known of a generation without reading it whole. */
export type Generation = Omit<Manifest, 'blocks' | 'packs' | 'objects' | 'recovery'> & {
  readonly objects: number;
};

/** The newest generation: when it was made, and the epoch of the second copy that it leads to. */
export type Newest = Pick<Manifest, 'id' | 'made' | 'epoch'>;

export type CopierMessage =
  | { readonly type: 'backedUp'; readonly generation: Generation; readonly kept: number }
  | { readonly type: 'backupFailed'; readonly error: string }
  | { readonly type: 'needBase' }
  | {
      readonly type: 'status';
      readonly secondCopy: SecondCopyStatus | null;
      readonly newest: Newest | null;
    }
  | { readonly type: 'stopped' };

export function summaryOf({ blocks: _b, packs: _p, recovery: _r, objects, ...rest }: Manifest): Generation {
  return { ...rest, objects: objects.length };
}

/** How long a backup waits for the second copy to begin. */
const BEGIN_MS = 10_000;
/** How long the end waits for what is still to be copied. */
const GRACE_MS = 5_000;

function runCopier(data: CopierData): void {
  const { copierPort: port, backup } = data;
  const main = parentPort!;
  const tell = (message: CopierMessage) => main.postMessage(message);
  const order = (message: FeedOrder) => port.postMessage(message);
  let key: KeyObject | undefined;
  const backupKey = () => {
    key ??= localBackupKey(data.keys);
    return key;
  };
  const second =
    data.secondCopy === null
      ? null
      : createSecondCopy({
          folder: data.secondCopy.directory,
          mode: data.secondCopy.mode,
          objects: data.objects,
          recovery: data.recovery,
          key: backupKey(),
          recoveryCertificates: data.recoveryCertificates,
          order,
          needBase: () => tell({ type: 'needBase' }),
          now: Date.now,
        });
  let collecting: {
    records: CommitRecord[];
    broken: string | null;
    began: PromiseWithResolvers<void>;
  } | null = null;
  let handle: number | null = null;
  let running: Promise<void> | undefined;
  let newest: Newest | null = null;

  port.on('message', (message: FeedMessage) => {
    if (collecting !== null) collect(message);
    if (second !== null) second.take(message);
    else if (message.type === 'closing') order({ type: 'closed' });
  });

  function collect(message: FeedMessage): void {
    if (collecting === null) return;
    if (message.type === 'gap' || message.type === 'closing') {
      collecting.broken = message.type === 'gap' ? message.reason : 'the store was closed meanwhile';
      collecting.began.resolve();
    } else if (message.type === 'base') {
      const { seq, pageSize, databasePages, pages, images } = message;
      collecting.records = [{ seq, files: [], pageSize, databasePages, pages, images, closed: false }];
      collecting.began.resolve();
    } else if (message.type === 'commit') {
      const { seq, files, pageSize, databasePages, pages, images } = message;
      collecting.records.push({ seq, files, pageSize, databasePages, pages, images, closed: false });
    }
  }

  async function begin(): Promise<Collecting> {
    // A generation made before the second copy has begun leads to nothing; one made without it is better than none.
    if (second !== null) await Promise.race([second.begun, sleep(BEGIN_MS, undefined, { ref: false })]);
    second?.rotate();
    const mine = {
      records: [] as CommitRecord[],
      broken: null as string | null,
      began: Promise.withResolvers<void>(),
    };
    collecting = mine;
    const epoch = second?.epoch() ?? null;
    order({ type: 'base' });
    await mine.began.promise;
    return {
      get epoch() {
        // Another epoch meanwhile: this generation leads to none of them.
        return epoch === (second?.epoch() ?? null) ? epoch : null;
      },
      take() {
        if (mine.broken !== null) throw new Error(mine.broken);
        return mine.records.splice(0);
      },
      [Symbol.dispose]() {
        collecting = null;
        order({ type: 'baseDone' });
      },
    };
  }

  async function backUp(): Promise<void> {
    try {
      await claimFolder(backup.directory, backupKey(), data.recoveryCertificates);
      // A manifest that cannot be read is named once this generation is made.
      await dropUnfinished(backup.directory, backupKey()).catch(() => undefined);
      // Kept until the store is closed: closing a descriptor of it drops the locks that SQLite has in this process.
      handle ??= openSync(data.database, 'r');
      const db = new Database(data.database, { readonly: true });
      let manifest: Manifest;
      try {
        db.pragma('busy_timeout = 10000');
        const { objects, recovery } = data;
        manifest = await createGeneration(backup.directory, backupKey(), {
          database: handle,
          db,
          objects,
          recovery,
          begin,
          now: Date.now,
        });
      } finally {
        db.close();
      }
      const kept = await pruneBackup(backup.directory, backupKey(), backup.keep);
      await second?.roll();
      if (data.secondCopy !== null) await pruneSecondCopy(data.secondCopy.directory, kept);
      tell({ type: 'backedUp', generation: summaryOf(manifest), kept: kept.length });
    } catch (error) {
      tell({ type: 'backupFailed', error: (error as Error).message });
    }
  }

  /** The generation before the newest may be needed as well, should the newest turn out to be damaged. */
  async function pruneSecondCopy(folder: string, kept: readonly Manifest[]): Promise<void> {
    const needed = new Map<string, number>();
    for (const { epoch, seq } of kept.slice(-2)) {
      if (epoch !== null) needed.set(epoch, Math.min(seq + 1, needed.get(epoch) ?? Number.MAX_SAFE_INTEGER));
    }
    const current = second?.epoch() ?? null;
    if (current !== null && !needed.has(current)) needed.set(current, 0);
    await pruneJournal(folder, needed);
  }

  async function status(): Promise<void> {
    try {
      const id = (await generationsIn(backup.directory)).at(-1);
      if (id === undefined) newest = null;
      else if (newest?.id !== id) {
        // A manifest names every block: it is not read again for each look.
        const { made, epoch } = await readManifest(backup.directory, backupKey(), id);
        newest = { id, made, epoch };
      }
    } catch {
      // A folder that is away shows in the backup that fails.
      newest = null;
    }
    // What fails here shows with the next commit.
    await second?.copyKeys().catch(() => undefined);
    tell({ type: 'status', secondCopy: second?.status() ?? null, newest });
  }

  main.on('message', async (message: CopierOrder) => {
    switch (message.type) {
      case 'backup':
        running ??= backUp().finally(() => {
          running = undefined;
        });
        break;
      case 'status':
        await status();
        break;
      case 'stop':
        // The store is closed by now.
        await running;
        await second?.close(GRACE_MS);
        if (handle !== null) closeSync(handle);
        port.close();
        tell({ type: 'stopped' });
        main.close();
        break;
    }
  });
}

const data = workerData as Partial<CopierData> | null;
if (data?.copierPort !== undefined) runCopier(data as CopierData);
