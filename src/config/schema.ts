/**
 * What the configuration may say, and what it means when it is silent. The YAML of
 * `config/gateway.example.yaml` explains each key to an administrator; this file is the contract.
 * Durations are written `90s`, `5m`, `8h`, `14d` and arrive in milliseconds; sizes `45MiB` arrive in bytes.
 */
import { z } from 'zod';
import { weekdays } from '../demail/calendar.ts';
import { laender, localHolidays } from '../demail/holidays.ts';
import { dispatchOptions } from '../evidence/entry.ts';
import { pinAttributes } from '../pki/signer-pins.ts';
import { retention } from './retention.ts';

const unitMs = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const unitBytes = { B: 1, KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 } as const;

/** `90s`, `5m`, `8h`, `14d` → milliseconds. */
const duration = z
  .string()
  .regex(/^\d{1,6}[smhd]$/, 'a duration such as 90s, 5m, 8h or 14d')
  .transform((text) => Number(text.slice(0, -1)) * unitMs[text.at(-1) as keyof typeof unitMs]);

/** `45MiB` → bytes. */
const size = z
  .string()
  .regex(/^\d{1,6}(B|KiB|MiB|GiB)$/, 'a size such as 512KiB or 45MiB')
  .transform((text) => {
    const unit = /[A-Za-z]+$/.exec(text)![0] as keyof typeof unitBytes;
    return Number.parseInt(text, 10) * unitBytes[unit];
  });

function between(low: string, high: string) {
  const [min, max] = [duration.parse(low), duration.parse(high)];
  return duration.refine((ms) => ms >= min && ms <= max, `a duration from ${low} to ${high}`);
}

function sizeBetween(low: string, high: string) {
  const [min, max] = [size.parse(low), size.parse(high)];
  return size.refine((bytes) => bytes >= min && bytes <= max, `a size from ${low} to ${high}`);
}

const port = z.number().int().min(0).max(65_535);
const domain = z
  .string()
  .max(189)
  .regex(/^(?=.{1,189}$)[a-z0-9-]+(\.[a-z0-9-]+)+$/, 'a lower-case domain name');
