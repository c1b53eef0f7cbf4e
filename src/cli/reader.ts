import { existsSync } from 'node:fs';
import { openSqliteReader, type StorePaths } from '../store/sqlite/open.ts';
import type { Reader } from '../store/store.ts';
import { CommandError, exit } from './exit.ts';

/** Opens the store for reading, whether a gateway runs on it or not. @throws CommandError (usage) */
export function openReader(paths: StorePaths): Reader & Disposable {
  requireStore(paths);
  return openSqliteReader(paths);
}

/** The same over one state of the store: what is added meanwhile is not seen. Keeps the write-ahead log until it ends. */
export function openSnapshot(paths: StorePaths): Reader & Disposable {
  requireStore(paths);
  return openSqliteReader(paths, undefined, true);
}

export function requireStore(paths: StorePaths): void {
  if (existsSync(paths.file)) return;
  throw new CommandError(
    exit.usage,
    `${paths.file}: there is no store; name its directory by --data or the configuration by --config`,
  );
}
