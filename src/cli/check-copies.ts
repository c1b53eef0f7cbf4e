/** `check`: are there backups, does the second copy keep up, was everything re-read, and does a copy lie elsewhere? */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../config/schema.ts';
import { generationsIn, readManifest } from '../preservation/backup-folder.ts';
import { asKey, backupKeyFile } from '../preservation/backup-key.ts';
import type { CopiesStatus } from '../preservation/copies.ts';
import { lastCommit } from '../preservation/journal.ts';
import { readSecret } from '../store/key-files.ts';
import { readCommitCount } from '../store/sqlite/commit-count.ts';
import type { StorePaths } from '../store/sqlite/paths.ts';
import { examine, type Result } from './check-result.ts';
import { connectToGateway } from './control.ts';

export async function checkCopies(config: Config, paths: StorePaths): Promise<Result[]> {
  const { backup, secondCopy } = config.preservation;
  const scrubbing = await examine('scrubbing', config.data, async () => lastRound(config));
  if (backup === undefined)
    return [
      scrubbing,
      {
        check: 'backup',
        subject: 'preservation.backup',
        good: true,
        warning: true,
        detail: 'not configured: what the gateway acknowledges lies on one disk (docs/backup.md)',
      },
    ];
  const results = [
    ...apart(config, 'backup', backup.directory),
    await examine('backup', backup.directory, () => newest(backup, paths)),
  ];
  if (secondCopy !== undefined) {
    results.push(...apart(config, 'second copy', secondCopy.directory));
    results.push(await examine('second copy', secondCopy.directory, () => lag(config, secondCopy, paths)));
  }
  return [...results, scrubbing];
}

/** A copy on the same file system dies with it: also where a mount is missing and its folder is an empty one of this disk. */
function apart(config: Config, check: string, folder: string): Result[] {
  if (!existsSync(folder) || !existsSync(config.data)) return [];
  if (statSync(folder).dev !== statSync(config.data).dev) return [];
  const detail = 'lies on the same file system as the store: is it mounted? a copy belongs on another host';
  return [{ check, subject: folder, good: true, warning: true, detail }];
}

async function newest(
  { directory, every }: NonNullable<Config['preservation']['backup']>,
  paths: StorePaths,
): Promise<string> {
  const id = (await generationsIn(directory)).at(-1);
  if (id === undefined) throw new Error('there is no backup yet: backup create');
  const file = backupKeyFile(paths.keys);
  const { made, seq } = await readManifest(directory, asKey(readSecret(file), file), id);
  if (Date.now() - Date.parse(made) > 2 * every)
    throw new Error(`the newest is of ${made}; it should be younger: backup create says what is wrong`);
  return `the newest is of ${made}, commit ${seq}`;
}

async function lag(
  config: Config,
  { directory, alarmAfter }: NonNullable<Config['preservation']['secondCopy']>,
  paths: StorePaths,
): Promise<string> {
  using gateway = existsSync(config.data) ? await connectToGateway(config.data) : null;
  if (gateway === null) return await atRest(directory, paths);
  const { copies } = (await gateway.ask({ command: 'status' })) as { copies: CopiesStatus | null };
  const copy = copies?.secondCopy ?? null;
  if (copy === null) throw new Error('the running gateway keeps none: restart it');
  if (copy.lagMs > alarmAfter)
    throw new Error(`${copy.committed - copy.copied} commits behind: ${copy.lastError ?? 'slow'}`);
  if (copies?.lastBackup?.epoch !== copy.epoch)
    throw new Error(
      `it began anew (${copy.begunAnew ?? 'there was none'}), and no backup leads to it yet: backup create`,
    );
  return `${copy.mode}, commit ${copy.copied} of ${copy.committed}, lag ${copy.lagMs} ms`;
}

/** While no gateway runs: has it every commit of the store? */
async function atRest(directory: string, paths: StorePaths): Promise<string> {
  const count = readCommitCount(paths.file);
  if (count?.epoch == null) return 'not begun yet: the next start begins it, with a backup';
  const file = backupKeyFile(paths.keys);
  const last = await lastCommit(directory, count.epoch, asKey(readSecret(file), file));
  if (last !== null && last >= count.seq) return `every commit of the store, up to ${last}, is in it`;
  throw new Error(
    `the commits ${last === null ? 1 : last + 1} to ${count.seq} are not in it: the next start begins it anew, with a backup`,
  );
}

function lastRound({ data, preservation }: Config): string {
  const file = join(data, 'scrub.json');
  if (!existsSync(file)) return 'no round yet';
  const { last, round } = JSON.parse(readFileSync(file, 'utf8')) as {
    last: { ended: number; entries: number; objects: number; findings: { place: string }[] } | null;
    round: { began: number; findings: { place: string }[] };
  };
  const found = [...(last?.findings ?? []), ...round.findings].map(({ place }) => place);
  if (found.length > 0) throw new Error(`damaged: ${[...new Set(found)].join(', ')} (docs/backup.md)`);
  if (Date.now() - (last?.ended ?? round.began) > preservation.scrub.within + 86_400_000)
    throw new Error('the last full round is too long ago: raise preservation.scrub.bytesPerSecond');
  return last === null
    ? 'the first round is under way'
    : `last full round ${new Date(last.ended).toISOString()}: ${last.entries} entries and ${last.objects} objects, all whole`;
}
