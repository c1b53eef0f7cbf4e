/** Where a store lies. */
import { join } from 'node:path';

export interface StorePlaces {
  /** Folder of the store; made if missing. */
  readonly directory: string;
  /** Folder of the keys; by default `<directory>/keys`, better on another volume. */
  readonly keysDirectory?: string;
  /** Folder of the last checkpoints; by default `<directory>/checkpoints`, meant for another host. */
  readonly checkpointsDirectory?: string;
  /** Further folders of the last checkpoints. */
  readonly checkpointFolders?: readonly string[];
  /** Folder that tiles are published in, where they are: its checkpoints count too. */
  readonly tilesDirectory?: string;
}

/** Where the parts of a store lie. */
export interface StorePaths {
  readonly file: string;
  readonly objects: string;
  readonly keys: string;
  /** At least one folder. */
  readonly checkpoints: readonly string[];
  readonly tiles: string | null;
  /** Keys, encrypted to offline keys. */
  readonly recovery: string;
}

export function storePaths(options: StorePlaces): StorePaths {
  return {
    file: join(options.directory, 'store.sqlite'),
    objects: join(options.directory, 'objects'),
    keys: options.keysDirectory ?? join(options.directory, 'keys'),
    checkpoints: [
      options.checkpointsDirectory ?? join(options.directory, 'checkpoints'),
      ...(options.checkpointFolders ?? []),
    ],
    tiles: options.tilesDirectory ?? null,
    recovery: join(options.directory, 'recovery'),
  };
}
