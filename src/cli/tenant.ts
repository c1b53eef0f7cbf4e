/** `tenant list | lock | unlock | fetch`: whether a tenant's account may be used, and looking at it now. */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import type { ProviderConfig } from '../config/schema.ts';
import { usageText } from '../provider/mailbox-usage.ts';
import type { Store } from '../store/store.ts';
import { openCommandStore } from './command-store.ts';
import { type CommonOptions, type Context, withCommonOptions } from './context.ts';
import { connectToGateway, needGateway } from './control.ts';
import { CommandError, exit } from './exit.ts';
import { loadFor } from './load.ts';
import { operator } from './operator.ts';
import { type StorePlace, storeOf } from './place.ts';
import { openReader } from './reader.ts';

interface LockOptions extends CommonOptions {
  readonly reason: string;
  readonly token?: string;
  readonly accountKey?: string;
}

interface FetchOptions extends CommonOptions {
  readonly outsideHours?: boolean;
  readonly reason?: string;
}

/** As much of a running gateway's status as is shown here. */
interface GatewayStatus {
  readonly accounts: readonly {
    readonly tenant: string;
    readonly smtp: { readonly waits: string | null };
    readonly imap: { readonly waits: string | null };
    readonly mailbox: {
      readonly used: number;
      readonly limit: number | null;
      readonly measured: string;
    } | null;
    readonly deleteAfterDays: number | null;
  }[];
}

export function register(program: Command, context: Context): void {
  const tenant = program.command('tenant').description('lock and unlock tenants, look at their accounts now');
  withCommonOptions(tenant.command('list').description('every tenant, and whether it is locked')).action(
    context.action((options: CommonOptions) => list(options, context)),
  );
  for (const locked of [true, false]) {
    withCommonOptions(
      tenant
        .command(locked ? 'lock' : 'unlock')
        .description(
          locked
            ? 'stop hand-over and fetching at once, until unlocked'
            : 'take hand-over and fetching up again',
        ),
    )
      .argument('[tenant]', 'id of the tenant')
      .option('--token <name>', 'instead: every tenant whose provider.token has this name')
      .option(
        '--account-key <fingerprint>',
        'instead: every tenant with this TLS client certificate (SHA-256)',
      )
      .requiredOption('--reason <text>', 'why; it becomes part of the evidence')
      .action(
        context.action((name: string | undefined, options: LockOptions) =>
          setLock(name, locked, options, context),
        ),
      );
  }
  withCommonOptions(tenant.command('fetch').description('look at the account now'))
    .argument('<tenant>', 'id of the tenant')
    .option('--outside-hours', 'log in once although the login calendar says no; needs --reason')
    .option('--reason <text>', 'why; it becomes part of the evidence')
    .action(context.action((name: string, options: FetchOptions) => fetchNow(name, options, context)));
}

async function list(options: CommonOptions, context: Context) {
  const { data, paths } = await storeOf(options, context);
  using reader = openReader(paths);
  using gateway = await connectToGateway(data);
  const status = (await gateway?.ask({ command: 'status' })) as GatewayStatus | undefined;
  for (const tenant of await reader.tenants()) {
    const lock = await reader.lock(tenant);
    const account = status?.accounts.find((candidate) => candidate.tenant === tenant);
    const waits = { smtp: account?.smtp.waits ?? null, imap: account?.imap.waits ?? null };
    if (options.json) {
      const { mailbox = null, deleteAfterDays = null } = account ?? {};
      context.printJson({ tenant, lock, waits, mailbox, delete_after_days: deleteAfterDays });
      continue;
    }
    const state = lock && `LOCKED since ${lock.since} by ${lock.actor}: ${lock.reason}`;
    context.print(`${tenant}  ${state ?? 'unlocked'}`);
    if (lock === null && waits.imap !== null) context.print(`    fetching ${waits.imap}`);
    if (lock === null && waits.smtp !== null) context.print(`    hand-over ${waits.smtp}`);
    if (account?.mailbox) context.print(`    mailbox at the provider ${mailboxText(account)}`);
  }
  return exit.good;
}

function mailboxText({ mailbox, deleteAfterDays: days }: GatewayStatus['accounts'][number]): string {
  const copies =
    days === null ? 'copies there are never deleted' : `copies there are deleted after ${days} days`;
  return `${usageText(mailbox!)}, measured ${mailbox!.measured}; ${copies}`;
}

