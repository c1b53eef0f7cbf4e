/** The listener over a real store in a folder of its own. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAuthenticator } from '../../directory/authenticator.ts';
import { createDirectory } from '../../directory/create.ts';
import { hashPassword } from '../../directory/password.ts';
import { silentLog } from '../../observe/log.ts';
import { createAuthority, type Issued } from '../../pki/authority.ts';
import { openSqliteStore } from '../../store/sqlite/open.ts';
import type { Store } from '../../store/store.ts';
import { type SmtpDeps, type SmtpService, startSmtp } from '../listener.ts';
import { type HouseOptions, house } from './house.ts';

export const PASSWORD = 'rosebud';

interface Identities {
  readonly hash: string;
  /** PEM. */
  readonly authority: string;
  readonly server: Issued;
  readonly client: Issued;
}

let prepared: Promise<Identities> | undefined;

/** Password hash and certificates, made once for all tests of a process. */
export function identities(): Promise<Identities> {
  prepared ??= (async () => {
    const authority = await createAuthority({ name: 'test' });
    return {
      hash: await hashPassword(PASSWORD),
      authority: authority.certificate,
      server: await authority.issue({
        commonName: 'localhost',
        ipAddresses: ['127.0.0.1'],
        purpose: 'server',
      }),
      client: await authority.issue({ commonName: 'relay', purpose: 'client' }),
    };
  })();
  return prepared;
}

export interface TestGateway extends AsyncDisposable {
  readonly store: Store;
  readonly service: SmtpService;
  readonly ports: { submission: number; submissions: number; relay: number };
}

export interface TestGatewayOptions
  extends HouseOptions,
    Partial<Pick<SmtpDeps, 'isLocked' | 'now' | 'log' | 'scanner'>> {
  /** Puts something between the listener and the store. */
  readonly around?: (store: Store) => SmtpDeps['store'];
}

/** Starts it; disposing closes the listener and the store and removes the folder. */
export async function startGateway(options: TestGatewayOptions = {}): Promise<TestGateway> {
  const { hash, server } = await identities();
  const config = house({
    passwordHash: hash,
    relays: '{ name: mta, tenants: [stadt], addresses: [127.0.0.1] }',
    ...options,
  });
  const folder = await mkdtemp(join(tmpdir(), 'demail-smtp-'));
  const store = await openSqliteStore({
    directory: folder,
    originPrefix: 'gateway.example',
    ...(options.now && { clock: options.now }),
  });
  for (const tenant of config.tenants) await store.openTenant(tenant.id);
  const directory = createDirectory(config);
  const service = await startSmtp({
    store: options.around?.(store) ?? store,
    directory: () => directory,
    authenticator: createAuthenticator({
      directory: () => directory,
      limits: config.limits,
      delay: async () => undefined,
    }),
    config,
    tls: server,
    dataDir: folder,
    log: silentLog(),
    ...options,
  });
  return {
    store,
    service,
    ports: service.ports as TestGateway['ports'],
    async [Symbol.asyncDispose]() {
      await service.close();
      await store[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export const ERIKA = 'erika@stadt.example';
export const MAX = 'max@buerger.de-mail.example';

/** A small good message; `headers` are put before its own. */
export function letter(headers: readonly string[] = [], body = 'Guten Tag'): string {
  return [
    ...headers,
    `From: Erika <${ERIKA}>`,
    `To: ${MAX}`,
    'Subject: Bescheid',
    'Message-ID: <1@stadt.example>',
    '',
    body,
    '',
  ].join('\r\n');
}
