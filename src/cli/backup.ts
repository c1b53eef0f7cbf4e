/** `backup create | list | verify | restore`: copies of the store on another host, and the way back. */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { generationsIn, readManifest } from '../preservation/backup-folder.ts';
import { asKey, backupKeyFile, openFolderKey } from '../preservation/backup-key.ts';
import { type Restored, restoreBackup } from '../preservation/backup-restore.ts';
import { verifyBackup } from '../preservation/backup-verify.ts';
import { type Generation, summaryOf } from '../preservation/copier.ts';
import { readSecret } from '../store/key-files.ts';
import { recoveryNote } from '../store/recovery.ts';
import { keptFiles, readKept } from '../store/sqlite/head-check.ts';
import { type StorePaths, storePaths } from '../store/sqlite/open.ts';
import { openAtRest } from './command-store.ts';
import { type CommonOptions, type Context, withCommonOptions } from './context.ts';
import { connectToGateway } from './control.ts';
import { CommandError, exit } from './exit.ts';
import { loadFor } from './load.ts';
import { readPassword } from './password.ts';
import { placeOf, storeOf } from './place.ts';
import { requireStore } from './reader.ts';

interface FolderOptions extends CommonOptions {
  readonly from?: string;
  readonly recoveryKey?: string;
  readonly key?: string;
}

interface RestoreCliOptions extends FolderOptions {
  readonly from: string;
  readonly to: string;
  readonly secondCopy?: string;
  readonly generation?: string;
}

export function register(program: Command, context: Context): void {
  const backup = program.command('backup').description('encrypted copies of the store, and the way back');
  withCommonOptions(
    backup.command('create').description('make a generation now, while the gateway runs or not'),
  ).action(context.action((options: CommonOptions) => create(options, context)));
  withKey(backup.command('list').description('the generations, oldest first')).action(
    context.action((options: FolderOptions) => list(options, context)),
  );
  withKey(backup.command('verify').description('read everything back: all generations, or those named'))
    .argument('[generations...]', 'ids as `backup list` prints them')
    .action(
      context.action((generations: string[], options: FolderOptions) =>
        verify(generations, options, context),
      ),
    );
  withKey(backup.command('restore').description('make a store out of a backup, in an empty folder'))
    .requiredOption('--to <directory>', 'where the store is made')
    .option('--second-copy <directory>', 'the second copy: what was committed after the backup')
    .option('--generation <id>', 'instead of the newest')
    .action(context.action((options: RestoreCliOptions) => restore(options, context)));
}

function withKey(command: Command): Command {
  return withCommonOptions(command)
    .option('--from <directory>', 'the backup; by default preservation.backup.directory')
    .option('--recovery-key <file>', 'offline recovery key, PEM, where the key folder is gone')
    .option('--key <file>', 'the backup key itself; by default gateway.backup.key among the keys');
}

async function create(options: CommonOptions, context: Context) {
  const { config } = loadFor(options, context);
  const { paths } = await storeOf(options, context);
  if (config.preservation.backup === undefined)
    throw new CommandError(exit.configuration, 'preservation.backup is not configured');
  using gateway = await connectToGateway(config.data);
  const made =
    gateway === null
      ? await createAtRest(options, context)
      : ((await gateway.ask({ command: 'backup-create' })) as Generation);
  if (options.json) context.printJson(made);
  else context.print(`${lineOf(made)}; read back and compared`);
  for (const { tenant } of made.heads)
    if (recoveryNote(paths.recovery, tenant) === null)
      context.warn(
        `${tenant}: no recovery copy of its keys is in this backup: start the gateway, then make another`,
      );
  return exit.good;
}

async function createAtRest(options: CommonOptions, context: Context): Promise<Generation> {
  const place = await storeOf(options, context);
  requireStore(place.paths);
  const { copies, close } = await openAtRest(place, place.copies!);
  try {
    return await copies.backUp();
  } finally {
    await close();
  }
}

function lineOf({ id, made, seq, took, written, heads, objects }: Generation): string {
  const entries = heads.map(({ tenant, size }) => `${tenant} ${size}`).join(', ');
  return `${id}  ${made}  commit ${seq}  entries: ${entries}; ${objects} object files; ${size(written)} new in ${seconds(took)}`;
}

async function list(options: FolderOptions, context: Context) {
  const { folder, key } = await openFolder(options, context);
  for (const id of await generationsIn(folder)) {
    const generation = summaryOf(await readManifest(folder, key, id));
    if (options.json) context.printJson(generation);
    else context.print(lineOf(generation));
  }
  return exit.good;
}

async function verify(generations: readonly string[], options: FolderOptions, context: Context) {
  const { folder, key } = await openFolder(options, context);
  const known = await generationsIn(folder);
  if (known.length === 0) throw new CommandError(exit.usage, `${folder}: there is no generation`);
  for (const id of generations)
    if (!known.includes(id)) throw new CommandError(exit.usage, `${folder}: there is no generation ${id}`);
  const began = Date.now();
  let bytes = 0;
  const findings = await verifyBackup(folder, key, generations.length > 0 ? generations : undefined, (n) => {
    bytes += n;
  });
  const count = generations.length || known.length;
  if (options.json) context.printJson({ generations: count, bytes, findings });
  else {
    for (const { generation, problem } of findings) context.print(`${generation}: ${problem}`);
    context.print(
      `${count} generations, ${size(bytes)} of blocks read in ${seconds(Date.now() - began)}, ${findings.length} findings`,
    );
  }
  return findings.length === 0 ? exit.good : exit.finding;
}

