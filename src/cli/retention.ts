/** `retention …`: until when letters are kept, what is held, what was asked to be erased, and what is known of a person. */
import type { Command } from 'commander';
import { holdTarget } from '../preservation/retention-orders.ts';
import { type DueLetter, dueLetters } from '../preservation/retention-review.ts';
import type { RetentionRun } from '../preservation/retention-schedule.ts';
import type { ErasureResult } from '../store/retention.ts';
import { openCommandStore } from './command-store.ts';
import { type CommonOptions, type Context, withCommonOptions } from './context.ts';
import { connectToGateway, needGateway } from './control.ts';
import { CommandError, exit } from './exit.ts';
import { loadFor } from './load.ts';
import { operator } from './operator.ts';
import { readPassword } from './password.ts';
import { storeOf } from './place.ts';
import { openReader } from './reader.ts';
import { registerReport } from './retention-report.ts';

interface TenantOption extends CommonOptions {
  readonly tenant?: string;
}
interface HoldOptions extends TenantOption {
  readonly fileReference?: string;
  readonly reason: string;
}
interface EraseOptions extends TenantOption {
  readonly as: string;
  readonly legalBasis: string;
  readonly copies: string;
  readonly reason: string;
}

export function register(program: Command, context: Context): void {
  const group = program
    .command('retention')
    .description('how long letters are kept, legal holds, erasure, and what is stored about a person');
  withCommonOptions(group.command('list').description('letters whose period has ended, or ends soon'))
    .option('--tenant <id>', 'only this tenant')
    .option('--until <date>', 'those whose period ends by this day; otherwise by today')
    .action(context.action((options: TenantOption & { until?: string }) => list(options, context)));
  withCommonOptions(
    group.command('run').description('announce and erase now what the daily run would'),
  ).action(context.action((options: CommonOptions) => run(options, context)));
  for (const [name, held, text] of [
    ['hold', true, 'legal hold: never erase this letter, or what has this file reference'],
    ['release', false, 'end a legal hold'],
  ] as const)
    withCommonOptions(group.command(name).description(text))
      .argument('[message]', 'Message-ID, private-id or tenant/index')
      .option('--file-reference <reference>', 'instead: every letter under this file reference')
      .option('--tenant <id>', 'only this tenant; needed with --file-reference')
      .requiredOption('--reason <text>', 'why; it becomes part of the evidence')
      .action(
        context.action((message: string | undefined, options: HoldOptions) =>
          hold(message, held, options, context),
        ),
      );
  withCommonOptions(group.command('holds').description('legal holds in force'))
    .option('--tenant <id>', 'only this tenant')
    .action(context.action((options: TenantOption) => holds(options, context)));
  withCommonOptions(
    group
      .command('erase')
      .description('propose to erase a letter before its time; a second person must agree'),
  )
    .argument('<message>', 'Message-ID, private-id or tenant/index')
    .option('--tenant <id>', 'only this tenant')
    .requiredOption('--as <login>', 'who proposes it, one of retention.approvers; the password is asked for')
    .requiredOption('--legal-basis <text>', 'such as "Art. 17 (1) GDPR"; it stays in the evidence')
    .option('--copies <stay|remove>', 'what becomes of copies in mailboxes', 'stay')
    .requiredOption('--reason <text>', 'why; it is erased along with the letter')
    .action(context.action((message: string, options: EraseOptions) => propose(message, options, context)));
  withCommonOptions(group.command('approve').description('agree to a proposed erasure: the letter is erased'))
    .argument('<proposal>', 'tenant/index, as listed by proposals')
    .requiredOption('--as <login>', 'who agrees, one of retention.approvers; the password is asked for')
    .action(
      context.action((name: string, options: CommonOptions & { as: string }) =>
        approve(name, options, context),
      ),
    );
  withCommonOptions(group.command('withdraw').description('take a proposed erasure back'))
    .argument('<proposal>', 'tenant/index, as listed by proposals')
    .requiredOption('--reason <text>', 'why; it becomes part of the evidence')
    .action(
      context.action((name: string, options: CommonOptions & { reason: string }) =>
        withdraw(name, options, context),
      ),
    );
  withCommonOptions(group.command('proposals').description('erasures that wait for a second person'))
    .option('--tenant <id>', 'only this tenant')
    .action(context.action((options: TenantOption) => proposals(options, context)));
  registerReport(group, context);
}

