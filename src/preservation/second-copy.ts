/**
 * Follows the feed of commits and keeps the second copy: in order, each durable before it is said to be copied. Where
 * the copy no longer follows on (it was switched on, its folder was away for too long, another database was restored),
 * a new epoch begins, and a backup that it can start from is asked for.
 */
import { type KeyObject, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FedCommit, FeedMessage, FeedOrder } from '../store/commit-feed.ts';
import { claimFolder } from './backup-key.ts';
import type { CommitRecord } from './commit-record.ts';
import { type CopyMode, createJournal, type JournalWriter, lastCommit } from './journal.ts';
import { createRecoveryMirror } from './recovery-mirror.ts';

export interface SecondCopyStatus {
  readonly mode: CopyMode;
  readonly epoch: string | null;
  /** The newest commit, and the newest that is copied. */
  readonly committed: number;
  readonly copied: number;
  /** Milliseconds for which the oldest commit that is not copied has waited; 0 where all are. */
  readonly lagMs: number;
  readonly lastError: string | null;
  /** Why it did not follow on from what it held, and began anew; null where it did. */
  readonly begunAnew: string | null;
}

export interface SecondCopy {
  take(message: FeedMessage): void;
  /** Commits from here on go to another segment. */
  rotate(): void;
  /** Ends the segment that is written now, so that it can be removed. Resolves also where that fails: it is for later. */
  roll(): Promise<void>;
  /** The epoch that every commit from now on belongs to; null while none is known. */
  epoch(): string | null;
  /** Resolves when an epoch is known. */
  readonly begun: Promise<void>;
  status(): SecondCopyStatus;
  /** Takes along recovery copies that no commit followed yet. */
  copyKeys(): Promise<void>;
  /** Waits for what was taken, for at most `graceMs`. */
  close(graceMs: number): Promise<void>;
}

export interface SecondCopyDeps {
  readonly folder: string;
  readonly mode: CopyMode;
  readonly objects: string;
  /** Folder of the keys' recovery copies. */
  readonly recovery: string;
  readonly key: KeyObject;
  readonly recoveryCertificates: readonly string[];
  readonly order: (order: FeedOrder) => void;
  /** A new epoch is of use only with a backup that begins after it. */
  readonly needBase: () => void;
  readonly now: () => number;
}

/** Bytes that wait in memory at most; with more, another epoch begins. */
const LARGEST_BACKLOG = 256 * 1024 * 1024;
const RETRY_MS = 1000;

/** The store knows of no copy before this one. */
const NEW = 'new';

function whyNot(
  folder: string,
  said: string | null,
  last: number | null,
  seq: number,
  first: number,
): string {
  if (said === null) return NEW;
  if (last === null) return `${folder} has nothing of this store`;
  if (last > seq) return `${folder} is ahead of this store, at commit ${last}: the store is an older one`;
  return `the commits ${last + 1} to ${first - 1} were made past it`;
}

interface Waiting {
  readonly record: CommitRecord;
  readonly since: number;
}

