/** `evidence log | rotate-log-key | close-log`: the signed logs themselves. */
import type { Command } from 'commander';
import type { ControlRequest } from '../control.ts';
import type { StorePaths } from '../store/sqlite/open.ts';
import type { Store } from '../store/store.ts';
import { openCommandStore } from './command-store.ts';
import { type CommonOptions, type Context, withCommonOptions } from './context.ts';
import { connectToGateway } from './control.ts';
import { CommandError, exit } from './exit.ts';
import { operator } from './operator.ts';
import { storeOf } from './place.ts';
import { openReader } from './reader.ts';

interface ActOptions extends CommonOptions {
  readonly reason: string;
}

interface RotateOptions extends ActOptions {
  readonly overlap: string;
}

const unitMs = { h: 3_600_000, d: 86_400_000 } as const;

export function registerLog(evidence: Command, context: Context): void {
  withCommonOptions(
    evidence.command('log').description('the signed logs: origin, size, keys, and why one is held'),
  )
    .argument('[tenant]', 'only this tenant')
    .action(
      context.action((tenant: string | undefined, options: CommonOptions) => list(tenant, options, context)),
    );

  withCommonOptions(evidence.command('rotate-log-key').description('sign the log with a new key from now on'))
    .argument('<tenant>', 'id of the tenant')
    .requiredOption('--reason <text>', 'why; it becomes part of the evidence')
    .option(
      '--overlap <duration>',
      'how long the key before signs too, such as 30d or 12h; 0d: a stolen key',
      '30d',
    )
    .action(
      context.action((tenant: string, options: RotateOptions) => {
        const overlapMs = readDuration(options.overlap);
        return act(tenant, options, context, {
          request: (order) => ({ command: 'rotate-log-key', ...order, overlapMs }),
          direct: (store, order) => store.rotateLogKey(order.tenant, { ...order, overlapMs }),
        });
      }),
    );

  withCommonOptions(
    evidence
      .command('close-log')
      .description('the way out where a log is held: close it with a final note, open the next one'),
  )
    .argument('<tenant>', 'id of the tenant')
    .requiredOption('--reason <text>', 'what happened; it becomes part of the evidence')
    .action(
      context.action((tenant: string, options: ActOptions) =>
        act(tenant, options, context, {
          request: (order) => ({ command: 'close-log', ...order }),
          direct: (store, order) => store.closeLog(order.tenant, order),
        }),
      ),
    );
}

async function list(tenant: string | undefined, options: CommonOptions, context: Context) {
  const { paths } = await storeOf(options, context);
  using reader = openReader(paths);
  const known = await reader.tenants();
  if (tenant !== undefined && !known.includes(tenant))
    throw new CommandError(exit.usage, `tenant ${tenant} has no log`);
  let held = false;
  for (const name of tenant === undefined ? known : [tenant]) {
    const logs = await reader.logs(name);
    const holds = await reader.holds(name);
    const cosigned = await reader.cosigned(name);
    held ||= holds.length > 0;
    if (options.json) {
      context.printJson({
        tenant: name,
        logs: logs.map(({ origin, base, size, closed, keys }) => ({ origin, base, size, closed, keys })),
        cosigned: cosigned?.size ?? null,
        holds: holds.map(({ source, since, reason }) => ({ source, since, reason })),
      });
      continue;
    }
    for (const log of logs) {
      context.print(
        `${name}  ${log.origin}  ${log.closed ? 'closed, ' : ''}${log.size} entries from ${name}/${log.base} on`,
      );
      for (const { after, key } of log.keys)
        context.print(`    key ${key}${after < 0 ? '' : ` above ${after} entries`}`);
    }
    if (cosigned !== null) context.print(`    cosigned by witnesses up to ${cosigned.size} entries`);
    for (const hold of holds) context.print(`    HELD since ${hold.since}: ${hold.source}: ${hold.reason}`);
  }
  return held ? exit.finding : exit.good;
}

interface Order {
  readonly tenant: string;
  readonly actor: ReturnType<typeof operator>;
  readonly reason: string;
}

/** Over the running gateway, else on the store itself. */
async function act(
  tenant: string,
  options: ActOptions,
  context: Context,
  work: {
    request(order: Order): ControlRequest;
    direct(store: Store, order: Order): Promise<{ key: string; origin?: string }>;
  },
) {
  const place = await storeOf(options, context);
  const { data } = place;
  await requireTenant(place.paths, tenant, data);
  const order: Order = { tenant, actor: operator(), reason: options.reason };
  using gateway = await connectToGateway(data);
  let done: { key: string; origin?: string };
  if (gateway !== null) done = (await gateway.ask(work.request(order))) as typeof done;
  else {
    await using store = await openCommandStore(place);
    done = await attempt(() => work.direct(store, order));
  }
  if (options.json) context.printJson({ tenant, ...done });
  else {
    if (done.origin !== undefined) context.print(`${tenant}: new log ${done.origin}`);
    context.print(`${tenant}: new key ${done.key}`);
    context.print(
      'Tell it to whoever follows the log (witnesses: their configuration), and copy the key folder.',
    );
  }
  return exit.good;
}

async function requireTenant(paths: StorePaths, tenant: string, data: string): Promise<void> {
  using reader = openReader(paths);
  if ((await reader.tenants()).includes(tenant)) return;
  throw new CommandError(exit.usage, `no tenant ${tenant} in ${data}`);
}

/** What the store refuses is said without a stack. */
async function attempt<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new CommandError(exit.usage, (error as Error).message, error);
  }
}

function readDuration(text: string): number {
  const match = /^(\d{1,4})([hd])$/.exec(text);
  if (match === null) throw new CommandError(exit.usage, `--overlap ${text}: a duration such as 30d or 12h`);
  return Number(match[1]) * unitMs[match[2] as keyof typeof unitMs];
}
