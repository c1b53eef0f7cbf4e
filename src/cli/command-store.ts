/** The store for a command that writes while no gateway runs. What it commits goes the way of every commit: over the second copy. */
import { existsSync } from 'node:fs';
import { lockStore } from '../lock.ts';
import { type Copies, startCopies } from '../preservation/copies.ts';
import { readCommitCount } from '../store/sqlite/commit-count.ts';
import { openSqliteStore } from '../store/sqlite/open.ts';
import type { Store } from '../store/store.ts';
import { CommandError, exit } from './exit.ts';
import type { StorePlace } from './place.ts';

/** How long a command waits until the second copy has everything that was committed before it. */
const IN_STEP_MS = 15_000;

/**
 * @throws Unavailable where another process holds the store; CommandError where the second copy cannot be written:
 * then the command has done nothing
 */
export async function openCommandStore(place: StorePlace): Promise<Store> {
  if (place.copies === undefined && existsSync(place.paths.file)) refusePastCopy(place);
  const { store, close } = await openAtRest(place, place.copies?.secondCopy ? place.copies : null);
  return { ...store, [Symbol.asyncDispose]: close };
}

interface AtRest<C> {
  readonly store: Store;
  readonly copies: C;
  close(): Promise<void>;
}

/** The store of a gateway that does not run, and what copies it. */
export async function openAtRest<S extends NonNullable<StorePlace['copies']> | null>(
  { data, paths, recovery }: StorePlace,
  settings: S,
): Promise<AtRest<S extends null ? null : Copies>> {
  await using opened = new AsyncDisposableStack();
  opened.use(await lockStore(data, 'command'));
  const copies = settings === null ? null : opened.use(startCopies(paths, settings));
  const [checkpointsDirectory, ...checkpointFolders] = paths.checkpoints;
  const store = opened.use(
    await openSqliteStore({
      directory: data,
      keysDirectory: paths.keys,
      checkpointsDirectory: checkpointsDirectory!,
      checkpointFolders,
      ...(paths.tiles === null ? {} : { tilesDirectory: paths.tiles }),
      recoveryCertificates: recovery,
      originPrefix: 'unused',
      ...(copies !== null && { feed: copies.feed }),
    }),
  );
  try {
    await copies?.inStep(IN_STEP_MS);
  } catch (error) {
    throw new CommandError(
      exit.unavailable,
      `nothing was done, for it would stand on one disk alone: ${(error as Error).message}`,
      error,
    );
  }
  const all = opened.move();
  return { store, copies: copies as never, close: () => all.disposeAsync() };
}

/** Without the configuration nobody knows where the second copy lies, and the database alone says that there is one. */
function refusePastCopy({ paths }: StorePlace): void {
  if (readCommitCount(paths.file)?.epoch == null) return;
  throw new CommandError(
    exit.configuration,
    `${paths.file} has a second copy, and this command must not write past it: name the configuration by --config`,
  );
}
