/**
 * How committed transactions leave the store for a second copy or a backup: the writer thread sends them over a port,
 * in order, each as the pages it changed. Whoever holds the other end says what has been copied.
 */
import type { MessagePort } from 'node:worker_threads';

export interface CommitFeed {
  /** The writer's end; it is handed over to it. */
  readonly port: MessagePort;
  /** Send every commit, not just while a base is being taken. */
  readonly always: boolean;
  /** Answers wait until their commit is copied. */
  readonly wait: boolean;
  /** Milliseconds that an answer waits at most, where the copy does not come; then new mail is refused. */
  readonly patienceMs: number;
}

/** Pages that a commit changed, or several in one. */
export interface FedPages {
  readonly pageSize: number;
  /** Of the database after it. */
  readonly databasePages: number;
  /** Numbers from 1. */
  readonly pages: readonly number[];
  /** Their images, one after the other. */
  readonly images: Uint8Array;
}

export interface FedCommit extends FedPages {
  /** Commits are counted in the database itself, without gaps. */
  readonly seq: number;
  /** Object files that it names for the first time, `tenant/uid`. */
  readonly files: readonly string[];
}

export type FeedMessage =
  /** Sent first: where the database stands, and the commits up to there that its log still holds. */
  | {
      readonly type: 'hello';
      readonly seq: number;
      readonly epoch: string | null;
      readonly commits: readonly FedCommit[];
    }
  | ({ readonly type: 'commit' } & FedCommit)
  /** Everything that the write-ahead log holds: with the database file read after it, and the commits after it, a whole. */
  | ({ readonly type: 'base'; readonly seq: number } & FedPages)
  /** A commit could not be read back: what is copied no longer follows on. */
  | { readonly type: 'gap'; readonly reason: string }
  /** The store is closed in good order after this commit. */
  | { readonly type: 'closing'; readonly seq: number };

export type FeedOrder =
  /** Begins to send commits, with a base. */
  | { readonly type: 'base' }
  | { readonly type: 'baseDone' }
  /** Names the run of commits without gaps that begins here. */
  | { readonly type: 'epoch'; readonly epoch: string }
  /** Everything up to this commit is copied. */
  | { readonly type: 'copied'; readonly seq: number }
  | { readonly type: 'closed' };
