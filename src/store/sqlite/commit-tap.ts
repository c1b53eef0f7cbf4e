/** The writer's end of the feed of commits: reads each one back out of the write-ahead log, right after it. */
import { existsSync, openSync } from 'node:fs';
import type Database from 'better-sqlite3';
import type { CommitFeed, FedPages, FeedMessage, FeedOrder } from '../commit-feed.ts';
import { mergeCommits, readCommits, type WalCommit, type WalPlace } from './wal-frames.ts';

export interface CommitTap {
  /** To be called after each commit. `deliver` runs once what it tells may be told. */
  committed(files: readonly string[], deliver: () => void): void;
  /** Copies do not come: nothing new may begin. */
  stalled(): boolean;
  /** Resolves when everything is copied, or after `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/** From this silence on nothing new is begun. */
const STALL_MS = 5_000;

/**
 * @param setEpoch commits the name of a run of commits
 * @param follows is every commit that the log still holds a counted one?
 */
export function startCommitTap(
  db: Database.Database,
  file: string,
  feed: CommitFeed,
  setEpoch: (epoch: string) => void,
  follows: boolean,
): CommitTap {
  const { port } = feed;
  const count = db.prepare('SELECT n, epoch FROM commit_count');
  let wal: number | null = null;
  let place: WalPlace | null = null;
  let bases = 0;
  let { n: seq, epoch } = count.get() as { n: number; epoch: string | null };
  let copied = seq;
  const waiting: { seq: number; since: number; deliver: () => void }[] = [];
  let timer: NodeJS.Timeout | undefined;
  let impatient = false;
  let closing: (() => void) | null = null;
  const send = (message: FeedMessage) => port.postMessage(message);
  const sending = () => feed.always || bases > 0;

  /** The log stays the same file while this connection is open. */
  function openWal(): number | null {
    if (wal === null && existsSync(`${file}-wal`)) wal = openSync(`${file}-wal`, 'r');
    return wal;
  }

  function read(from: WalPlace | null): { pageSize: number; commits: readonly WalCommit[] } {
    const handle = openWal();
    if (handle === null) return { pageSize: 0, commits: [] };
    const reading = readCommits(handle, from);
    place = reading.place;
    return reading;
  }

  function hello(): void {
    const { pageSize, commits } = read(null);
    // Commits that were not counted tell nothing.
    const known = follows && commits.length <= seq ? commits : [];
    send({
      type: 'hello',
      seq,
      epoch,
      commits: known.map((commit, i) => ({
        ...fed(pageSize, commit),
        seq: seq - known.length + 1 + i,
        files: [],
      })),
    });
  }

  function base(): void {
    const { commits } = read(null);
    bases++;
    const pageSize = db.pragma('page_size', { simple: true }) as number;
    const databasePages = db.pragma('page_count', { simple: true }) as number;
    // What the database file has of the log need not be sent, unless another thread is copying it just now.
    const [copy] = db.pragma('wal_checkpoint(PASSIVE)') as {
      busy: number;
      log: number;
      checkpointed: number;
    }[];
    const whole = copy?.busy === 0 && copy.log === copy.checkpointed;
    const pages = whole ? null : mergeCommits(commits);
    send({ type: 'base', seq, ...fed(pageSize, pages ?? { databasePages, pages: new Map() }) });
  }

  function deliverUpTo(limit: number): void {
    while (waiting[0] !== undefined && waiting[0].seq <= limit) waiting.shift()!.deliver();
    if (waiting.length === 0 && copied >= seq) {
      impatient = false;
      clearTimeout(timer);
      timer = undefined;
    }
  }

  function watch(): void {
    timer ??= setTimeout(() => {
      timer = undefined;
      const oldest = waiting[0];
      if (oldest === undefined) return;
      if (Date.now() - oldest.since >= feed.patienceMs) {
        // It is committed here, and a sender who is told otherwise would send it twice.
        impatient = true;
        deliverUpTo(Number.MAX_SAFE_INTEGER);
      } else watch();
    }, 1000);
  }

  port.on('message', (order: FeedOrder) => {
    switch (order.type) {
      case 'base':
        base();
        break;
      case 'baseDone':
        bases--;
        break;
      case 'epoch':
        setEpoch(order.epoch);
        break;
      case 'copied':
        copied = order.seq;
        deliverUpTo(copied);
        break;
      case 'closed':
        closing?.();
        break;
    }
  });
  if (feed.always) hello();

  return {
    committed(files, deliver) {
      seq++;
      if (!sending()) return deliver();
      const { pageSize, commits } = read(place);
      if (commits.length === 1) send({ type: 'commit', seq, files, ...fed(pageSize, commits[0]!) });
      else {
        send({ type: 'gap', reason: `${commits.length} commits in the write-ahead log where one was made` });
      }
      if (!feed.wait || impatient) return deliver();
      waiting.push({ seq, since: Date.now(), deliver });
      watch();
    },
    stalled: () =>
      feed.wait && (impatient || (waiting[0] !== undefined && Date.now() - waiting[0].since > STALL_MS)),
    close(graceMs) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const end = setTimeout(() => closing?.(), graceMs);
      closing = () => {
        clearTimeout(end);
        clearTimeout(timer);
        deliverUpTo(Number.MAX_SAFE_INTEGER);
        port.close();
        resolve();
      };
      send({ type: 'closing', seq });
      return promise;
    },
  };
}

function fed(pageSize: number, { databasePages, pages }: WalCommit): FedPages {
  return { pageSize, databasePages, pages: [...pages.keys()], images: Buffer.concat([...pages.values()]) };
}
