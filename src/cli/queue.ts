/** `queue list | show | release | abandon | retry | forward`: what waits to be handed over, and what is in doubt. */
import type { Command } from 'commander';
import type { ControlRequest } from '../control.ts';
import type { HandoverSettledEntry } from '../evidence/entry.ts';
import type { ForwardItem, OutboxItem, Reader } from '../store/store.ts';
import { type CommonOptions, type Context, withCommonOptions } from './context.ts';
import { needGateway } from './control.ts';
import { describeEntry } from './evidence-text.ts';
import { CommandError, exit } from './exit.ts';
import { operator } from './operator.ts';
import { storeOf } from './place.ts';
import { isPrivateLetter, withoutContent } from './private-access.ts';
import { openReader } from './reader.ts';

interface PickOptions extends CommonOptions {
  readonly tenant?: string;
  readonly transaction?: string;
}

interface ActOptions extends PickOptions {
  readonly reason: string;
  readonly handedOver?: boolean;
}

export function register(program: Command, context: Context): void {
  const queue = program.command('queue').description('what waits to be handed over, and what is in doubt');
  withCommonOptions(queue.command('list').description('every open hand-over and forwarding'))
    .option('--tenant <id>', 'only this tenant')
    .action(context.action((options: PickOptions) => list(options, context)));
  pick(queue.command('show').description('one letter in the queue, with every attempt so far')).action(
    context.action((message: string, options: PickOptions) => show(message, options, context)),
  );
  act(queue.command('release').description('settle a doubtful hand-over: hand it over again'))
    .option('--handed-over', 'instead state that the provider has it; nothing is sent')
    .action(
      context.action((message: string, options: ActOptions) =>
        settle(message, options.handedOver ? 'handed-over' : 'resend', options, context),
      ),
    );
  act(queue.command('abandon').description('settle a doubtful hand-over: give it up')).action(
    context.action((message: string, options: ActOptions) => settle(message, 'abandoned', options, context)),
  );
  act(queue.command('retry').description('try a waiting hand-over now')).action(
    context.action((message: string, options: ActOptions) => retry(message, options, context)),
  );
  withCommonOptions(
    queue
      .command('forward')
      .description('send what waits for the own mail server now, or what a restore holds'),
  )
    .argument('<message>', 'tenant/index')
    .requiredOption('--reason <text>', 'why; it becomes part of the evidence')
    .action(context.action((message: string, options: ActOptions) => forward(message, options, context)));
}

function pick(command: Command): Command {
  return withCommonOptions(command)
    .argument('<message>', 'Message-ID, private-id or tenant/index')
    .option('--tenant <id>', 'only this tenant')
    .option('--transaction <n>', 'one of several hand-overs of the letter (a Bcc recipient has its own)');
}

function act(command: Command): Command {
  return pick(command).requiredOption('--reason <text>', 'why; it becomes part of the evidence');
}

async function list(options: PickOptions, context: Context) {
  const { paths } = await storeOf(options, context);
  using reader = openReader(paths);
  const tenants = options.tenant === undefined ? await reader.tenants() : [options.tenant];
  for (const tenant of tenants) {
    for (const item of await reader.openTransactions(tenant)) print(handoverLine(item), options, context);
    for (const item of await reader.openForwards(tenant)) print(forwardLine(item), options, context);
  }
  return exit.good;
}

function handoverLine(item: OutboxItem) {
  return { kind: 'handover', ...common(item), transaction: item.transaction, private_id: item.privateId };
}

function forwardLine(item: ForwardItem) {
  return { kind: 'forward', ...common(item), transaction: null, private_id: null };
}

function common(item: OutboxItem | ForwardItem) {
  return {
    tenant: item.tenant,
    index: item.letter,
    state: item.state,
    recipients: item.recipients,
    attempts: item.attempts,
    accepted: new Date(item.acceptedAt).toISOString(),
    next_attempt: item.state === 'queued' ? new Date(item.nextAttempt).toISOString() : null,
    last_reply: item.lastReply,
  };
}

