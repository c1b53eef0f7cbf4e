/** The store for a command that writes while no gateway runs. */
import { lockStore } from '../lock.ts';
import { openSqliteStore, type StorePaths } from '../store/sqlite/open.ts';
import type { Store } from '../store/store.ts';

/**
 * @param recoveryCertificates needed by what changes keys
 * @throws Unavailable where another process holds the store
 */
export async function openCommandStore(
  data: string,
  paths: StorePaths,
  recoveryCertificates: readonly string[] = [],
): Promise<Store> {
  await using opened = new AsyncDisposableStack();
  opened.use(await lockStore(data, 'command'));
  const [checkpointsDirectory, ...checkpointFolders] = paths.checkpoints;
  const store = opened.use(
    await openSqliteStore({
      directory: data,
      keysDirectory: paths.keys,
      checkpointsDirectory: checkpointsDirectory!,
      checkpointFolders,
      ...(paths.tiles === null ? {} : { tilesDirectory: paths.tiles }),
      recoveryCertificates,
      originPrefix: 'unused',
    }),
  );
  const all = opened.move();
  return { ...store, [Symbol.asyncDispose]: () => all.disposeAsync() };
}