const domainPattern = z
  .string()
  .regex(/^(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*$/, 'a domain name, or *.domain for all below it');
const address = z
  .string()
  .max(253)
  .regex(/^[^\s@"<>]{1,64}@[a-z0-9.-]+$/, 'an address such as poststelle@stadt.example');
const id = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'lower-case letters, digits and hyphens');
const option = z.enum(dispatchOptions);
const fingerprint = z.string().regex(/^[0-9a-f]{64}$/, 'a hex SHA-256 fingerprint');

/** A secret lies in a file or an environment variable, never in this file. */
const secret = z.union(
  [z.strictObject({ file: z.string().min(1) }), z.strictObject({ env: z.string().min(1) })],
  'either file: PATH or env: NAME; a secret never stands in this file',
);

const listener = z.strictObject({ address: z.string().default('127.0.0.1'), port });

const clientIdentity = z.strictObject({ certificate: z.string(), key: z.string() });

/**
 * Where a provider listens. `tls`: TLS from the first byte; `starttls`: upgraded, never without;
 * `none`: only for a local connector (loopback or a Unix socket) that does TLS with a key on a token.
 */
const endpoint = z
  .strictObject({
    host: z.string().optional(),
    port: port.optional(),
    socket: z.string().optional(),
    security: z.enum(['tls', 'starttls', 'none']).default('tls'),
    /** Name that the certificate must carry, where it differs from host. */
    serverName: z.string().optional(),
  })
  .refine((e) => (e.socket === undefined) !== (e.host === undefined), 'either host and port, or socket')
  .refine((e) => e.host === undefined || e.port !== undefined, 'port is missing')
  .refine(
    (e) => e.security !== 'none' || e.socket !== undefined || (e.host !== undefined && isLoopback(e.host)),
    'security none is for a connector on this machine: host 127.0.0.1, ::1 or localhost, or a socket',
  );

const timeOfDay = z
  .string()
  .regex(/^(([01]\d|2[0-3]):[0-5]\d|24:00)$/, 'a time of day such as "08:00" (in quotes), at most "24:00"');

const timeZone = z
  .string()
  .refine(isTimeZone, 'an IANA time zone such as Europe/Berlin')
  .default('Europe/Berlin');

const loginCalendar = z.strictObject({
  timeZone,
  /** Its public holidays are closed. */
  land: z.enum(laender).optional(),
  /** Holidays of a part of the Land that the office lies in. */
  localHolidays: z.array(z.enum(localHolidays)).default([]),
  windows: z
    .array(
      z
        .strictObject({ days: z.array(z.enum(weekdays)).min(1), from: timeOfDay, to: timeOfDay })
        .refine((w) => w.from < w.to, 'from must be before to; a window over midnight is two windows'),
    )
    .min(1),
  /** Further closed days. */
  closed: z.array(z.iso.date('a date such as "2026-12-24" (in quotes)')).default([]),
});

/** Attributes that must stand in the name, each with that value alone. */
const distinguishedName = z
  .strictObject(Object.fromEntries(pinAttributes.map((name) => [name, z.string().min(1).optional()])))
  .refine((name) => Object.keys(name).length > 0, 'at least one attribute, such as O');

const provider = z.strictObject({
  /** Name of the account, unique in the file; shown in logs and entries. */
  account: id,
  smtp: endpoint,
  imap: endpoint,
  user: z.string().optional(),
  password: secret.optional(),
  clientIdentity: clientIdentity.optional(),
  /** PEM files; empty means the system's roots. */
  trustAnchors: z.array(z.string()).default([]),
  /**
   * PEM files: who may have issued the certificates that De-Mails and confirmations are signed with. Providers sign
   * under another authority than that of their servers. Empty: `trustAnchors`.
   */
  signatureAnchors: z.array(z.string()).default([]),
  /** Who signs for which provider; empty: whoever has a path to an anchor. */
  signers: z
    .array(
      z
        .strictObject({
          /** Of its servers (X-de-mail-originator-provider) and of its system addresses. */
          domains: z.array(domainPattern).min(1),
          subject: distinguishedName.optional(),
          issuer: distinguishedName.optional(),
          certificates: z.array(fingerprint).min(1).optional(),
        })
        .refine(
          (s) => s.subject !== undefined || s.issuer !== undefined || s.certificates !== undefined,
          'at least one of subject, issuer, certificates',
        ),
    )
    .default([]),
  /** Where it is looked up whether a signer's certificate was revoked. */
  revocation: z
    .strictObject({
      /** Folder of CRLs and OCSP responses, kept up to date by others. */
      folder: z.string().optional(),
      /** Ask the addresses that certificates name: later, never while fetching. */
      network: z.boolean().default(true),
      /** Also where such an address is a private one. */
      privateAddresses: z.boolean().default(false),
    })
    .prefault({}),
  /** How long after the hand-over a confirmation that was asked for may take. */
  overdue: z
    .strictObject({
      dispatch: duration.prefault('1h'),
      receipt: duration.prefault('8h'),
      retrieval: duration.prefault('14d'),
    })
    .prefault({}),
  authLevel: z.enum(['normal', 'high']).default('normal'),
  /** What an account at level normal may send a day (TR-01201 FU 3.1.1.1); without effect at level high. */
  dailyQuota: z
    .strictObject({
      /** Hand-overs: a Bcc recipient has one of their own. */
      messages: z.number().int().min(1).default(100),
      /** Of all messages together. */
      recipients: z.number().int().min(1).default(300),
    })
    .prefault({}),
  /** When this account may be logged in to at level high (TR-01201 FU 3.3.5); absent: always. */
  loginCalendar: loginCalendar.optional(),
  /** A login by SMTP serves what lies in the account just as one by IMAP does. */
  smtpLoginServes: z.boolean().default(true),
  /** Name of the token (smart card, HSM) that several accounts may share: they are locked together by it. */
  token: id.optional(),
  inbox: z.string().default('INBOX'),
  /** The provider's Sent folder, where it keeps secured copies. */
  sentFolder: z.string().optional(),
  /** Where fetched messages are moved to; without it they stay and are only flagged. */
  doneFolder: z.string().optional(),
  /**
   * When copies at the provider are deleted, counted from their arrival there and in the store; absent: never. At
   * level normal the provider keeps what was confirmed for 90 days (TR-01201 FU 3.1.3.9), and so does the gateway.
   */
  deleteAfter: duration.refine((ms) => ms >= unitMs.d, 'at least 1d').optional(),
  /** What the mailbox at the provider may hold, where the provider does not say it by IMAP QUOTA. */
  mailboxSize: size.optional(),
  /** Percent of it from which operators are warned; the norm warns when less than 10 % are free (FU 4.1). */
  mailboxWarning: z.number().int().min(10).max(99).default(90),
  fetchInterval: duration.prefault('60s'),
  connections: z.number().int().min(1).max(50).default(4),
  /** How long temporary failures are retried. */
  retryFor: duration.prefault('96h'),
  /** What to do with a hand-over whose outcome nobody knows. */
  onUncertain: z.enum(['hold', 'resend']).default('hold'),
});

const language = z.enum(['de', 'en']);

/** What clients may fill mailboxes with; what comes in is never refused for it. */
const mailboxQuota = z
  .strictObject({
    /** Bytes of messages as clients see them. */
    size: size.optional(),
    messages: z.number().int().min(1).max(100_000_000).optional(),
  })
  .refine((q) => q.size !== undefined || q.messages !== undefined, 'at least one of size and messages');

const user = z.strictObject({
  login: address,
  name: z.string().optional(),
  /** Of mailbox names and of what mail clients show; default: the tenant's. */
  language: language.optional(),
  /** Default: the tenant's `mailboxQuota`. */
  mailboxQuota: mailboxQuota.optional(),
  /** argon2id, made by `demail-gateway user hash`. */
  passwordHash: z.string().startsWith('$argon2id$').optional(),
  passwordHashFile: z.string().optional(),
  /** Further addresses that this user may send from; the login is always one. */
  sendAs: z.array(address).default([]),
  role: z.enum(['staff', 'application']).default('staff'),
  permittedOptions: z.array(option).optional(),
  /** Client certificates by which this user is known, besides those that `privateMail.certificateAuthorities` issued. */
  certificates: z.array(fingerprint).default([]),
});

export const mailboxRights = ['read', 'insert', 'flag', 'delete'] as const;

const mailboxAccess = z
  .strictObject({
    user: address.optional(),
    /** Of the tenant's `groups`. */
    group: id.optional(),
    /** `insert`: also make mailboxes below; `delete`: also remove them. */
    rights: z.array(z.enum(mailboxRights)).min(1),
  })
  .refine((a) => (a.user === undefined) !== (a.group === undefined), 'either user or group')
  .refine((a) => a.rights.includes('read'), 'read is needed with any other right');

const sharedMailbox = z
  .strictObject({
    name: z.string().min(1).max(60),
    address,
    /** Logins with every right; they also send from the address. */
    members: z.array(address).default([]),
    /** Others who may open it, and what they may do there. Rights add up. */
    access: z.array(mailboxAccess).default([]),
    mailboxQuota: mailboxQuota.optional(),
  })
  .refine((m) => m.members.length + m.access.length > 0, 'nobody could open it: name members or access');

const forward = z
  .strictObject({
    protocol: z.enum(['smtp', 'lmtp']).default('smtp'),
    host: z.string().optional(),
    port: port.optional(),
    socket: z.string().optional(),
    security: z.enum(['tls', 'starttls', 'none']).default('starttls'),
    serverName: z.string().optional(),
    trustAnchors: z.array(z.string()).default([]),
    /** Named on purpose: private De-Mails (FU 3.3) are not forwarded without it. */
    includePrivate: z.boolean().default(false),
  })
  .refine((f) => (f.socket === undefined) !== (f.host === undefined), 'either host and port, or socket')
  .refine((f) => f.host === undefined || f.port !== undefined, 'port is missing')
  .refine(
    (f) =>
      f.security !== 'none' ||
      f.protocol === 'lmtp' ||
      f.socket !== undefined ||
      (f.host !== undefined && isLoopback(f.host)),
    'smtp with security none is for a server on this machine; use starttls or tls',
  );

const tenant = z.strictObject({
  id,
  name: z.string(),
  language: language.default('de'),
  /** When its days begin and end: the daily quota. */
  timeZone,
  internalDomains: z.array(domain).min(1),
  demailDomains: z.array(domain).min(1),
  addressMapping: z
    .strictObject({
      /** same-local-part: local@internal <-> local@demail (the first domain of each list). none: aliases only. */
      rule: z.enum(['same-local-part', 'none']).default('same-local-part'),
      aliases: z.array(z.strictObject({ internal: address, demail: address })).default([]),
    })
    .prefault({}),
  provider,
  options: z
    .strictObject({
      default: z.array(option).default([]),
      permitted: z.array(option).default([...dispatchOptions]),
      /** A client's read receipt asks for a retrieval confirmation, which makes the De-Mail private. */
      fromReadReceipt: z.boolean().default(false),
      /** A client's high importance makes the De-Mail authoritative. */
      fromImportance: z.boolean().default(false),
    })
    .prefault({}),
  users: z.array(user).default([]),
  /** Logins that `access` of shared mailboxes names together. */
  groups: z.array(z.strictObject({ name: id, members: z.array(address).min(1) })).default([]),
  /** What each user's own mailboxes may hold, unless the user has a quota of their own; absent: no limit. */
  mailboxQuota: mailboxQuota.optional(),
  sharedMailboxes: z.array(sharedMailbox).default([]),
  delivery: z.strictObject({ facade: z.boolean().default(true), forward: forward.optional() }).prefault({}),
  /** Name of the shared mailbox, or login, that gets what fits nobody (private mail excepted). */
  fallbackMailbox: z.string(),
  /** Private De-Mails (FU 3.3) go to the addressed person alone, unless this says otherwise by name. */
  privateMail: z
    .strictObject({
      /** Names of shared mailboxes that may take those addressed to them. */
      shared: z.array(z.string()).default([]),
      /** Shared mailbox or login that gets those that fit nobody; without it they wait. */
      fallback: z.string().optional(),
      /** Names, in the operating system, of those to whom the evidence commands show subject and content. */
      operators: z.array(z.string().min(1).max(64)).default([]),
      /** Shown in the facade only to sessions with a client certificate of the user. */
      requireClientCertificate: z.boolean().default(false),
      /** PEM files of authorities: their client certificates that carry a login as e-mail address are that user's. */
      certificateAuthorities: z.array(z.string()).default([]),
    })
    .prefault({}),
  /** Keeps an index by which the facade searches; off: each search reads the messages. */
  searchText: z.boolean().default(true),
  /** Signatures that senders put into their mails: S/MIME, .p7s, signed PDF. */
  senderSignatures: z
    .strictObject({
      /** PEM files: authorities whose certificates count. Without them such a signature is never more than intact. */
      anchors: z.array(z.string()).default([]),
    })
    .prefault({}),
  /**
   * Name of the shared mailbox, or login, that gets copies of fetched mail with malware, in its folder Quarantäne;
   * absent: nobody gets one, and only the evidence has it. Never private mail.
   */
  quarantine: z.string().optional(),
  /** Logins whose mailbox gets the notices about this tenant's account. */
  operators: z.array(address).min(1),
  /** How long letters are kept; without classes for ever. */
  retention: retention.prefault({}),
});

const relay = z
  .strictObject({
    name: id,
    tenants: z.array(id).min(1),
    /** Addresses or CIDR ranges. */
    addresses: z.array(z.string()).default([]),
    /** Hex SHA-256 fingerprints of client certificates (DER). */
    certificates: z.array(fingerprint).default([]),
    role: z.enum(['staff', 'application']).default('staff'),
  })
  .refine(
    (r) => r.addresses.length + r.certificates.length > 0,
    'a relay is admitted by addresses or certificates',
  );

/** Malware scanning in both directions; absent: none. */
const malware = z.strictObject({
  clamd: z
    .strictObject({
      host: z.string().optional(),
      port: port.optional(),
      socket: z.string().optional(),
      /** Longest silence of the scanner. */
      timeout: duration.prefault('2m'),
    })
    .refine((c) => (c.socket === undefined) !== (c.host === undefined), 'either host and port, or socket')
    .refine((c) => c.host === undefined || c.port !== undefined, 'port is missing'),
  /** What clamd's StreamMaxLength does not let through: `hold` refuses and holds it, `pass` lets it through unscanned. */
  tooLarge: z.enum(['hold', 'pass']).default('hold'),
  /** Also what mail clients put into mailboxes (IMAP APPEND): finds are refused, and so is all while clamd is away. */
  append: z.boolean().default(true),
});

const verifierKey = z
  .string()
  .regex(/^[^\s+]+\+[0-9a-f]{8}\+[A-Za-z0-9+/]+=*$/, 'a verifier key such as name+1234abcd+base64');
const httpUrl = z
  .string()
  .regex(/^https?:\/\/[^\s/?#]+[^\s?#]*$/, 'an address such as https://witness.kreis.example');
const keyName = z
  .string()
  .regex(/^[^\s+]{1,255}$/, 'a name without spaces and plus, such as kreis.example/witness');
const httpListener = z.strictObject({
  address: z.string().default('127.0.0.1'),
  port,
  /** PEM files; without them it is plain HTTP, for a proxy in front. */
  tls: clientIdentity.optional(),
});

/** A party that has seen the log, and says so. */
const witness = z.strictObject({
  /** Prefix that add-checkpoint lies below. */
  url: httpUrl,
  /** Its verifier key, type 04. */
  key: verifierKey,
  /** Prefix that its checkpoints can be read below, where it differs. */
  monitoring: httpUrl.optional(),
  /** PEM files; empty means the system's roots. */
  trustAnchors: z.array(z.string()).default([]),
});

const evidence = z.strictObject({
  /** Further folders of last checkpoints, on other hosts: each is written, and at the start each must fit. */
  checkpointFolders: z.array(z.string()).default([]),
  /** Where the logs are published as C2SP tiles. */
  tiles: z
    .strictObject({
      directory: z.string(),
      /** Serves them read-only by HTTP. Off by default: sizes tell volumes. */
      listen: httpListener.optional(),
    })
    .optional(),
  /** How long after a checkpoint at the latest it is published and cosigned. */
  interval: duration.prefault('10s'),
  witnesses: z.array(witness).default([]),
});

/** Being a witness for the logs of others; also alone, by `demail-gateway witness`. */
export const witnessSchema = z.strictObject({
  name: keyName,
  /** What it has seen of each log, and its key. */
  directory: z.string(),
  listen: httpListener,
  logs: z
    .array(z.strictObject({ origin: z.string().min(1).max(255), keys: z.array(verifierKey).min(1) }))
    .min(1),
});

const timestampAuthority = z.strictObject({
  name: z.string().regex(/^[\w.-]{1,64}$/, 'letters, digits, ., _ and -'),
  url: z.url({ protocol: /^https?$/ }),
  /** Object identifier of the policy that tokens must be issued under. */
  policy: z
    .string()
    .regex(/^[012](\.\d+)+$/)
    .optional(),
  /** Value of the Authorization header; sent over https only. */
  authorization: secret.optional(),
  /** May its address be a private one? */
  privateAddress: z.boolean().default(false),
});

/** How the proof is kept for decades: seals, renewal (docs/evidence.md). */
export const preservation = z.strictObject({
  seal: z
    .strictObject({
      every: duration.prefault('1d'),
      /** An entry that stays unsealed for longer is an incident. */
      alarmAfter: duration.prefault('1d'),
      digest: z.enum(['sha256', 'sha384', 'sha512']).default('sha256'),
      /** Asked in this order. */
      authorities: z.array(timestampAuthority).min(1).max(10),
      /** PEM files: the roots that time-stamps must lead to. */
      trustAnchors: z.array(z.string()).min(1),
      revocation: z
        .strictObject({
          /** Folder of CRLs, kept up to date by others. */
          folder: z.string().optional(),
          network: z.boolean().default(true),
          privateAddresses: z.boolean().default(false),
        })
        .prefault({}),
    })
    .optional(),
  /** Encrypted, incremental backups, made while the gateway runs (docs/backup.md). */
  backup: z
    .strictObject({
      /** A folder of another host. */
      directory: z.string(),
      every: duration.prefault('1d'),
      /** Generations; what none of them names is removed. */
      keep: z.number().int().min(2).max(1000).default(14),
    })
    .optional(),
  /** A copy of every commit, made at once, so that nothing acknowledged lies on one disk alone. */
  secondCopy: z
    .strictObject({
      /** A folder of another host. */
      directory: z.string(),
      /** `before-250` acknowledges nothing that is not copied; `after` copies as fast as it can. */
      mode: z.enum(['before-250', 'after']).default('before-250'),
      /** A lag of more is an incident. */
      alarmAfter: duration.prefault('60s'),
      /** How long what is committed waits to be acknowledged while the copy cannot be written. */
      patience: duration.prefault('60s'),
    })
    .optional(),
  /** Re-reads everything that is stored. */
  scrub: z
    .strictObject({
      /** A second. */
      bytesPerSecond: size.prefault('1MiB'),
      /** A full round that takes longer than this is an incident. */
      within: duration.prefault('90d'),
    })
    .prefault({}),
  /** How long before certificates or algorithms run out they are renewed. */
  renewAhead: duration.prefault('90d'),
  /** How long algorithms count; default: the list that comes along. */
  algorithms: z.string().optional(),
});

/** Of IMAP sessions, besides `imapSessions` and `messageSize` (docs/imap.md). */
const imapLimits = z.strictObject({
  /** Sessions of one address that have not logged in yet. */
  strangersPerAddress: z.number().int().min(1).max(100_000).default(200),
  /** From connection to login. */
  loginTimeout: between('10s', '10m').prefault('60s'),
  /** Of clients that say nothing; RFC 3501 5.4 wants 30 minutes at least. */
  idleTimeout: between('30m', '1d').prefault('30m'),
  /** Commands in a row that cannot be understood end the connection. */
  badCommands: z.number().int().min(3).max(10_000).default(20),
  /** Bytes of a line and of a command with its literals, before login. */
  strangerCommand: sizeBetween('1KiB', '1MiB').prefault('8KiB'),
  /** Bytes of a line after login; long UID sets need room (RFC 7162 4: at least 8 KiB). */
  line: sizeBetween('8KiB', '4MiB').prefault('64KiB'),
  /** Bytes of a command with its literals after login, the message of APPEND excluded. */
  command: sizeBetween('64KiB', '16MiB').prefault('256KiB'),
});

export const configSchema = z.strictObject({
  /** Where the store lives; --data overrides. */
  data: z.string().default('./data'),
  /** FQDN used in greetings and certificates. */
  hostname: z.string().default('localhost'),
  demailDomains: z.array(domainPattern).min(1).default(['*.de-mail.de']),
  listeners: z
    .strictObject({
      submission: listener.optional(),
      submissions: listener.optional(),
      relay: listener.optional(),
      imap: listener.optional(),
      imaps: listener.optional(),
    })
    .prefault({}),
  tls: z.strictObject({
    certificate: z.string(),
    key: z.string(),
    clientAuthorities: z.array(z.string()).default([]),
  }),
  limits: z
    .strictObject({
      messageSize: size.prefault('45MiB'),
      recipients: z.number().int().min(1).max(1000).default(100),
      smtpSessions: z.number().int().min(1).default(200),
      smtpSessionsPerAddress: z.number().int().min(1).default(100),
      imapSessions: z.number().int().min(1).default(2000),
      messagesPerMinutePerSender: z.number().int().min(1).default(100_000),
      failedLoginsPerAddress: z.number().int().min(1).default(20),
      failedLoginsPerUser: z.number().int().min(1).default(10),
      failedLoginWindow: duration.prefault('15m'),
      idleTimeout: duration.prefault('5m'),
      imap: imapLimits.prefault({}),
    })
    .prefault({}),
  keys: z
    .strictObject({
      /** A path, or `$CREDENTIALS_DIRECTORY` for systemd credentials. */
      directory: z.string().optional(),
      /** Certificates of offline keys that every tenant's keys are encrypted to. */
      recovery: z.array(z.string()).default([]),
    })
    .optional(),
  checkpoints: z.strictObject({ directory: z.string() }).optional(),
  evidence: evidence.prefault({}),
  witness: witnessSchema.optional(),
  preservation: preservation.prefault({}),
  log: z.strictObject({ level: z.enum(['debug', 'info', 'warn', 'error']).default('info') }).prefault({}),
  malware: malware.optional(),
  relays: z.array(relay).default([]),
  tenants: z.array(tenant).min(1),
});

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

function isLoopback(host: string): boolean {
  return ['127.0.0.1', '::1', 'localhost'].includes(host);
}

export type Config = z.output<typeof configSchema>;
export type EvidenceConfig = Config['evidence'];
export type WitnessClientConfig = EvidenceConfig['witnesses'][number];
export type WitnessConfig = z.output<typeof witnessSchema>;
export type HttpListenerConfig = z.output<typeof httpListener>;
export type MailboxRight = (typeof mailboxRights)[number];
export type Language = z.output<typeof language>;
export type TenantConfig = Config['tenants'][number];
export type ProviderConfig = TenantConfig['provider'];
export type UserConfig = TenantConfig['users'][number];
export type RelayConfig = Config['relays'][number];
export type EndpointConfig = ProviderConfig['smtp'];
export type ForwardConfig = NonNullable<TenantConfig['delivery']['forward']>;
export type SecretConfig = NonNullable<ProviderConfig['password']>;
