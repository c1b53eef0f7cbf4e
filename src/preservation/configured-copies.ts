/** Backups and second copy as the configuration wants them. */
import type { Config } from '../config/schema.ts';
import { type StorePaths, storePaths } from '../store/sqlite/paths.ts';
import { type Copies, type CopySettings, startCopies } from './copies.ts';

/** Null where no backup is configured. */
export function copySettings({ preservation, keys }: Config): CopySettings | null {
  const { backup, secondCopy } = preservation;
  if (backup === undefined) return null;
  return { backup, secondCopy: secondCopy ?? null, recoveryCertificates: keys?.recovery ?? [] };
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
  const settings = copySettings(config);
  return settings === null ? null : startCopies(pathsOf(config), settings);
}
