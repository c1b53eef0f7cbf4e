/** `evidence proof`: a receipt that an entry stands in the signed log, checkable by anybody, offline. */
import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { Entry } from '../evidence/entry.ts';
import { letterOf } from '../evidence/projection.ts';
import type { Reader } from '../store/store.ts';
import { recordAccess } from './access.ts';
import { type CommonOptions, type Context, withCommonOptions } from './context.ts';
import { CommandError, exit } from './exit.ts';
import { storeOf } from './place.ts';
import { isPrivateLetter, privateReader } from './private-access.ts';
import { openReader } from './reader.ts';

interface ProofOptions extends CommonOptions {
  readonly out?: string;
}

export function registerProof(evidence: Command, context: Context): void {
  withCommonOptions(
    evidence
      .command('proof')
      .description('proof that an entry stands in the signed log (c2sp.org/tlog-proof@v1)'),
  )
    .argument('<entry>', 'tenant/index')
    .option('--out <file>', 'write it there; entry and salt beside it as FILE.json and FILE.salt')
    .action(context.action((entry: string, options: ProofOptions) => proof(entry, options, context)));
}

async function proof(place: string, options: ProofOptions, context: Context) {
  const match = /^([a-z0-9][a-z0-9-]{0,62})\/(\d{1,15})$/.exec(place);
  if (match === null) throw new CommandError(exit.usage, `${place}: an entry is named tenant/index`);
  const [tenant, index] = [match[1]!, Number(match[2])];
  const storePlace = await storeOf(options, context);
  const { data, paths } = storePlace;
  using reader = openReader(paths);
  const text = await reader.proof(tenant, index);
  const opened = await reader.entryFiles(tenant, index);
  if (text === null || opened === null) throw new CommandError(exit.usage, `there is no entry ${place}`);
  if (options.out !== undefined && !(await mayGive(reader, data, tenant, opened.entry, options, context)))
    throw new CommandError(
      exit.usage,
      `${place} belongs to a private De-Mail: only those whom privateMail.operators names may write it out; without --out the proof alone is printed`,
    );
  await recordAccess(context, storePlace, [tenant], 'export', `proof of ${place}`);
  if (options.out === undefined) {
    if (options.json) context.printJson({ tenant, index, proof: text });
    else context.print(text.trimEnd());
    return exit.good;
  }
  const file = resolve(context.cwd, options.out);
  const files = [file, `${file}.json`, `${file}.salt`];
  for (const [i, content] of [text, opened.bytes, opened.salt].entries()) await write(files[i]!, content);
  if (options.json) context.printJson({ tenant, index, files });
  else for (const name of files) context.print(name);
  return exit.good;
}

/** The entry that goes beside the proof tells subject and file names. */
async function mayGive(
  reader: Reader,
  data: string,
  tenant: string,
  entry: Entry,
  options: ProofOptions,
  context: Context,
): Promise<boolean> {
  const letter = letterOf(entry);
  const isPrivate = isPrivateLetter(letter === null ? [entry] : await reader.timeline(tenant, letter));
  return !isPrivate || (await privateReader(data, options, context))(tenant);
}

async function write(file: string, content: string | Uint8Array): Promise<void> {
  try {
    await writeFile(file, content, { flag: 'wx' });
  } catch (error) {
    throw new CommandError(exit.usage, `${file}: ${(error as Error).message}`, error);
  }
}