function print(
  line: ReturnType<typeof handoverLine | typeof forwardLine>,
  options: CommonOptions,
  context: Context,
) {
  if (options.json) {
    context.printJson(line);
    return;
  }
  const name = `${line.tenant}/${line.index}${line.transaction ? ` --transaction ${line.transaction}` : ''}`;
  const when = line.next_attempt === null ? '' : `, next attempt ${line.next_attempt}`;
  context.print(`${name}  ${line.kind}  ${line.state}  ${line.recipients.join(', ')}`);
  context.print(`    since ${line.accepted}, ${line.attempts} attempts${when}`);
  if (line.last_reply !== null) context.print(`    last reply: ${line.last_reply}`);
}

async function show(message: string, options: PickOptions, context: Context) {
  const { paths } = await storeOf(options, context);
  using reader = openReader(paths);
  const item = await find(reader, message, options);
  print(handoverLine(item), options, context);
  const timeline = await reader.timeline(item.tenant, item.letter);
  const isPrivate = isPrivateLetter(timeline);
  for (const whole of timeline) {
    if (!('transaction' in whole) || whole.transaction !== item.transaction) continue;
    const entry = isPrivate ? withoutContent(whole) : whole;
    if (options.json) context.printJson(entry);
    else for (const line of describeEntry(entry)) context.print(`  ${line}`);
  }
  return exit.good;
}

async function settle(
  message: string,
  decision: HandoverSettledEntry['decision'],
  options: ActOptions,
  context: Context,
) {
  return await order(message, options, context, (name) => ({ command: 'queue-settle', ...name, decision }));
}

async function retry(message: string, options: ActOptions, context: Context) {
  return await order(message, options, context, (name) => ({ command: 'queue-retry', ...name }));
}

type Name = Omit<Extract<ControlRequest, { command: 'queue-retry' }>, 'command'>;

async function order(
  message: string,
  options: ActOptions,
  context: Context,
  request: (name: Name) => ControlRequest,
) {
  const { data, paths } = await storeOf(options, context);
  using gateway = await needGateway(data);
  using reader = openReader(paths);
  const item = await find(reader, message, options);
  const { tenant, letter, transaction } = item;
  const actor = operator();
  const wish = request({ tenant, letter, transaction, actor, reason: options.reason });
  if (wish.command === 'queue-retry' && item.state !== 'queued')
    throw new CommandError(exit.usage, `${tenant}/${letter} does not wait: ${notWaiting[item.state]}`);
  await gateway.ask(wish);
  if (options.json) context.printJson(wish);
  else context.print(`${tenant}/${letter}: done`);
  return exit.good;
}

const notWaiting = {
  attempting: 'it is being handed over',
  'in-doubt': 'it is in doubt; `queue release` or `queue abandon` settles it',
} as const;

async function forward(message: string, options: ActOptions, context: Context) {
  const { data } = await storeOf(options, context);
  const named = /^([a-z0-9-]+)\/(\d{1,15})$/.exec(message);
  if (named === null) throw new CommandError(exit.usage, `${message}: name it as tenant/index`);
  using gateway = await needGateway(data);
  const actor = operator();
  const wish = {
    command: 'queue-forward' as const,
    tenant: named[1]!,
    letter: Number(named[2]),
    actor,
    reason: options.reason,
  };
  await gateway.ask(wish);
  if (options.json) context.printJson(wish);
  else context.print(`${message}: done`);
  return exit.good;
}

/** The one open transaction that is meant. @throws CommandError (usage) with the candidates */
async function find(reader: Reader, message: string, options: PickOptions): Promise<OutboxItem> {
  const letters = await reader.resolve(message, options.tenant);
  if (letters.length === 0) throw new CommandError(exit.usage, `no message is known as ${message}`);
  const open: OutboxItem[] = [];
  for (const { tenant, letter } of letters) {
    const items = await reader.openTransactions(tenant);
    open.push(...items.filter((item) => item.letter === letter));
  }
  const byPrivateId = open.filter((item) => item.privateId === message);
  const meant = (byPrivateId.length > 0 ? byPrivateId : open).filter(
    (item) => options.transaction === undefined || String(item.transaction) === options.transaction,
  );
  if (meant.length === 0) throw new CommandError(exit.usage, `nothing of ${message} is open`);
  if (meant.length > 1) {
    const candidates = meant.map((i) => `${i.tenant}/${i.letter} --transaction ${i.transaction}`);
    throw new CommandError(exit.usage, `${message} may be ${candidates.join(', ')}: name one of them`);
  }
  return meant[0]!;
}
