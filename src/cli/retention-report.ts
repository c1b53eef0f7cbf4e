/** `retention report`: what is stored about a person, where, since when, and until when; nothing of what letters say. */
import type { Command } from 'commander';
import type { TenantConfig } from '../config/schema.ts';
import { retentionOf } from '../preservation/retention-review.ts';
import type { LetterSummary, Reader } from '../store/store.ts';
import { recordAccess } from './access.ts';
import { type CommonOptions, type Context, withCommonOptions } from './context.ts';
import { exit } from './exit.ts';
import { loadFor } from './load.ts';
import { storeOf } from './place.ts';
import { isPrivateMessage, privateReader } from './private-access.ts';
import { openReader } from './reader.ts';

interface ReportOptions extends CommonOptions {
  readonly address: string;
  readonly tenant?: string;
}

export function registerReport(group: Command, context: Context): void {
  withCommonOptions(
    group.command('report').description('what is stored about a person (Art. 15 GDPR); recorded as access'),
  )
    .requiredOption('--address <address>', 'the whole address')
    .option('--tenant <id>', 'only this tenant')
    .action(context.action((options: ReportOptions) => report(options, context)));
}

/** Letters asked for in one go. */
const MOST = 100_000;

async function report(options: ReportOptions, context: Context) {
  const { config } = loadFor(options, context);
  const storePlace = await storeOf(options, context);
  const { data, paths } = storePlace;
  using reader = openReader(paths);
  const address = options.address.trim().toLowerCase();
  const tenants = config.tenants.filter(({ id }) => options.tenant === undefined || id === options.tenant);
  const mayRead = await privateReader(data, options, context);
  await recordAccess(
    context,
    storePlace,
    tenants.map(({ id }) => id),
    'report',
    JSON.stringify({ address }),
  );
  let count = 0;
  for (const tenant of tenants) {
    const found = await reader.search({ tenant: tenant.id, address, limit: MOST });
    if (found.length === MOST) context.warn(`${tenant.id}: only the first ${MOST} messages are looked at`);
    for (const summary of found) {
      const roles = rolesOf(summary, address);
      if (roles.length === 0) continue;
      const hidden = (await isPrivateMessage(reader, summary)) && !mayRead(tenant.id);
      const line = await describe(reader, tenant, summary, roles, hidden);
      count++;
      if (options.json) context.printJson(line);
      else print(line, context);
    }
  }
  if (!options.json) context.print(`${count} messages name ${address}`);
  return exit.good;
}

function rolesOf({ sender, recipients }: LetterSummary, address: string): string[] {
  return [
    ...(sender?.toLowerCase() === address ? ['sender'] : []),
    ...(recipients.some((r) => r.address.toLowerCase() === address) ? ['recipient'] : []),
  ];
}

async function describe(
  reader: Reader,
  tenant: TenantConfig,
  { index, letter, kind, time }: LetterSummary,
  roles: readonly string[],
  hidden: boolean,
) {
  const of = letter ?? index;
  const state = await retentionOf(reader, tenant, of);
  const holds = await reader.retentionHolds(tenant.id, of);
  // Once per letter: with its own line.
  const copies = of === index ? await reader.copiesOf(tenant.id, of) : [];
  return {
    tenant: tenant.id,
    index,
    letter,
    kind,
    roles,
    since: time,
    class: state?.class?.name ?? null,
    legal_basis: state?.class?.legalBasis ?? null,
    // Null: nothing in the configuration ends it.
    kept_until: state?.until == null ? null : new Date(state.until).toISOString(),
    held: holds.length > 0,
    // In whose mailbox a private De-Mail lies is no matter of whoever may not read it.
    copies: hidden ? null : copies.map(({ owner, mailbox }) => ({ owner, mailbox })),
    private: hidden,
  };
}

function print(line: Awaited<ReturnType<typeof describe>>, context: Context): void {
  const until = line.kept_until === null ? 'kept for ever' : `kept until ${line.kept_until}`;
  const why = line.class === null ? 'no class' : `class ${line.class} (${line.legal_basis})`;
  context.print(
    `${line.tenant}/${line.index}  ${line.kind}  as ${line.roles.join(' and ')}  since ${line.since}`,
  );
  context.print(`    ${why}, ${until}${line.held ? ', LEGAL HOLD' : ''}`);
  for (const { owner, mailbox } of line.copies ?? []) context.print(`    copy in ${owner} / ${mailbox}`);
  if (line.copies === null) context.print('    private De-Mail: where its copies lie is hidden');
}
