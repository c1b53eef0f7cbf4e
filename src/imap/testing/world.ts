/** The facade over a real store in a folder of its own: two users, one of them in the Poststelle. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseConfig } from '../../config/load.ts';
import { createAuthenticator } from '../../directory/authenticator.ts';
import { createDirectory } from '../../directory/create.ts';
import { hashPassword } from '../../directory/password.ts';
import type { Scanner } from '../../inspection/scanner.ts';
import { silentLog } from '../../observe/log.ts';
import { createAuthority, type Issued } from '../../pki/authority.ts';
import { tlsServerOptions } from '../../pki/tls.ts';
import { openSqliteStore } from '../../store/sqlite/open.ts';
import type { Store } from '../../store/store.ts';
import { type ImapServer, startImap } from '../server.ts';
import type { ImapLimits } from '../session.ts';

export const PASSWORD = 'rosebud';
export const ERIKA = 'erika@stadt.example';
export const JAN = 'jan@stadt.example';

let prepared: Promise<{ hash: string; authority: string; server: Issued }> | undefined;

/** Password hash and certificates, made once for all tests of a process. */
function identities() {
  prepared ??= (async () => {
    const authority = await createAuthority({ name: 'test' });
    const server = await authority.issue({
      commonName: 'localhost',
      dnsNames: ['localhost'],
      ipAddresses: ['127.0.0.1'],
      purpose: 'server',
    });
    return { hash: await hashPassword(PASSWORD), authority: authority.certificate, server };
  })();
  return prepared;
}

export interface ImapWorld extends AsyncDisposable {
  readonly store: Store;
  readonly server: ImapServer;
  readonly folder: string;
  /** Of every user's password, for tenants that list their users themselves. */
  readonly passwordHash: string;
  /** PEM. */
  readonly authority: string;
  readonly ports: { readonly imap: number; readonly imaps: number };
  /** A reload with these keys of the tenant. */
  reconfigure(tenant: object): void;
}

/** Starts it; disposing closes server and store and removes the folder. */
export async function openImapWorld(
  limits: Partial<ImapLimits> = {},
  tenant: object = {},
  scanner?: Scanner,
): Promise<ImapWorld> {
  const { hash, authority, server: identity } = await identities();
  const folder = await mkdtemp(join(tmpdir(), 'demail-imap-'));
  const store = await openSqliteStore({ directory: folder, originPrefix: 'gateway.example' });
  await store.openTenant('stadt');
  const config = configuration(hash, tenant);
  let directory = createDirectory(config);
  const tls = tlsServerOptions(identity);
  const listener = { address: '127.0.0.1', port: 0 };
  const server = await startImap({
    store,
    directory: () => directory,
    authenticator: createAuthenticator({
      directory: () => directory,
      limits: config.limits,
      delay: async () => undefined,
    }),
    log: silentLog(),
    tls: () => tls,
    listeners: { imap: listener, imaps: listener },
    limits,
    scanner,
  });
  return {
    store,
    server,
    folder,
    passwordHash: hash,
    authority,
    ports: server.ports as ImapWorld['ports'],
    reconfigure(changed) {
      directory = createDirectory(configuration(hash, changed));
      server.reloaded();
    },
    async [Symbol.asyncDispose]() {
      await server.close();
      await store[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** `tenant`: keys of the tenant, as they would stand in the file. */
function configuration(passwordHash: string, tenant: object) {
  const endpoint = { host: '127.0.0.1', port: 1, security: 'none' };
  return parseConfig(
    JSON.stringify({
      tls: { certificate: 'a', key: 'a' },
      hostname: 'gateway.example',
      demailDomains: ['*.de-mail.example'],
      limits: { failedLoginsPerAddress: 100_000, failedLoginsPerUser: 100_000 },
      tenants: [
        {
          id: 'stadt',
          name: 'Stadt',
          internalDomains: ['stadt.example'],
          demailDomains: ['stadt.de-mail.example'],
          provider: { account: 'stadt', smtp: endpoint, imap: endpoint },
          users: [ERIKA, JAN].map((login) => ({ login, passwordHash })),
          sharedMailboxes: [
            { name: 'Poststelle', address: 'poststelle@stadt.example', members: [ERIKA, JAN] },
          ],
          fallbackMailbox: 'Poststelle',
          operators: [JAN],
          ...tenant,
        },
      ],
    }),
    'gateway.yaml',
    { files: false },
  );
}