export function createSecondCopy(deps: SecondCopyDeps): SecondCopy {
  const { folder, mode, objects, key, order, now } = deps;
  const keys = createRecoveryMirror(deps.recovery, folder);
  let waiting: Waiting[] = [];
  let backlog = 0;
  let journal: JournalWriter | null = null;
  let epoch: string | null = null;
  /** Where the copy stands is looked up once the database has said where it stands. */
  let hello: Extract<FeedMessage, { type: 'hello' }> | null = null;
  /** Why the copy does not follow on; a new epoch begins. */
  let broken: string | null = null;
  let begunAnew: string | null = null;
  let committed = 0;
  let copied = 0;
  let lastError: string | null = null;
  let working: Promise<void> | undefined;
  let rolling: PromiseWithResolvers<void> | null = null;
  let stopped = false;
  const wake = new AbortController();
  const begun = Promise.withResolvers<void>();

  function take(message: FeedMessage): void {
    switch (message.type) {
      case 'hello':
        hello = message;
        committed = message.seq;
        copied = message.seq;
        for (const commit of message.commits) push(commit, false);
        break;
      case 'commit':
        committed = message.seq;
        push(message, false);
        break;
      case 'gap':
        broken = message.reason;
        break;
      case 'closing':
        push(
          { seq: message.seq, files: [], pageSize: 0, databasePages: 0, pages: [], images: Buffer.alloc(0) },
          true,
        );
        break;
      case 'base':
        return;
    }
    work();
  }

  function push(commit: FedCommit, closed: boolean): void {
    const { seq, files, pageSize, databasePages, pages, images } = commit;
    waiting.push({
      record: { seq, files, pageSize, databasePages, pages, images, closed },
      since: now(),
    });
    backlog += images.length;
    if (backlog <= LARGEST_BACKLOG) return;
    broken = `more than ${LARGEST_BACKLOG / 1024 ** 2} MiB waited to be copied`;
    waiting = [];
    backlog = 0;
  }

  function work(): void {
    working ??= run().finally(() => {
      working = undefined;
    });
  }

  async function run(): Promise<void> {
    while (hello !== null || broken !== null || waiting.length > 0 || rolling !== null) {
      try {
        if (hello !== null) await connect(hello);
        if (broken !== null) await begin(broken);
        await drain();
        if (waiting.length === 0) await roll();
        lastError = null;
      } catch (error) {
        lastError = (error as Error).message;
        rolling?.resolve();
        rolling = null;
        if (stopped) return;
        await sleep(RETRY_MS, undefined, { signal: wake.signal }).catch(() => undefined);
      }
    }
  }

  /** Does the copy follow on from what the database says? */
  async function connect({ seq, epoch: said, commits }: NonNullable<typeof hello>): Promise<void> {
    await claimFolder(folder, key, deps.recoveryCertificates);
    const last = said === null ? null : await lastCommit(folder, said, key);
    const first = commits[0]?.seq ?? seq + 1;
    hello = null;
    if (said === null || last === null || last > seq || last + 1 < first) {
      broken = whyNot(folder, said, last, seq, first);
      return;
    }
    epoch = said;
    copied = last;
    begun.resolve();
    waiting = waiting.filter(({ record }) => record.seq > last || record.closed);
    journal = createJournal(folder, objects, key, { epoch, mode, now });
  }

  async function begin(why: string): Promise<void> {
    await claimFolder(folder, key, deps.recoveryCertificates);
    await journal?.close();
    broken = null;
    begunAnew = why === NEW ? null : why;
    epoch = randomBytes(8).toString('hex');
    journal = createJournal(folder, objects, key, { epoch, mode, now });
    order({ type: 'epoch', epoch });
    deps.needBase();
    begun.resolve();
  }

  async function drain(): Promise<void> {
    if (journal === null || waiting.length === 0) return;
    // A commit may be under a key that was made for it.
    await keys.sync();
    // Its own list: more comes in while these are written.
    const batch = [...waiting];
    await journal.append(batch.map(({ record }) => record));
    // All may have been dropped meanwhile.
    if (waiting[0] === batch[0]) waiting = waiting.slice(batch.length);
    backlog = waiting.reduce((sum, { record }) => sum + record.images.length, 0);
    const last = batch.at(-1)!.record;
    copied = last.seq;
    order(last.closed ? { type: 'closed' } : { type: 'copied', seq: copied });
  }

  async function roll(): Promise<void> {
    const asked = rolling;
    rolling = null;
    try {
      if (asked !== null) await journal?.roll(copied + 1);
    } finally {
      asked?.resolve();
    }
  }

  return {
    take,
    begun: begun.promise,
    rotate: () => journal?.rotate(),
    roll() {
      if (journal === null) return Promise.resolve();
      rolling ??= Promise.withResolvers();
      const { promise } = rolling;
      work();
      return promise;
    },
    copyKeys: () => (epoch === null ? Promise.resolve() : keys.sync()),
    epoch: () => (hello === null && broken === null ? epoch : null),
    status: () => ({
      mode,
      epoch,
      committed,
      copied,
      lagMs: waiting[0] === undefined ? 0 : Math.max(0, now() - waiting[0].since),
      lastError,
      begunAnew,
    }),
    async close(graceMs) {
      const end = setTimeout(() => {
        stopped = true;
        wake.abort();
      }, graceMs);
      await working;
      clearTimeout(end);
      await journal?.close();
    },
  };
}