async function list(options: TenantOption & { until?: string }, context: Context) {
  const { config } = loadFor(options, context);
  const { paths } = await storeOf(options, context);
  using reader = openReader(paths);
  const horizon = options.until === undefined ? Date.now() : Date.parse(options.until);
  if (Number.isNaN(horizon))
    throw new CommandError(exit.usage, `--until ${options.until}: a day such as 2030-01-01`);
  let found = 0;
  for (const tenant of config.tenants) {
    if (options.tenant !== undefined && tenant.id !== options.tenant) continue;
    const records: DueLetter[] = [];
    for await (const due of dueLetters(reader, tenant, horizon)) {
      found++;
      if (due.group !== null) {
        records.push(due);
        continue;
      }
      const line = {
        tenant: tenant.id,
        letter: due.letter,
        class: due.class.name,
        legal_basis: due.class.legalBasis,
        until: new Date(due.until).toISOString(),
        announced: due.announcedAt === null ? null : new Date(due.announcedAt).toISOString(),
        copies: due.class.copies,
        obstacles: due.obstacles,
      };
      if (options.json) context.printJson(line);
      else {
        const stays = line.obstacles.length === 0 ? '' : `  stays: ${line.obstacles.join(', ')}`;
        context.print(
          `${tenant.id}/${line.letter}  ${line.class}  until ${line.until}  ${line.announced === null ? 'not announced' : `announced ${line.announced}`}${stays}`,
        );
      }
    }
    printRecords(tenant.id, records, options, context);
  }
  if (found === 0) context.warn(`nothing ends by ${new Date(horizon).toISOString().slice(0, 10)}`);
  return exit.good;
}

/** Entries of no letter, as sums: thousands may be due on one day. */
function printRecords(
  tenant: string,
  records: readonly DueLetter[],
  options: CommonOptions,
  context: Context,
): void {
  for (const list of Map.groupBy(records, (due) => `${due.class.name} ${due.until}`).values()) {
    const { class: rule, until } = list[0]!;
    const places = list.map(({ letter }) => letter);
    const line = {
      tenant,
      class: rule.name,
      legal_basis: rule.legalBasis,
      entries: list.length,
      first: Math.min(...places),
      last: Math.max(...places),
      until: new Date(until).toISOString(),
      announced: list.filter(({ announcedAt }) => announcedAt !== null).length,
      obstacles: list.filter(({ obstacles }) => obstacles.length > 0).length,
    };
    if (options.json) context.printJson(line);
    else
      context.print(
        `${tenant}/${line.first} to ${tenant}/${line.last}: ${line.entries} entries  ${line.class}  until ${line.until}  ${line.announced} announced${line.obstacles === 0 ? '' : `  ${line.obstacles} stay`}`,
      );
  }
}

async function run(options: CommonOptions, context: Context) {
  const { data } = await storeOf(options, context);
  using gateway = await needGateway(data);
  const runs = (await gateway.ask({ command: 'retention-run' })) as readonly RetentionRun[];
  for (const one of runs) {
    if (one.problem !== undefined) context.warn(`${one.tenant}: ${one.problem}`);
    if (options.json) context.printJson(one);
    else
      context.print(
        `${one.tenant}: ${one.announced} letters and entries announced, ${one.erased} erased, ${one.kept} stay for what stands against it`,
      );
  }
  return runs.some(({ problem }) => problem !== undefined) ? exit.finding : exit.good;
}

async function hold(message: string | undefined, held: boolean, options: HoldOptions, context: Context) {
  const place = await storeOf(options, context);
  const { fileReference, reason } = options;
  if ((message === undefined) === (fileReference === undefined))
    throw new CommandError(exit.usage, 'name a message, or a file reference by --file-reference');
  if (message === undefined && options.tenant === undefined)
    throw new CommandError(exit.usage, 'a file reference needs --tenant');
  const { tenant, letter } =
    message === undefined
      ? { tenant: options.tenant!, letter: undefined }
      : await find(message, options, context);
  const what = holdTarget(letter, fileReference);
  const actor = operator();
  using gateway = await connectToGateway(place.data);
  let changed: boolean;
  if (gateway === null) {
    await using store = await openCommandStore(place);
    changed = await store.holdLetters(tenant, { held, actor, reason, ...what });
  } else {
    const order = { command: 'retention-hold', tenant, held, actor, reason, ...what } as const;
    ({ changed } = (await gateway.ask(order)) as { changed: boolean });
  }
  const name = letter === undefined ? `file reference ${fileReference}` : `${tenant}/${letter}`;
  if (options.json) context.printJson({ tenant, ...what, held, changed });
  else context.print(`${name}: ${held ? 'held' : 'released'}${changed ? '' : ' (it already was)'}`);
  return exit.good;
}

