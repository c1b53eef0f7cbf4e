/** `evidence export`: a letter with all that proves it, for courts, archives and other programs. */
import { createWriteStream, existsSync } from 'node:fs';
import { link, rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { writeArchive } from '../evidence/bundle/archive.ts';
import { collectBundle } from '../evidence/bundle/collect.ts';
import { exportTenant } from '../evidence/bundle/export-tenant.ts';
import { layoutOf } from '../evidence/bundle/layout.ts';
import { mboxMessage } from '../evidence/bundle/mbox.ts';
import type { Entry } from '../evidence/entry.ts';
import { createNoteSigner, type NoteSigner, verifierKey } from '../evidence/note.ts';
import { KeyError } from '../store/key-error.ts';
import { loadTenantKeys, logKeyFile, readLogKey } from '../store/keys.ts';
import type { StorePaths } from '../store/sqlite/open.ts';
import type { Reader } from '../store/store.ts';
import { recordAccess } from './access.ts';
import { type CommonOptions, type Context, withCommonOptions } from './context.ts';
import { CommandError, exit } from './exit.ts';
import { operator } from './operator.ts';
import { storeOf } from './place.ts';
import { isPrivateLetter, privateReader } from './private-access.ts';
import { openReader, openSnapshot } from './reader.ts';
import { sealUnsealed } from './seal.ts';

const formats = ['asice', 'mbox', 'eml'] as const;

interface ExportOptions extends CommonOptions {
  readonly tenant?: string;
  readonly out: string;
  readonly format: string;
  readonly seal?: boolean;
}

export function registerExport(evidence: Command, context: Context): void {
  withCommonOptions(
    evidence
      .command('export')
      .description('a letter with everything that proves it, as one file (ASiC-E), or its messages alone'),
  )
    .argument(
      '[message]',
      'Message-ID, private-id or tenant/index; without it all of --tenant, into a folder',
    )
    .requiredOption('--out <file>', 'where it goes; an existing file is not overwritten')
    .option('--tenant <id>', 'only this tenant')
    .option(
      '--format <format>',
      'asice, mbox (all messages of the letter) or eml (the message alone)',
      'asice',
    )
    .option('--seal', 'time-stamp what no seal covers yet first')
    .action(
      context.action((message: string | undefined, options: ExportOptions) =>
        message === undefined ? exportWhole(options, context) : exportLetter(message, options, context),
      ),
    );
}

async function exportLetter(name: string, options: ExportOptions, context: Context) {
  const format = formats.find((each) => each === options.format);
  if (format === undefined)
    throw new CommandError(exit.usage, `--format ${options.format}: asice, mbox or eml`);
  const out = resolve(context.cwd, options.out);
  if (existsSync(out)) throw new CommandError(exit.usage, `${out}: is there already`);
  const storePlace = await storeOf(options, context);
  const { data, paths } = storePlace;
  const { tenant, letter, isPrivate } = await chosenLetter();
  if (options.seal) await sealUnsealed(options, context);
  await recordAccess(
    context,
    storePlace,
    [tenant],
    'export',
    `${tenant}/${letter} as ${format}${isPrivate ? ' (private)' : ''}`,
  );
  using reader = openReader(paths);
  if (format === 'asice') return await bundle(reader);
  const messages = messagesOf(letter, await reader.timeline(tenant, letter));
  const wanted = format === 'eml' ? messages.filter(({ isLetter }) => isLetter) : messages;
  if (wanted.length === 0)
    throw new CommandError(exit.usage, `${tenant}/${letter} has no message of its own`);
  await writeWhole(out, (file) =>
    pipeline(
      async function* () {
        for (const { object, sender, time } of wanted) {
          const opened = await reader.object(tenant, object);
          if (opened === null) throw new CommandError(exit.finding, `object ${tenant}/${object} is missing`);
          if (format === 'eml') yield* opened.read();
          else {
            const chunks: Buffer[] = [];
            for await (const chunk of opened.read()) chunks.push(chunk);
            yield mboxMessage(Buffer.concat(chunks), sender, time);
          }
        }
      },
      createWriteStream(file, { flags: 'wx' }),
    ),
  );
  if (options.json) context.printJson({ tenant, letter, out, format, messages: wanted.length });
  else
    context.print(
      `${out}: ${wanted.length} message${wanted.length === 1 ? '' : 's'} of letter ${tenant}/${letter}`,
    );
  return exit.good;

  async function chosenLetter() {
    using before = openReader(paths);
    const found = await before.resolve(name, options.tenant);
    if (found.length === 0) throw new CommandError(exit.usage, `no message is known as ${name}`);
    if (found.length > 1)
      throw new CommandError(
        exit.usage,
        `${name} may be ${found.map((f) => `${f.tenant}/${f.letter}`).join(', ')}: name one of them`,
      );
    const chosen = found[0]!;
    const hidden = isPrivateLetter(await before.timeline(chosen.tenant, chosen.letter));
    if (hidden && !(await privateReader(data, options, context))(chosen.tenant)) {
      const query = `${chosen.tenant}/${chosen.letter} (private, refused)`;
      await recordAccess(context, storePlace, [chosen.tenant], 'export', query);
      throw new CommandError(
        exit.finding,
        `${chosen.tenant}/${chosen.letter} is a private De-Mail: privateMail.operators of ${chosen.tenant} does not name ${operator().name}`,
      );
    }
    return { ...chosen, isPrivate: hidden };
  }

  async function bundle(from: Reader) {
    const signer = await listSigner(from, paths.keys, tenant);
    if (signer === null)
      context.warn(`the key of the log of ${tenant} is not at hand: the list of files stays unsigned`);
    const { files, report } = await collectBundle(from, { tenant, letter }, signer);
    await writeWhole(out, (file) => writeArchive(file, files));
    if (options.json)
      context.printJson({ tenant, letter, out, format, files: files.length, unsealed: report.unsealed });
    else context.print(`${out}: ${files.length} files of letter ${tenant}/${letter}`);
    if (report.unsealed.length > 0)
      context.warn(
        `not sealed yet: entries ${report.unsealed.join(', ')}; export again after the next seal, or with --seal`,
      );
    return exit.good;
  }
}

/** A whole tenant, into a new folder. */
async function exportWhole(options: ExportOptions, context: Context) {
  const { tenant } = options;
  if (tenant === undefined)
    throw new CommandError(exit.usage, 'name a message, or a tenant by --tenant to export all of it');
  if (options.format !== 'asice')
    throw new CommandError(
      exit.usage,
      `--format ${options.format} is for the messages of one letter: a whole tenant goes into a folder of bundles`,
    );
  const out = resolve(context.cwd, options.out);
  if (existsSync(out)) throw new CommandError(exit.usage, `${out}: is there already`);
  const storePlace = await storeOf(options, context);
  const { data, paths } = storePlace;
  if (!(await hasTenant(paths, tenant)))
    throw new CommandError(exit.usage, `tenant ${tenant} has no log in ${data}`);
  if (!(await privateReader(data, options, context))(tenant)) {
    await recordAccess(context, storePlace, [tenant], 'export', `all of ${tenant} (refused)`);
    throw new CommandError(
      exit.finding,
      `a whole tenant holds private De-Mails: privateMail.operators of ${tenant} does not name ${operator().name}`,
    );
  }
  await recordAccess(context, storePlace, [tenant], 'export', `all of ${tenant}`);
  if (options.seal) await sealUnsealed(options, context);
  // One state of the store, whatever a gateway adds meanwhile.
  using reader = openSnapshot(paths);
  const signer = await listSigner(reader, paths.keys, tenant);
  if (signer === null)
    context.warn(
      `the key of the log of ${tenant} is not at hand: the list of files stays unsigned, and no store will import it`,
    );
  const addressKey = loadTenantKeys(paths.keys, tenant, false).address.export();
  const done = await exportTenant(reader, tenant, out, { signer, addressKey });
  if (options.json) context.printJson({ tenant, out, ...done });
  else
    context.print(
      `${out}: ${done.entries} entries of ${tenant}: ${done.bundles} bundles, ${done.loose} entries of no letter, ${done.erased} erased`,
    );
  if (done.unsealed > 0) context.warn(`${done.unsealed} bundles hold entries that are not sealed yet`);
  if (done.excluded > 0) context.warn(`${done.excluded} entries have no record: their seals left them out`);
  const waiting = {
    'hand-overs': (await reader.openTransactions(tenant)).length,
    forwardings: (await reader.openForwards(tenant)).length,
  };
  for (const [what, count] of Object.entries(waiting))
    if (count > 0)
      context.warn(`${count} ${what} wait in the queue: finish them here before another store takes over`);
  return exit.good;
}

async function hasTenant(paths: StorePaths, tenant: string): Promise<boolean> {
  using reader = openReader(paths);
  return (await reader.tenants()).includes(tenant);
}

/** The newest key of the open log; null where its file is not readable here. */
async function listSigner(reader: Reader, keysDirectory: string, tenant: string): Promise<NoteSigner | null> {
  const log = (await reader.logs(tenant)).at(-1);
  const newest = log?.keys.at(-1)?.key;
  if (log === undefined || newest === undefined) return null;
  for (const file of [logKeyFile(keysDirectory, tenant, newest), logKeyFile(keysDirectory, tenant, null)]) {
    try {
      const { privateKey, publicKey } = readLogKey(file);
      if (verifierKey(log.origin, publicKey) === newest) return createNoteSigner(log.origin, privateKey);
    } catch (error) {
      if (!(error instanceof KeyError) && (error as NodeJS.ErrnoException).code === undefined) throw error;
    }
  }
  return null;
}

/** Every message of a letter, its own first. */
function messagesOf(letter: number, timeline: readonly Entry[]) {
  const senders = new Map(
    timeline.flatMap((entry) =>
      'header' in entry ? [[entry.index, { from: entry.header.from, time: entry.time }] as const] : [],
    ),
  );
  return layoutOf(letter, timeline)
    .objects.filter(({ type }) => type === 'message/rfc822')
    .sort((a, b) => a.entry - b.entry)
    .map(({ fact, entry, name }) => ({
      object: fact.object,
      isLetter: name === 'message.eml',
      sender: senders.get(entry)?.from ?? null,
      time: new Date(senders.get(entry)?.time ?? timeline[0]!.time),
    }));
}

/** The file is there whole, or not at all; one that is there is not overwritten. */
async function writeWhole(out: string, write: (file: string) => Promise<void>): Promise<void> {
  const begun = `${out}.part`;
  try {
    await write(begun);
    await link(begun, out);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    throw new CommandError(exit.usage, `${out}: ${(error as Error).message}`, error);
  } finally {
    await rm(begun, { force: true });
  }
}
