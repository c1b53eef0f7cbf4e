/**
 * A De-Mail provider for trial and tests: SMTP, IMAP, accounts, a certificate authority, confirmations.
 * Written from the norm and apart from the gateway, so that one mistake cannot hide in both.
 */
import { X509Certificate } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Log, silentLog } from '../observe/log.ts';
import { type Authority, type Flaw, type Identity, openAuthority } from './authority.ts';
import { openClock } from './clock.ts';
import { listenControl } from './control.ts';
import type { CardName } from './identity-card.ts';
import { listenImap } from './imap-server.ts';
import type { Lie, Lies } from './lies.ts';
import type { StoredMessage } from './mailbox.ts';
import { type Account, type Faults, optionsSchema, type SimulatorInput } from './options.ts';
import { openPost } from './post.ts';
import { listenCrl, listenOcsp } from './revocation-services.ts';
import type { Signer } from './signer.ts';
import { listenSmtp } from './smtp.ts';
import type { Letterhead } from './system-message.ts';
import { startTimestampAuthority, type TimestampAuthority } from './timestamp-authority.ts';

export interface Simulator extends AsyncDisposable {
  /** As opened: ports given as 0 are filled in. */
  readonly ports: { readonly smtp: number; readonly imap: number };
  readonly directory: string;
  /** Root of every certificate here; also the trust anchor of its signatures. */
  readonly caPem: string;
  readonly caFile: string;
  /** Revocation list of that root, DER. */
  readonly crlFile: string;
  /** The same as of now. */
  crl(): Buffer;
  /** Where the list is served, if it is. */
  readonly crlUrl: string | undefined;
  readonly ocspUrl: string | undefined;
  /** If it runs one. Its clock follows the provider's. */
  readonly timestamp: TimestampAuthority | undefined;
  /** Change its fields to make the provider misbehave. */
  readonly faults: Faults;
  /** Client certificate and key of an account, as PEM and as files; made at first use, then kept. */
  clientIdentity(account: string): Promise<Identity>;
  /** Lays bytes into an account's INBOX as they are, below an Envelope-to line if one is given. */
  deposit(account: string, bytes: Uint8Array, envelopeTo?: string): Promise<{ uid: number }>;
  messages(account: string, mailbox: string): readonly StoredMessage[];
  read(account: string, mailbox: string, uid: number): Promise<Buffer>;
  /** The holder logs in (web, say), at the account's level unless told otherwise: FU 3.3.5. */
  login(account: string, level?: 'normal' | 'high'): void;
  /** Moves the provider's clock; without a time it shows the true time again. What is due by then is done. */
  setClock(time?: Date): void;
  /** The holder has himself identified to an address; `card` (identity-card.ts) defaults to all there is. */
  identify(account: string, to: string, card?: CardName): void;
  /** New UIDVALIDITY and UIDs for a mailbox. */
  renumber(account: string, mailbox: string): void;
  /** Messages per account and mailbox. */
  counts(): Record<string, Record<string, number>>;
  /** Revokes the certificate that signs now, as of the given time (default: now). It goes on signing. */
  revokeSigner(at?: Date): Promise<void>;
  /** Resolves when all deliveries and confirmations under way are done; rejects if one failed inside. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

/** Bytes of a Unix socket's path on Linux, sun_path of unix(7) without its NUL. */
const maxSocketPath = 107;

/**
 * Starts the provider.
 * @param input see options.ts
 * @param context `now`: base of the provider's clock; `log`: told of failures inside
 * @throws Error naming a port that is taken, or zod's list of what is wrong with the options
 */
export async function startSimulator(
  input: SimulatorInput,
  { now: base, log = silentLog() }: { now?: () => Date; log?: Log } = {},
): Promise<Simulator> {
  const clock = openClock(base);
  const { now } = clock;
  const options = optionsSchema.parse(input);
  const { directory, host } = options;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const faults: Faults = { ...options.faults };
  await using cleanup = new AsyncDisposableStack();
  let authority: Authority | undefined;
  const opened = () => authority;
  const { crl, ocsp, certificate } = options;
  const crlServer = crl.port === undefined ? undefined : await listenCrl(host, crl.port, opened, faults);
  if (crlServer) cleanup.defer(() => crlServer.close());
  const ocspServer = ocsp.port === undefined ? undefined : await listenOcsp(host, ocsp.port, opened, faults);
  if (ocspServer) cleanup.defer(() => ocspServer.close());
  const crlUrl = crl.url ?? crlServer?.url;
  const ocspUrl = ocsp.url ?? ocspServer?.url;
  authority = await openAuthority({
    directory,
    organization: options.providerName,
    now,
    ...(crlUrl ? { crlUrl } : {}),
    ...(ocspUrl ? { ocspUrl } : {}),
    validity: certificate && { from: new Date(certificate.validFrom), to: new Date(certificate.validTo) },
  });
  const timestamp =
    options.timestamp &&
    (await startTimestampAuthority(
      { directory: join(directory, 'tsa'), host, ...options.timestamp },
      { now },
    ));
  if (timestamp) cleanup.use(timestamp);
  const { revoke } = authority;
  const names = [options.provider, 'localhost', '127.0.0.1', '::1', options.host];
  const server = await authority.server([...new Set(names)].filter((name) => name !== '0.0.0.0'));
  const head: Letterhead = {
    provider: options.provider,
    providerName: options.providerName,
    hash: options.hash,
    signer: await authority.signer(options.signature, options.hash),
  };
  const account = (id: string): Account => {
    const found = options.accounts.find((candidate) => candidate.id === id);
    if (!found) throw new Error(`The simulator has no account ${id}`);
    return found;
  };

  const crooked = (lies: Lies) => crookedSigner(lies, authority, head.signer);
  const post = openPost(options, faults, head, crooked, now, log);
  cleanup.defer(() => post.close());
  const material = { key: server.keyPem, cert: server.certificatePem, ca: authority.caPem };
  const smtp = await listenSmtp(options, faults, post, material);
  cleanup.defer(() => smtp.close());
  const imap = await listenImap(options, faults, post, material);
  cleanup.defer(() => imap.close());

  const simulator: Simulator = {
    ports: { smtp: smtp.port, imap: imap.port },
    directory,
    caPem: authority.caPem,
    caFile: authority.caFile,
    crlFile: authority.crlFile,
    crl: authority.crl,
    crlUrl,
    ocspUrl,
    timestamp,
    faults,
    revokeSigner: (at = now()) => revoke(new X509Certificate(head.signer.certificatePem), at),
    clientIdentity: (id) => authority.client(account(id).id),
    async deposit(id, bytes, envelopeTo) {
      const { uid } = await post.deposit(account(id).id, bytes, envelopeTo);
      return { uid };
    },
    messages: (id, mailbox) => post.mailboxes.open(id, mailbox).messages,
    read: (id, mailbox, uid) => post.mailboxes.open(id, mailbox).read(uid),
    login(id, level) {
      const holder = account(id);
      post.loggedIn({ account: holder, level: level ?? holder.level, mechanism: 'eID' });
    },
    identify: (id, to, card = 'identity') => post.identify(account(id), to, card),
    setClock(time) {
      clock.set(time);
      post.clockMoved();
    },
    renumber: (id, mailbox) => post.mailboxes.open(account(id).id, mailbox).renumber(),
    counts() {
      const counted = options.accounts.map(({ id }) => [
        id,
        Object.fromEntries(
          post.mailboxes.names(id).map((name) => [name, post.mailboxes.open(id, name).messages.length]),
        ),
      ]);
      return Object.fromEntries(counted);
    },
    settled: () => post.settled(),
    close: () => running.disposeAsync(),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
  const control = options.controlSocket ?? join(directory, 'control.sock');
  if (Buffer.byteLength(control) <= maxSocketPath) {
    cleanup.defer(await listenControl(control, simulator));
  } else {
    log.warn({ control }, 'path is too long for a socket: no orders are taken; set controlSocket');
  }
  const running = cleanup.move();
  return simulator;
}

const flaws: readonly (readonly [Lie, Flaw])[] = [
  ['self-signed-certificate', 'self-signed'],
  ['foreign-authority', 'foreign'],
  ['revoked-certificate', 'revoked'],
  ['expired-certificate', 'expired'],
];

/** The signer with the first flaw of those wanted; a wrong key is the honest key beside another's certificate. */
async function crookedSigner(lies: Lies, authority: Authority, sound: Signer): Promise<Signer> {
  const flaw = flaws.find(([lie]) => lies.has(lie))?.[1];
  const wrongKey = lies.has('wrong-key');
  if (!flaw && !wrongKey) return sound;
  const flawed = await authority.signer(sound.kind, sound.hash, flaw ?? 'other');
  return wrongKey ? { ...flawed, key: sound.key } : flawed;
}