async function restore(options: RestoreCliOptions, context: Context) {
  const directory = resolve(context.cwd, options.to);
  const paths = await pathsInto(directory, options, context);
  const { folder, key, recoveryKey } = await openFolder(options, context);
  const restored = await restoreBackup({
    from: folder,
    key,
    recoveryKey,
    paths,
    directory,
    generation: options.generation,
    secondCopy: options.secondCopy === undefined ? undefined : resolve(context.cwd, options.secondCopy),
    now: Date.now,
  });
  const lost = lostRanges(paths, restored);
  if (options.json) context.printJson({ ...restored, lost });
  else printRestored(restored, lost, context);
  return restored.complete && restored.missingObjects.length + restored.missingKeys.length + lost.length === 0
    ? exit.good
    : exit.finding;
}

interface Lost {
  readonly tenant: string;
  /** Entries [from, to) that a checkpoint kept elsewhere signs, and the restored log does not have. */
  readonly from: number;
  readonly to: number;
  readonly source: string;
}

/** What checkpoints of elsewhere say, as far as they state sizes; the start of the gateway checks them whole. */
function lostRanges(paths: StorePaths, { heads }: Restored): Lost[] {
  return heads.flatMap(({ tenant, origin, base, size: known }) => {
    let farthest: Lost | null = null;
    for (const source of keptFiles(paths, tenant)) {
      const [said, count] = (readKept(source) ?? '').split('\n', 2);
      if (said !== origin || !/^\d{1,15}$/.test(count ?? '')) continue;
      const to = base + Number(count);
      if (to > (farthest?.to ?? base + known)) farthest = { tenant, from: base + known, to, source };
    }
    return farthest === null ? [] : [farthest];
  });
}

function printRestored(restored: Restored, lost: readonly Lost[], context: Context): void {
  const { print } = context;
  print(`restored in ${seconds(restored.tookMs)}: generation ${restored.generation} of ${restored.made}`);
  print(
    `commits up to ${restored.seq}${restored.fromSecondCopy > 0 ? `, ${restored.fromSecondCopy} of them from the second copy` : ''}`,
  );
  print(`${restored.complete ? 'complete' : 'NOT complete'}: ${restored.why}`);
  for (const { tenant, origin, base, size: count } of restored.heads)
    print(`${tenant}: log ${origin}, entries up to ${tenant}/${base + count - 1}`);
  for (const { tenant, from, to, source } of lost)
    print(`${tenant}: entries ${tenant}/${from} to ${tenant}/${to - 1} are missing: ${source} signs them`);
  for (const { tenant, object, why } of restored.missingObjects)
    print(`${tenant}: object ${object} is missing: ${why}`);
  for (const { tenant, handovers, forwards } of restored.queue)
    if (handovers + forwards > 0)
      print(
        `${tenant}: ${handovers} hand-overs and ${forwards} forwardings are held; nothing of them is sent`,
      );
  for (const tenant of restored.missingKeys)
    print(`${tenant}: its keys are missing: copy the key folder here, or run keys recover`);
  print('');
  print('Now: demail-gateway evidence verify, then start the gateway.');
  if (!restored.complete)
    print(
      'Every log is held: either restore with the second copy, or run evidence close-log for each tenant. See docs/backup.md.',
    );
  else print('The logs go on. Hand-overs that were open are in doubt: queue list, and docs/backup.md.');
}

/** Keys and checkpoints may be configured to lie elsewhere. */
async function pathsInto(directory: string, options: CommonOptions, context: Context): Promise<StorePaths> {
  if (placeOf(options, context).config === undefined) return storePaths({ directory });
  return (await storeOf({ ...options, data: directory }, context)).paths;
}

async function openFolder(
  options: FolderOptions & { readonly to?: string },
  context: Context,
): Promise<{ folder: string; key: KeyObject; recoveryKey: KeyObject | undefined }> {
  const folder =
    options.from === undefined
      ? loadFor(options, context).config.preservation.backup?.directory
      : resolve(context.cwd, options.from);
  if (folder === undefined)
    throw new CommandError(exit.usage, 'name the backup by --from, or configure preservation.backup');
  if (!existsSync(folder)) throw new CommandError(exit.usage, `${folder}: there is no such folder`);
  if (options.recoveryKey !== undefined) {
    const recoveryKey = await readRecoveryKey(options.recoveryKey, context);
    return { folder, key: await openFolderKey(folder, recoveryKey), recoveryKey };
  }
  const keys =
    options.to === undefined
      ? (await storeOf(options, context)).paths.keys
      : (await pathsInto(resolve(context.cwd, options.to), options, context)).keys;
  const file = options.key === undefined ? backupKeyFile(keys) : resolve(context.cwd, options.key);
  try {
    return { folder, key: asKey(readSecret(file), file), recoveryKey: undefined };
  } catch (error) {
    throw new CommandError(
      exit.usage,
      `${(error as Error).message}; or open the backup by --recovery-key`,
      error,
    );
  }
}

/** @throws CommandError (usage) */
async function readRecoveryKey(file: string, context: Context): Promise<KeyObject> {
  const path = resolve(context.cwd, file);
  const pem = readFileSync(path, 'utf8');
  const passphrase = pem.includes('ENCRYPTED')
    ? await readPassword('Passphrase of the recovery key: ')
    : undefined;
  try {
    return createPrivateKey({ key: pem, ...(passphrase !== undefined && { passphrase }) });
  } catch (error) {
    throw new CommandError(exit.usage, `${path}: does not open with this passphrase`, error);
  }
}

function size(bytes: number): string {
  return bytes < 1024 ** 2 ? `${Math.ceil(bytes / 1024)} KiB` : `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
