/** `search-text status | rebuild`: the index by which the facade searches. A derivative: rebuilding loses nothing. */
import type { Command } from 'commander';
import type { SearchTextState } from '../store/search-text.ts';
import type { Reader } from '../store/store.ts';
import { openCommandStore } from './command-store.ts';
import { type CommonOptions, type Context, withCommonOptions } from './context.ts';
import { connectToGateway } from './control.ts';
import { CommandError, exit } from './exit.ts';
import { storeOf } from './place.ts';
import { openReader } from './reader.ts';

type Options = CommonOptions & { readonly tenant?: string };

export function register(program: Command, context: Context): void {
  const group = program.command('search-text').description('the index by which the IMAP facade searches');
  withCommonOptions(group.command('status').description('what is indexed, and what waits'))
    .option('--tenant <id>', 'this tenant alone')
    .action(context.action((options: Options) => status(options, context)));
  withCommonOptions(group.command('rebuild').description('throw it away; the gateway makes it anew'))
    .option('--tenant <id>', 'this tenant alone')
    .action(context.action((options: Options) => rebuild(options, context)));
}

async function tenantsOf(reader: Pick<Reader, 'tenants'>, { tenant }: Options): Promise<readonly string[]> {
  const known = await reader.tenants();
  if (tenant === undefined) return known;
  if (!known.includes(tenant)) throw new CommandError(exit.usage, `no tenant ${tenant} is known here`);
  return [tenant];
}

async function status(options: Options, context: Context) {
  const { paths } = await storeOf(options, context);
  using reader = openReader(paths);
  for (const tenant of await tenantsOf(reader, options)) {
    const state = await reader.searchTextState(tenant);
    if (options.json) context.printJson({ tenant, on: state !== null, ...state });
    else if (state === null) context.print(`${tenant}: off`);
    else context.print(`${tenant}: ${progressOf(state)}`);
  }
  return exit.good;
}

/** In words, for people. */
export function progressOf({ indexed, waiting, filled }: SearchTextState): string {
  const rest = waiting > 0 ? `${waiting} wait` : 'none wait';
  return `${indexed} messages indexed, ${rest}${filled ? '' : ', those of before are being indexed'}`;
}

async function rebuild(options: Options, context: Context) {
  const place = await storeOf(options, context);
  using reader = openReader(place.paths);
  const tenants = await tenantsOf(reader, options);
  using gateway = await connectToGateway(place.data);
  if (gateway !== null)
    for (const tenant of tenants) await gateway.ask({ command: 'search-text-rebuild', tenant });
  else {
    await using store = await openCommandStore(place);
    for (const tenant of tenants) while (!(await store.dropSearchText(tenant)));
  }
  const when = gateway === null ? 'made anew when the gateway runs' : 'being made anew';
  for (const tenant of tenants) {
    if (options.json) context.printJson({ tenant, dropped: true });
    else context.print(`${tenant}: thrown away, ${when}`);
  }
  return exit.good;
}
