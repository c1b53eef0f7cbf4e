/**
 * `check --login`: logs in to the accounts on purpose. At level high that serves what lies there, so it needs a
 * reason, keeps to the calendar, and is recorded where there is a store.
 */
import { existsSync } from 'node:fs';

import type { Config, TenantConfig } from '../config/schema.ts';
import { createDirectory } from '../directory/create.ts';
import { lockStore } from '../lock.ts';
import { systemClock } from '../observe/clock.ts';
import { createLog } from '../observe/log.ts';
import { createGate, type GateDeps } from '../provider/gate.ts';
import { checkLogins, type LoginFinding } from '../provider/login-check.ts';
import type { LoginRecorder } from '../provider/logins.ts';
import { openSqliteStore, storePaths } from '../store/sqlite/open.ts';
import type { Store } from '../store/store.ts';
import { connectToGateway } from './control.ts';
import { CommandError, exit } from './exit.ts';
import { operator } from './operator.ts';

export interface LoginOptions {
  readonly login?: boolean;
  readonly tenant?: string;
  readonly reason?: string;
  readonly outsideHours?: boolean;
}

export interface TenantFinding extends LoginFinding {
  readonly tenant: string;
}

const legalEffect =
  'a login at level high counts as picking up what lies in the account: it serves official mail (TR-01201 FU 3.3.5)';

/** Tenants that are meant. @throws CommandError (usage) where the options do not fit together */
export function tenantsToLogIn(config: Config, options: LoginOptions): readonly TenantConfig[] {
  if (!options.login) {
    const alone = options.tenant ?? options.reason ?? options.outsideHours;
    if (alone === undefined) return [];
    throw new CommandError(exit.usage, '--tenant, --reason and --outside-hours belong to --login');
  }
  const meant = config.tenants.filter(({ id }) => options.tenant === undefined || id === options.tenant);
  if (meant.length === 0) throw new CommandError(exit.usage, `no tenant ${options.tenant} is configured`);
  const high = meant.filter(({ provider }) => provider.authLevel === 'high').map(({ id }) => id);
  if (high.length > 0 && !options.reason) {
    throw new CommandError(
      exit.usage,
      `${legalEffect}. Say why by --reason; this is about ${high.join(', ')} (or name others by --tenant)`,
    );
  }
  if (options.outsideHours && !options.reason) {
    throw new CommandError(exit.usage, '--outside-hours needs --reason');
  }
  return meant;
}

/** One tenant after the other: by the running gateway, which holds the store, else by this process. */
export async function logIn(
  config: Config,
  tenants: readonly TenantConfig[],
  options: LoginOptions,
): Promise<TenantFinding[]> {
  const actor = operator();
  const occasion = { actor, reason: options.reason ?? 'check' };
  const outsideHours = options.outsideHours ?? false;
  const results: TenantFinding[] = [];
  const add = (tenant: string, findings: readonly LoginFinding[]) => {
    for (const finding of findings) results.push({ tenant, ...finding });
  };
  using gateway = existsSync(config.data) ? await connectToGateway(config.data) : null;
  if (gateway !== null) {
    for (const { id } of tenants) {
      const request = { command: 'check-login', tenant: id, ...occasion, outsideHours } as const;
      add(id, (await gateway.ask(request)) as LoginFinding[]);
    }
    return results;
  }
  await using opened = await openRecord(config);
  const directory = createDirectory(config);
  for (const tenant of tenants) {
    await opened.store.openTenant(tenant.id);
    const log = createLog('error');
    const gate = await createGate({
      store: opened.store,
      directory: () => directory,
      tenant: tenant.id,
      clock: systemClock,
      log,
    });
    try {
      const deps = { store: opened.store, gate, hostname: config.hostname };
      const findings = await checkLogins(deps, tenant, occasion, outsideHours);
      add(tenant.id, findings);
      const silent = tenant.provider.authLevel === 'high' && !opened.recorded;
      if (silent && findings.some(({ what, good }) => good && what.endsWith('login'))) {
        add(tenant.id, [
          { what: 'record', good: true, detail: 'none: there is no store yet to record it in' },
        ]);
      }
    } finally {
      gate.close();
    }
  }
  return results;
}

interface LoginRecord extends AsyncDisposable {
  readonly store: LoginRecorder & GateDeps['store'] & Pick<Store, 'openTenant'>;
  readonly recorded: boolean;
}

/** The store, locked for this command. Before the first start there is none, and a check makes none. */
async function openRecord(config: Config): Promise<LoginRecord> {
  const settings = {
    directory: config.data,
    ...(config.keys && { keysDirectory: config.keys.directory }),
    ...(config.checkpoints && { checkpointsDirectory: config.checkpoints.directory }),
    checkpointFolders: config.evidence.checkpointFolders,
    ...(config.evidence.tiles && { tilesDirectory: config.evidence.tiles.directory }),
    originPrefix: config.hostname,
  };
  await using opened = new AsyncDisposableStack();
  const recorded = existsSync(storePaths(settings).file);
  let store: LoginRecord['store'] = noStore;
  if (recorded) {
    opened.use(await lockStore(config.data, 'command'));
    store = opened.use(await openSqliteStore(settings));
  }
  const held = opened.move();
  return { store, recorded, [Symbol.asyncDispose]: () => held.disposeAsync() };
}

const noStore: LoginRecord['store'] = {
  openTenant: async () => {},
  recordLoginIntent: async () => ({ index: -1 }),
  recordLoginOutcome: async () => {},
  lock: async () => null,
  changes: { subscribe: () => ({ [Symbol.dispose]() {} }) },
};
