/** `private list | deliver`: private De-Mails that wait for a person's mailbox. */
import type { Command } from 'commander';
import type { Reader } from '../store/store.ts';
import { type CommonOptions, type Context, withCommonOptions } from './context.ts';
import { needGateway } from './control.ts';
import { CommandError, exit } from './exit.ts';
import { operator } from './operator.ts';
import { storeOf } from './place.ts';
import { openReader } from './reader.ts';

interface DeliverOptions extends CommonOptions {
  readonly to?: string;
  readonly reason: string;
}

export function register(program: Command, context: Context): void {
  const group = program
    .command('private')
    .description('private De-Mails that no mailbox may take: they wait for a person');
  withCommonOptions(group.command('list').description('what waits; without subject and content'))
    .option('--tenant <id>', 'only this tenant')
    .action(context.action((options: CommonOptions & { tenant?: string }) => list(options, context)));
  withCommonOptions(group.command('deliver').description('place one of them into a mailbox'))
    .argument('<entry>', 'tenant/index, as listed')
    .option('--to <login>', 'who is to read it; without it: whom the configuration names by now')
    .requiredOption('--reason <text>', 'why; it becomes part of the evidence')
    .action(context.action((entry: string, options: DeliverOptions) => deliver(entry, options, context)));
}

async function list(options: CommonOptions & { tenant?: string }, context: Context) {
  const { paths } = await storeOf(options, context);
  using reader = openReader(paths);
  const tenants = options.tenant === undefined ? await reader.tenants() : [options.tenant];
  for (const tenant of tenants) {
    for (const { index, addresses } of await reader.waitingPrivate(tenant)) {
      const line = await describe(reader, tenant, index, addresses);
      if (options.json) context.printJson(line);
      else
        context.print(
          `${tenant}/${index}  ${line.time}  ${line.kind}  from ${printable(line.sender ?? 'unknown')}  for ${addresses.map((address) => printable(address) || 'nobody named').join(', ')}`,
        );
    }
  }
  return exit.good;
}

async function describe(reader: Reader, tenant: string, index: number, addresses: readonly string[]) {
  const entry = await reader.entry(tenant, index);
  return {
    tenant,
    index,
    time: entry?.time ?? null,
    kind: entry?.kind ?? null,
    sender: entry !== null && 'demail' in entry ? (entry.demail.sender ?? entry.header.from) : null,
    addresses: addresses.filter((address) => address !== ''),
  };
}

/** Senders come from outside: nothing of them may steer the terminal. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?');
}

async function deliver(name: string, options: DeliverOptions, context: Context) {
  const match = /^([a-z0-9][a-z0-9-]{0,62})\/(\d{1,15})$/.exec(name);
  if (match === null) throw new CommandError(exit.usage, `${name}: a message is named tenant/index`);
  const { data } = await storeOf(options, context);
  using gateway = await needGateway(data);
  const actor = operator();
  const order = {
    command: 'private-deliver' as const,
    tenant: match[1]!,
    index: Number(match[2]),
    ...(options.to === undefined ? {} : { to: options.to }),
    actor,
    reason: options.reason,
  };
  await gateway.ask(order);
  if (options.json) context.printJson(order);
  else context.print(`${name}: delivered${options.to === undefined ? '' : ` to ${options.to}`}`);
  return exit.good;
}
