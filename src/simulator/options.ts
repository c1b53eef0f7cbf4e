/** What a simulator can be told: the same object for `startSimulator` and for the JSON file of its process. */
import { z } from 'zod';
import { lieNames } from './lies.ts';
import { domainMatches } from './recipients.ts';
import { hashNames, signatureKinds } from './signer.ts';

const port = z.number().int().min(0).max(65_535);
const milliseconds = z.number().int().min(0).max(86_400_000);
const id = z.string().regex(/^[a-z0-9][a-z0-9.-]{0,62}$/);

const account = z.strictObject({
  /** Also the login name, and the common name of the account's client certificate. */
  id,
  /** X-de-mail-account-holder. */
  holder: z.string().min(1),
  /** Only institutions may ask for a retrieval confirmation (FU 3.3.5), and own whole domains. */
  kind: z.enum(['institution', 'person']).default('person'),
  addresses: z.array(z.string().includes('@').toLowerCase()).default([]),
  domains: z.array(z.string().toLowerCase()).default([]),
  /** Without a password the client certificate alone logs in. */
  password: z.string().optional(),
  /** Level of a login with client certificate; a login by password alone is always `normal`. */
  level: z.enum(['normal', 'high']).default('high'),
  /**
   * `slow`: a message is refused with 451 some times before it is taken, and its receipt confirmation comes
   * late. `drop`: the message is processed, then the connection is cut instead of the reply. The next are
   * never delivered to, and the sender is told why (undeliverable.ts): `closed` account, `malware` found in
   * whatever comes, `invalid-format`, and `mismatch` of the checksum.
   * `identifies`: answers each message with an identification of the holder.
   */
  behaviour: z
    .enum(['normal', 'slow', 'drop', 'closed', 'malware', 'invalid-format', 'mismatch', 'identifies'])
    .default('normal'),
  /**
   * Automatic forwarding (FU 3.1.3.2): a copy of what comes goes on to this De-Mail address. A message with
   * retrieval confirmation does not, nor a private one unless `forwardsPrivate`: the address is told of it.
   */
  forwardsTo: z.string().includes('@').toLowerCase().optional(),
  forwardsPrivate: z.boolean().default(true),
  /** The account is being closed, its mail sent on to this De-Mail address; nothing is laid here (FU 3.1.3.3). */
  movedTo: z.string().includes('@').toLowerCase().optional(),
  /** Identity data by their names in ID IO 2.2; default: of the specimen identity card (identity-card.ts). */
  identity: z.record(z.string(), z.string()).default({}),
  /** How long after a delivery the holder logs in at level high by himself; absent: never. */
  logsInAfterMs: milliseconds.optional(),
});

const confirmationKinds = ['dispatch', 'receipt', 'retrieval'] as const;

export function ownsAddress(account: Pick<Account, 'addresses' | 'domains'>, address: string): boolean {
  return account.addresses.includes(address) || domainMatches(address, account.domains);
}

/** Misbehaviour on demand. Counters count down as they are used; everything else holds until changed. */
export const faultsSchema = z.strictObject({
  /** Confirmations never issued. */
  withhold: z.array(z.enum(confirmationKinds)).default([]),
  /** Confirmations deposited twice, byte for byte. */
  duplicateConfirmations: z.boolean().default(false),
  /** Waiting time before each confirmation. */
  delayConfirmationsMs: milliseconds.default(0),
  /** The same for retrieval confirmations alone, on top. */
  delayRetrievalsMs: milliseconds.default(0),
  /** So many messages are processed, then the connection is cut instead of the reply. */
  cutAfterData: z.number().int().min(0).default(0),
  /** So many messages are dropped unprocessed, the connection cut in the middle of the data. */
  cutDuringData: z.number().int().min(0).default(0),
  /** So many messages are refused with 451 after the final dot. */
  deferData: z.number().int().min(0).default(0),
  /** So many IMAP connections are cut in the middle of a message literal. */
  cutDuringFetch: z.number().int().min(0).default(0),
  /** Refuse every login, by SMTP and IMAP. */
  refuseLogins: z.boolean().default(false),
  /** IDLE says nothing: the lost IDLE that only polling finds. */
  silentIdle: z.boolean().default(false),
  /** Revocation list and OCSP responder answer 503. */
  revocationUnavailable: z.boolean().default(false),
  /** Ways to lie, any number of them at once: see lies.ts. */
  lies: z.array(z.enum(lieNames)).default([]),
});

