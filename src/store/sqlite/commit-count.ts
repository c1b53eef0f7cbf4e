/** Where a database stands in the run of its commits, asked from outside the writer. */
import Database from 'better-sqlite3';

export interface CommitCount {
  /** Number of the newest commit. */
  readonly seq: number;
  /** The epoch of the second copy that it belongs to; null: there is none. */
  readonly epoch: string | null;
}

/** Null where a store of an earlier release does not count. @throws Error where the file is no database */
export function readCommitCount(file: string): CommitCount | null {
  const db = new Database(file, { readonly: true });
  try {
    const counts = db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'commit_count'").get() !== undefined;
    return counts ? (db.prepare('SELECT n AS seq, epoch FROM commit_count').get() as CommitCount) : null;
  } finally {
    db.close();
  }
}
