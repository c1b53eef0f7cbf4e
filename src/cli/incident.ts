/** `incident list | close`: what is wrong for a tenant, and a person's word that a dispute is dealt with. */
import type { Command } from 'commander';
import { type CommonOptions, type Context, withCommonOptions } from './context.ts';
import { needGateway } from './control.ts';
import { exit } from './exit.ts';
import { operator } from './operator.ts';
import { storeOf } from './place.ts';
import { openReader } from './reader.ts';

interface CloseOptions extends CommonOptions {
  readonly reason: string;
}

export function register(program: Command, context: Context): void {
  const incident = program.command('incident').description('what is wrong, and what a person has settled');
  withCommonOptions(incident.command('list').description('every open incident'))
    .option('--tenant <id>', 'only this tenant')
    .action(
      context.action((options: CommonOptions & { readonly tenant?: string }) => list(options, context)),
    );
  withCommonOptions(
    incident.command('close').description('close a disputed confirmation; other incidents end by themselves'),
  )
    .argument('<tenant>', 'id of the tenant')
    .argument('<name>', 'such as "confirmation-disputed 17"')
    .requiredOption('--reason <text>', 'why; it becomes part of the evidence')
    .action(
      context.action((tenant: string, name: string, options: CloseOptions) =>
        close(tenant, name, options, context),
      ),
    );
}

async function list(options: CommonOptions & { readonly tenant?: string }, context: Context) {
  const { paths } = await storeOf(options, context);
  using reader = openReader(paths);
  const tenants = options.tenant === undefined ? await reader.tenants() : [options.tenant];
  for (const tenant of tenants) {
    for (const { incident, since, text } of await reader.incidents(tenant)) {
      if (options.json) context.printJson({ tenant, incident, since, text });
      else {
        context.print(`${tenant}  ${since}  ${incident}`);
        for (const line of text.split('\n')) context.print(`    ${line}`);
      }
    }
  }
  return exit.good;
}

async function close(tenant: string, incident: string, options: CloseOptions, context: Context) {
  const { data } = await storeOf(options, context);
  using gateway = await needGateway(data);
  const wish = {
    command: 'incident-close',
    tenant,
    incident,
    actor: operator(),
    reason: options.reason,
  } as const;
  await gateway.ask(wish);
  if (options.json) context.printJson(wish);
  else context.print(`${tenant}: ${incident} is closed`);
  return exit.good;
}