const fields = z.strictObject({
  /** Certificates, mailboxes and the control socket lie here. */
  directory: z.string().min(1),
  /** Address to listen on. */
  host: z.string().default('127.0.0.1'),
  /** Unix socket for orders (control.ts); default `control.sock` in the directory. */
  controlSocket: z.string().optional(),
  ports: z.strictObject({ smtp: port.default(2465), imap: port.default(2993) }).prefault({}),
  /**
   * The authority's revocation list lies in `<directory>/ca/root.crl`; with a `port` it is served over http on
   * `host` too. `url` goes into signature certificates as the place to fetch it; default: that of the port.
   */
  crl: z.strictObject({ port: port.optional(), url: z.url().optional() }).prefault({}),
  /** The OCSP responder, in the same way. */
  ocsp: z.strictObject({ port: port.optional(), url: z.url().optional() }).prefault({}),
  /** When the signature certificate is valid; default: from yesterday, for ten years. */
  certificate: z.strictObject({ validFrom: z.iso.datetime(), validTo: z.iso.datetime() }).optional(),
  /** Runs a time-stamp authority too (timestamp-authority.ts), below `tsa` in the directory. */
  timestamp: z.strictObject({ port: port.default(0) }).optional(),
  /** FQDN of the provider: d=, system addresses, X-de-mail-originator-provider. */
  provider: z.string().default('provider.de-mail.example'),
  providerName: z.string().default('De-Mail-Simulator'),
  /** Which domains count as De-Mail: `*.domain` or a domain. */
  demailDomains: z.array(z.string()).default(['*.de-mail.example']),
  accounts: z.array(account).prefault(demoAccounts),
  /** Signature of confirmations and authoritative messages. */
  signature: z.enum(signatureKinds).default('rsa'),
  hash: z.enum(hashNames).default('sha256'),
  /** Gross, in bytes: TR-01201 FU 4.1. */
  messageSize: z
    .number()
    .int()
    .min(1024)
    .default(45 * 1024 * 1024),
  /**
   * Does a login by SMTP at level high confirm what lies in the mailbox, as one by IMAP does? The norm knows
   * logins to the account only (FU 3.3.5); what a provider makes of SMTP is its own affair.
   */
  smtpLoginServes: z.boolean().default(true),
  /** Of slow accounts: refusals before a message is taken, then the delay of the receipt confirmation. */
  slow: z
    .strictObject({
      refusals: z.number().int().min(0).default(2),
      receiptDelayMs: milliseconds.default(10_000),
    })
    .prefault({}),
  /** What an account may send in a day at level normal: TR-01201 FU 3.1.1.1. */
  quota: z
    .strictObject({
      messages: z.number().int().min(0).default(100),
      recipients: z.number().int().min(0).default(300),
    })
    .prefault({}),
  /** Accept and forget, without checks, copies or confirmations: the far end of a load test. */
  sink: z.boolean().default(false),
  faults: faultsSchema.prefault({}),
});

/** FU 7, function 8: what is forwarded stays within De-Mail, and does not come back at once. */
export const optionsSchema = fields.superRefine(({ accounts, demailDomains }, context) => {
  for (const [index, account] of accounts.entries()) {
    for (const name of ['forwardsTo', 'movedTo'] as const) {
      const target = account[name];
      if (target === undefined) continue;
      const message = !domainMatches(target, demailDomains)
        ? `${target} is not a De-Mail address`
        : ownsAddress(account, target)
          ? `${target} belongs to the account itself`
          : undefined;
      if (message) context.addIssue({ code: 'custom', path: ['accounts', index, name], message });
    }
  }
});

export type SimulatorInput = z.input<typeof optionsSchema>;
export type SimulatorOptions = z.output<typeof optionsSchema>;
export type Account = z.output<typeof account>;
export type Faults = z.output<typeof faultsSchema>;
export type ConfirmationKind = (typeof confirmationKinds)[number];

/**
 * The municipalities of the demo, each with one account for its whole De-Mail domain, and some citizens at
 * `buerger.de-mail.example`; every other address there, `unknown@` for one, is unknown to the provider.
 */
export function demoAccounts(): z.input<typeof account>[] {
  const tenants = {
    'amt-zarrentin': 'Amt Zarrentin',
    'stadt-neustrelitz': 'Stadt Neustrelitz',
    'stadt-waren': 'Stadt Waren (Müritz)',
    'amt-dmbk': 'Amt Dorf Mecklenburg-Bad Kleinen',
    'ego-mv': 'Zweckverband eGo-MV',
    'amt-anklam-land': 'Amt Anklam-Land',
    'amt-recknitz-trebeltal': 'Amt Recknitz-Trebeltal',
  };
  const citizen = (local: string, holder: string, logsInAfterMs?: number) => ({
    id: local,
    holder,
    addresses: [`${local}@buerger.de-mail.example`],
    ...(logsInAfterMs === undefined ? {} : { logsInAfterMs }),
  });
  return [
    ...Object.entries(tenants).map(([id, holder]) => ({
      id,
      holder,
      kind: 'institution' as const,
      domains: [`${id}.de-mail.example`],
    })),
    citizen('max.mustermann', 'Max Mustermann', 2000),
    citizen('erna.schmidt', 'Erna Schmidt', 2000),
    citizen('karl.never', 'Karl Never'),
    { ...citizen('slow', 'Sabine Langsam', 2000), behaviour: 'slow' as const },
    { ...citizen('drop', 'Dieter Abbruch', 2000), behaviour: 'drop' as const },
    { ...citizen('closed', 'Clara Gesperrt'), behaviour: 'closed' as const },
    { ...citizen('nohigh', 'Norbert Niedrig'), level: 'normal' as const },
    { ...citizen('malware', 'Mara Schadhaft'), behaviour: 'malware' as const },
    { ...citizen('invalid', 'Ingo Formlos'), behaviour: 'invalid-format' as const },
    { ...citizen('mismatch', 'Moritz Falsch'), behaviour: 'mismatch' as const },
    { ...citizen('identify', 'Ida Ausweis'), behaviour: 'identifies' as const },
  ];
}
