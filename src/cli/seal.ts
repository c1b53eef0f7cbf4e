/** `evidence seal | seals | record | simulate`: time-stamps over the evidence, and the records that they give. */
import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { ExcludedEntry, recordOfEntry } from '../evidence/record-of.ts';
import { authoritiesOf } from '../preservation/create.ts';
import { type Sealing, seal } from '../preservation/seal.ts';
import { openCommandStore } from './command-store.ts';
import { type CommonOptions, type Context, withCommonOptions } from './context.ts';
import { connectToGateway } from './control.ts';
import { CommandError, exit } from './exit.ts';
import { loadFor } from './load.ts';
import { storeOf } from './place.ts';
import { openReader } from './reader.ts';
import { simulateDecades } from './simulate-decades.ts';

export function registerSeals(evidence: Command, context: Context): void {
  withCommonOptions(
    evidence.command('seal').description('time-stamp what no seal covers yet, of all tenants, now'),
  ).action(context.action((options: CommonOptions) => sealNow(options, context)));
  withCommonOptions(
    evidence.command('seals').description('every seal and renewal, and what waits for one'),
  ).action(context.action((options: CommonOptions) => seals(options, context)));
  withCommonOptions(evidence.command('record').description('evidence record of an entry (RFC 4998, DER)'))
    .argument('<entry>', 'tenant/index')
    .requiredOption('--out <file>', 'where it goes')
    .action(
      context.action((entry: string, options: CommonOptions & { readonly out: string }) =>
        record(entry, options, context),
      ),
    );
  evidence
    .command('simulate')
    .description(
      'play decades: a store of its own, a trial authority, aging algorithms; verify everything at the end',
    )
    .requiredOption('--until <year>', 'the year in which it ends, such as 2060')
    .option('--json', 'print JSON, one object per line')
    .action(
      context.action((options: { readonly until: string; readonly json?: boolean }) =>
        simulateDecades(options, context),
      ),
    );
}

async function sealNow(options: CommonOptions, context: Context) {
  const sealed = await sealUnsealed(options, context);
  if (options.json) context.printJson(sealed);
  else if (sealed === null) context.print('nothing to seal');
  else
    context.print(
      `archive timestamp ${sealed.id}: ${sealed.entries} entries sealed at ${sealed.genTime} by ${sealed.authority}`,
    );
  for (const { tenant, index, reason } of sealed?.excluded ?? [])
    context.warn(`${tenant}/${index} is not covered: ${reason}`);
  return (sealed?.excluded.length ?? 0) === 0 ? exit.good : exit.finding;
}

/** By the running gateway, or, where none runs, by the command. Null: there was nothing to seal. */
export async function sealUnsealed(options: CommonOptions, context: Context): Promise<Sealing | null> {
  const place = await storeOf(options, context);
  const { data } = place;
  using gateway = await connectToGateway(data);
  if (gateway !== null) return (await gateway.ask({ command: 'evidence-seal' })) as Sealing | null;
  const { config } = loadFor(options, context);
  const wanted = config.preservation.seal;
  if (wanted === undefined)
    throw new CommandError(exit.configuration, 'preservation.seal names no time-stamping authority');
  await using store = await openCommandStore(place);
  const authorities = await authoritiesOf(wanted, data, Date.now);
  return await seal({ store, authorities, digest: wanted.digest });
}

async function seals(options: CommonOptions, context: Context) {
  const { paths } = await storeOf(options, context);
  using reader = openReader(paths);
  for (const one of await reader.archiveTimestamps()) {
    const ranges = await reader.archiveRanges(one.id);
    if (options.json) context.printJson({ ...one, ranges });
    else
      context.print(
        `${one.id}  ${one.kind}  ${one.digest}  ${one.genTime}  ${one.authority}  ${one.leaves} groups${one.partial ? ', in part: it came with an import' : ''}${one.final ? '' : '  waits for its revocation list'}`,
      );
  }
  for (const { tenant, from, to, oldest } of await reader.unsealed()) {
    if (options.json) context.printJson({ unsealed: { tenant, from, to, oldest } });
    else context.print(`${tenant}: entries ${from} to ${to - 1} under no seal since ${oldest}`);
  }
  return exit.good;
}

async function record(name: string, options: CommonOptions & { readonly out: string }, context: Context) {
  const place = /^([a-z0-9][a-z0-9-]{0,62})\/(\d{1,15})$/.exec(name);
  if (place === null) throw new CommandError(exit.usage, `${name}: an entry is named tenant/index`);
  const { paths } = await storeOf(options, context);
  using reader = openReader(paths);
  const der = await recordOfEntry(reader, place[1]!, Number(place[2])).catch((error: unknown) => {
    if (!(error instanceof ExcludedEntry)) throw error;
    throw new CommandError(exit.finding, `${error.message}; it rests on the log alone`, error);
  });
  if (der === null) throw new CommandError(exit.usage, `${name} is under no seal yet, or was erased`);
  const out = resolve(context.cwd, options.out);
  await writeFile(out, der);
  if (options.json) context.printJson({ entry: name, out, size: der.length });
  else context.print(`${out}: ${der.length} bytes`);
  return exit.good;
}