async function holds(options: TenantOption, context: Context) {
  const { paths } = await storeOf(options, context);
  using reader = openReader(paths);
  for (const tenant of options.tenant === undefined ? await reader.tenants() : [options.tenant]) {
    for (const { index, letter, fileReference } of await reader.retentionHolds(tenant)) {
      const entry = await reader.entry(tenant, index);
      const since = entry?.time ?? null;
      const by = entry !== null && 'actor' in entry ? entry.actor.name : null;
      if (options.json) context.printJson({ tenant, letter, file_reference: fileReference, since, by });
      else
        context.print(
          `${tenant}  ${letter === null ? `file reference ${fileReference}` : `${tenant}/${letter}`}  since ${since} by ${by}`,
        );
    }
  }
  return exit.good;
}

async function propose(message: string, options: EraseOptions, context: Context) {
  const { copies, legalBasis, reason } = options;
  if (copies !== 'stay' && copies !== 'remove')
    throw new CommandError(exit.usage, `--copies ${copies}: stay or remove`);
  const { data } = await storeOf(options, context);
  const { tenant, letter } = await find(message, options, context);
  using gateway = await needGateway(data);
  const password = await readPassword(`Password of ${options.as}: `);
  const { index } = (await gateway.ask({
    command: 'retention-propose',
    tenant,
    letter,
    login: options.as,
    password,
    legalBasis,
    copies,
    reason,
  })) as { index: number };
  if (options.json) context.printJson({ tenant, letter, proposal: index });
  else
    context.print(
      `${tenant}/${letter}: proposed as ${tenant}/${index}. A second person: demail-gateway retention approve ${tenant}/${index} --as LOGIN`,
    );
  return exit.good;
}

async function approve(name: string, options: CommonOptions & { as: string }, context: Context) {
  const { tenant, index: proposal } = placeIn(name);
  const { data } = await storeOf(options, context);
  using gateway = await needGateway(data);
  const password = await readPassword(`Password of ${options.as}: `);
  const order = { command: 'retention-approve', tenant, proposal, login: options.as, password } as const;
  const result = (await gateway.ask(order)) as ErasureResult;
  if (options.json) context.printJson({ tenant, ...result });
  else
    context.print(
      `${tenant}/${result.erased.join(', ')}: erased with ${result.entries} entries; entry ${tenant}/${result.index} says so`,
    );
  return exit.good;
}

async function withdraw(name: string, options: CommonOptions & { reason: string }, context: Context) {
  const { tenant, index: proposal } = placeIn(name);
  const { data } = await storeOf(options, context);
  using gateway = await needGateway(data);
  const order = {
    command: 'retention-withdraw',
    tenant,
    proposal,
    actor: operator(),
    reason: options.reason,
  };
  const { changed } = (await gateway.ask({ ...order, command: 'retention-withdraw' })) as {
    changed: boolean;
  };
  if (!changed) throw new CommandError(exit.usage, `nothing is proposed in ${name}`);
  if (options.json) context.printJson({ tenant, proposal, withdrawn: true });
  else context.print(`${name}: withdrawn`);
  return exit.good;
}

async function proposals(options: TenantOption, context: Context) {
  const { paths } = await storeOf(options, context);
  using reader = openReader(paths);
  for (const tenant of options.tenant === undefined ? await reader.tenants() : [options.tenant]) {
    for (const { index, letter, time, actor, legalBasis, copies } of await reader.proposals(tenant)) {
      if (options.json)
        context.printJson({
          tenant,
          proposal: index,
          letter,
          time,
          by: actor.name,
          legal_basis: legalBasis,
          copies,
        });
      else
        context.print(
          `${tenant}/${index}  erase ${tenant}/${letter}  ${legalBasis}  by ${actor.name} ${time}, copies ${copies}`,
        );
    }
  }
  return exit.good;
}

async function find(message: string, options: TenantOption, context: Context) {
  const { paths } = await storeOf(options, context);
  using reader = openReader(paths);
  const found = await reader.resolve(message, options.tenant);
  // An entry that belongs to no letter has no other name than its place; the store says what may be done with it.
  const place = found.length === 0 ? placeNamed(message) : null;
  if (place !== null) return { tenant: place.tenant, letter: place.index };
  if (found.length === 0) throw new CommandError(exit.usage, `no message is known as ${message}`);
  if (found.length > 1)
    throw new CommandError(
      exit.usage,
      `${message} may be ${found.map((f) => `${f.tenant}/${f.letter}`).join(', ')}: name one of them`,
    );
  return found[0]!;
}

function placeIn(name: string): { tenant: string; index: number } {
  const place = placeNamed(name);
  if (place === null) throw new CommandError(exit.usage, `${name}: a proposal is named tenant/index`);
  return place;
}

function placeNamed(name: string): { tenant: string; index: number } | null {
  const match = /^([a-z0-9][a-z0-9-]{0,62})\/(\d{1,15})$/.exec(name);
  return match === null ? null : { tenant: match[1]!, index: Number(match[2]) };
}
