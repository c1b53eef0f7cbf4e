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
  // This look itself is no answer.
  const heads = new Map<string, number>();
  for (const { id } of tenants) heads.set(id, (await reader.head(id)).size);
  await recordAccess(
    context,
    storePlace,
    tenants.map(({ id }) => id),
    'report',
    JSON.stringify({ address }),
  );
  let count = 0;
  let notes = 0;
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
    const letters = new Set(found.map(({ index, letter }) => `${tenant.id}/${letter ?? index}`));
    for await (const note of notesOf(reader, tenant.id, heads.get(tenant.id)!, address, letters)) {
      notes++;
      if (options.json) context.printJson(note);
      else
        context.print(
          `${note.tenant}/${note.index}  ${note.kind}  ${note.concerns}  ${note.time} by ${note.by}: ${note.what}`,
        );
    }
  }
  if (!options.json)
    context.print(
      `messages that name ${address}: ${count}; entries of no letter that concern the person: ${notes}`,
    );
  return exit.good;
}

function rolesOf({ sender, recipients }: LetterSummary, address: string): string[] {
  return [
    ...(sender?.toLowerCase() === address ? ['sender'] : []),
    ...(recipients.some((r) => r.address.toLowerCase() === address) ? ['recipient'] : []),
  ];
}

/** Entries of one page. */
const PAGE = 1000;

/** Who looked for the person, or at a letter that names it; and what the person did, where it has a login here. */
async function* notesOf(
  reader: Reader,
  tenant: string,
  before: number,
  address: string,
  letters: ReadonlySet<string>,
) {
  for (const group of ['access', 'operation'] as const) {
    for (let after = -1; ; ) {
      const page = await reader.recordCandidates(tenant, group, after, '9999', PAGE);
      for (const { index } of page) {
        const entry = index < before ? await reader.entry(tenant, index) : null;
        if (entry?.kind !== 'access' && entry?.kind !== 'operation') continue;
        const { kind, time, actor, action } = entry;
        const about = kind === 'access' ? entry.query : entry.subject;
        const concerns =
          actor.name.toLowerCase() === address
            ? 'as who acted'
            : about.toLowerCase().includes(address)
              ? 'as who was looked for'
              : (about.match(/[a-z0-9-]+\/\d+/g) ?? []).some((place) => letters.has(place))
                ? 'by a letter'
                : null;
        if (concerns !== null)
          yield { tenant, index, kind, time, concerns, by: actor.name, what: `${action} ${about}` };
      }
      if (page.length < PAGE) break;
      after = page.at(-1)!.index;
    }
  }
}

async function describe(
  reader: Reader,
  tenant: TenantConfig,
  { index, letter, kind, time, sender, recipients }: LetterSummary,
  roles: readonly string[],
  hidden: boolean,
) {
  const of = letter ?? index;
  const state = await retentionOf(reader, tenant, of);
  const holds = await reader.retentionHolds(tenant.id, of);
  // Once per letter: with its own line.
  const own = of === index;
  const copies = own ? await reader.copiesOf(tenant.id, of) : [];
  const openings = own ? (await reader.timeline(tenant.id, of)).filter(({ kind }) => kind === 'opened') : [];
  return {
    tenant: tenant.id,
    index,
    letter,
    kind,
    roles,
    // Whom the data came from and went to (Art. 15 (1) (c) and (g) GDPR).
    sender: hidden ? null : sender,
    recipients: hidden ? null : [...new Set(recipients.map((r) => r.address))],
    since: time,
    class: state?.class?.name ?? null,
    legal_basis: state?.class?.legalBasis ?? null,
    // Null: nothing in the configuration ends it.
    kept_until: state?.until == null ? null : new Date(state.until).toISOString(),
    held: holds.length > 0,
    holds: await Promise.all(
      holds.map(async (hold) => ({
        since: (await reader.entry(tenant.id, hold.index))?.time ?? null,
        file_reference: hold.fileReference,
      })),
    ),
    // In whose mailbox a private De-Mail lies is no matter of whoever may not read it.
    copies: hidden ? null : copies.map(({ owner, mailbox }) => ({ owner, mailbox })),
    // Who read a private De-Mail; others are not recorded.
    openings: hidden
      ? null
      : openings.flatMap((entry) =>
          entry.kind === 'opened' ? [{ time: entry.time, by: entry.actor.name, mailbox: entry.mailbox }] : [],
        ),
    private: hidden,
  };
}

function print(line: Awaited<ReturnType<typeof describe>>, context: Context): void {
  const until = line.kept_until === null ? 'kept for ever' : `kept until ${line.kept_until}`;
  const why = line.class === null ? 'no class' : `class ${line.class} (${line.legal_basis})`;
  context.print(
    `${line.tenant}/${line.index}  ${line.kind}  as ${line.roles.join(' and ')}  since ${line.since}`,
  );
  if (line.sender !== null) context.print(`    from ${line.sender}`);
  if (line.recipients !== null && line.recipients.length > 0)
    context.print(`    to ${line.recipients.join(', ')}`);
  const held = line.holds
    .map(({ since, file_reference: reference }) =>
      reference === null ? ` since ${since}` : ` since ${since} (file reference ${reference})`,
    )
    .join(',');
  context.print(`    ${why}, ${until}${line.held ? `, LEGAL HOLD${held}` : ''}`);
  for (const { owner, mailbox } of line.copies ?? []) context.print(`    copy in ${owner} / ${mailbox}`);
  for (const { time, by, mailbox } of line.openings ?? [])
    context.print(`    opened ${time} by ${by} in ${mailbox}`);
  if (line.copies === null)
    context.print('    private De-Mail: whom it is from, where its copies lie and who opened it is hidden');
}
