/** Two tenants, their users and relays, as the tests of this room need them. */
import { parseConfig } from '../../config/load.ts';
import type { Config } from '../../config/schema.ts';

export interface HouseOptions {
  /** Password hash of everybody. */
  readonly passwordHash?: string;
  /** Lines of `limits:`. */
  readonly limits?: string;
  /** English, so that tests read like the code. */
  readonly languages?: { readonly stadt: 'de' | 'en'; readonly dorf: 'de' | 'en' };
  /** Members of `dailyQuota:` of stadt. */
  readonly dailyQuota?: string;
  /** Elements of `relays:`. */
  readonly relays?: string;
}

/**
 * `stadt` (level normal; erika, jan, shared poststelle of erika) and `dorf` (level high; ida). Every
 * listener on a free port of 127.0.0.1.
 */
export function house({
  passwordHash = '$argon2id$x',
  languages = { stadt: 'en', dorf: 'en' },
  limits = '',
  dailyQuota = '',
  relays = '',
}: HouseOptions = {}): Config {
  return parseConfig(
    `tls: { certificate: a, key: a }
hostname: gateway.example
demailDomains: ['*.de-mail.example']
listeners:
  submission: { port: 0 }
  submissions: { port: 0 }
  relay: { port: 0 }
limits: { ${limits} }
relays: [ ${relays} ]
tenants:
  - id: stadt
    name: Stadt
    language: ${languages.stadt}
    internalDomains: [stadt.example]
    demailDomains: [stadt.de-mail.example]
    provider:
      account: stadt
      smtp: { host: smtp.example, port: 465 }
      imap: { host: imap.example, port: 993 }
      dailyQuota: { ${dailyQuota} }
    options: { default: [dispatch, receipt], permitted: [dispatch, receipt, private] }
    users:
      - { login: erika@stadt.example, passwordHash: "${passwordHash}" }
      - { login: jan@stadt.example, passwordHash: "${passwordHash}", permittedOptions: [dispatch] }
    sharedMailboxes:
      - { name: Poststelle, address: poststelle@stadt.example, members: [erika@stadt.example] }
    fallbackMailbox: Poststelle
    operators: [erika@stadt.example]
  - id: dorf
    name: Dorf
    language: ${languages.dorf}
    internalDomains: [dorf.example]
    demailDomains: [dorf.de-mail.example]
    provider:
      account: dorf
      smtp: { host: smtp.example, port: 465 }
      imap: { host: imap.example, port: 993 }
      authLevel: high
    users: [{ login: ida@dorf.example, passwordHash: "${passwordHash}" }]
    sharedMailboxes:
      - { name: Rathaus, address: rathaus@dorf.example, members: [ida@dorf.example] }
    fallbackMailbox: ida@dorf.example
    operators: [ida@dorf.example]
`,
    'house.yaml',
    { files: false },
  );
}
