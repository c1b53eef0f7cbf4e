/** Two municipalities for tests: stadt (with a shared Poststelle as fallback) and dorf. */
import { parseConfig } from '../../config/load.ts';
import type { Config } from '../../config/schema.ts';
import { createDirectory } from '../../directory/create.ts';
import type { Directory } from '../../directory/directory.ts';

export interface TestTenants {
  readonly forward?: 'both' | 'only' | string | undefined;
  /** Endpoint and settings of the tenants' accounts, as they would stand in the file. */
  readonly provider?: Partial<Record<'stadt' | 'dorf', object>>;
  readonly forwardTo?: object;
  /** Further settings of stadt. */
  readonly stadt?: object;
}

function testConfig({ forward, provider = {}, forwardTo, stadt = {} }: TestTenants = {}): Config {
  const account = (name: 'stadt' | 'dorf') => ({
    account: name,
    smtp: { host: '127.0.0.1', port: 1, security: 'none' },
    imap: { host: '127.0.0.1', port: 1, security: 'none' },
    ...provider[name],
  });
  const user = (login: string) => ({ login, passwordHash: '$argon2id$x' });
  return parseConfig(
    JSON.stringify({
      tls: { certificate: 'a', key: 'a' },
      hostname: 'gateway.example',
      demailDomains: ['*.de-mail.example'],
      tenants: [
        {
          id: 'stadt',
          name: 'Stadt',
          internalDomains: ['stadt.example'],
          demailDomains: ['stadt.de-mail.example'],
          provider: account('stadt'),
          users: [user('erika@stadt.example'), user('jan@stadt.example')],
          sharedMailboxes: [
            { name: 'Poststelle', address: 'poststelle@stadt.example', members: ['erika@stadt.example'] },
          ],
          delivery: {
            facade: forward !== 'only',
            ...(forward === undefined
              ? {}
              : { forward: forwardTo ?? { host: 'mail.stadt.example', port: 25 } }),
          },
          fallbackMailbox: 'Poststelle',
          operators: ['jan@stadt.example'],
          ...stadt,
        },
        {
          id: 'dorf',
          name: 'Dorf',
          internalDomains: ['dorf.example'],
          demailDomains: ['dorf.de-mail.example'],
          provider: account('dorf'),
          users: [user('erika@dorf.example')],
          fallbackMailbox: 'erika@dorf.example',
          operators: ['erika@dorf.example'],
        },
      ],
    }),
    'gateway.yaml',
    { files: false },
  );
}

export function testDirectory(tenants: TestTenants = {}): Directory {
  return createDirectory(testConfig(tenants));
}
