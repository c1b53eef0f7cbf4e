/** Backups and second copy as the configuration wants them. */
import type { Config } from '../config/schema.ts';
import { type StorePaths, storePaths } from '../store/sqlite/paths.ts';
import { type Copies, type CopySettings, startCopies } from './copies.ts';

export type { CopySettings } from './copies.ts';

type Wanted = Pick<Config['preservation'], 'backup' | 'secondCopy'> & {
  readonly recovery: readonly string[];
};

/** Null where no backup is configured. */
export function copySettings({ backup, secondCopy, recovery }: Wanted): CopySettings | null {
  if (backup === undefined) return null;
  return { backup, secondCopy: secondCopy ?? null, recoveryCertificates: recovery };
}

export function pathsOf(config: Config): StorePaths {
  return storePaths({
    directory: config.data,
    ...(config.keys?.directory !== undefined && { keysDirectory: config.keys.directory }),
    ...(config.checkpoints && { checkpointsDirectory: config.checkpoints.directory }),
    checkpointFolders: config.evidence.checkpointFolders,
    ...(config.evidence.tiles && { tilesDirectory: config.evidence.tiles.directory }),
  });
}

/** Starts copying; the store is opened on its feed. Null where none is configured. */
export function copiesOf(config: Config): Copies | null {
  const { backup, secondCopy } = config.preservation;
  const settings = copySettings({ backup, secondCopy, recovery: config.keys?.recovery ?? [] });
  return settings === null ? null : startCopies(pathsOf(config), settings);
}