async function setLock(name: string | undefined, locked: boolean, options: LockOptions, context: Context) {
  const place = await storeOf(options, context);
  const { data, paths } = place;
  const { tenants, scope } = meant(name, options, context);
  {
    using reader = openReader(paths);
    const known = await reader.tenants();
    const unknown = tenants.find((tenant) => !known.includes(tenant));
    if (unknown !== undefined) throw new CommandError(exit.usage, `no tenant ${unknown} in ${data}`);
  }
  const lock = {
    locked,
    actor: operator(),
    reason: options.reason,
    ...(scope === undefined ? {} : { scope }),
  };
  const changed = await apply(place, tenants, lock);
  tenants.forEach((tenant, i) => {
    if (options.json) context.printJson({ tenant, locked, changed: changed[i] });
    else context.print(`${tenant}: ${changed[i] ? '' : 'was already '}${locked ? 'locked' : 'unlocked'}`);
  });
  return exit.good;
}

interface Meant {
  readonly tenants: readonly string[];
  /** Named in the entries, where a token and not a tenant is meant. */
  readonly scope?: string;
}

function meant(name: string | undefined, options: LockOptions, context: Context): Meant {
  const { token, accountKey } = options;
  if ([name, token, accountKey].filter((given) => given !== undefined).length !== 1) {
    throw new CommandError(exit.usage, 'name one of: a tenant, --token, --account-key');
  }
  if (name !== undefined) return { tenants: [name] };
  const { config } = loadFor(options, context);
  const fingerprint = accountKey && fingerprintOf(accountKey);
  const scope = token === undefined ? `account key ${fingerprint}` : `token ${token}`;
  const tenants = config.tenants
    .filter(({ provider }) =>
      fingerprint ? certificateOf(provider) === fingerprint : provider.token === token,
    )
    .map(({ id }) => id);
  if (tenants.length > 0) return { tenants, scope };
  const hint = fingerprint ? '; a key behind a connector is named by provider.token and --token' : '';
  throw new CommandError(exit.usage, `no tenant uses the ${scope}${hint}`);
}

/** As `openssl x509 -fingerprint -sha256` prints it, or bare hex. */
function fingerprintOf(text: string): string {
  const hex = text.replace(/^.*=/, '').replaceAll(':', '').toLowerCase();
  if (/^[0-9a-f]{64}$/.test(hex)) return hex;
  throw new CommandError(exit.usage, `--account-key: ${JSON.stringify(text)} is no SHA-256 fingerprint`);
}

function certificateOf({ clientIdentity }: ProviderConfig): string | undefined {
  if (clientIdentity === undefined) return undefined;
  const { fingerprint256 } = new X509Certificate(readFileSync(clientIdentity.certificate));
  return fingerprint256.replaceAll(':', '').toLowerCase();
}

/** Over the running gateway, else on the store itself: a lock must be possible before a start, too. */
async function apply(
  place: StorePlace,
  tenants: readonly string[],
  lock: Parameters<Store['setLock']>[1],
): Promise<boolean[]> {
  const changed: boolean[] = [];
  using gateway = await connectToGateway(place.data);
  if (gateway !== null) {
    for (const tenant of tenants) {
      const answer = await gateway.ask({ command: 'tenant-lock', tenant, ...lock });
      changed.push((answer as { changed: boolean }).changed);
    }
    return changed;
  }
  await using store = await openCommandStore(place);
  for (const tenant of tenants) changed.push(await store.setLock(tenant, lock));
  return changed;
}

async function fetchNow(tenant: string, options: FetchOptions, context: Context) {
  if (options.outsideHours && !options.reason) {
    throw new CommandError(exit.usage, '--outside-hours needs --reason');
  }
  const { data } = await storeOf(options, context);
  using gateway = await needGateway(data);
  await gateway.ask({
    command: 'fetch-now',
    tenant,
    ...(options.outsideHours ? { outsideHours: { actor: operator(), reason: options.reason! } } : {}),
  });
  if (options.json) context.printJson({ tenant, fetched: true });
  else context.print(`${tenant}: fetched`);
  return exit.good;
}
