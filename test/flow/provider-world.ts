/** A gateway's provider link between a real store and a simulated provider, for the flow tests. */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { planTransactions } from '../../src/demail/handover.ts';
import type { Directory } from '../../src/directory/directory.ts';
import type { DispatchOption, Entry, EnvelopeRecipient } from '../../src/evidence/entry.ts';
import { headerEnd, parseHeader } from '../../src/mime/header.ts';
import type { Clock } from '../../src/observe/clock.ts';
import { silentLog } from '../../src/observe/log.ts';
import { type LinkDeps, type ProviderLink, startProviderLink } from '../../src/provider/link.ts';
import { stageMessage } from '../../src/provider/staging.ts';
import { type TestTenants, testDirectory } from '../../src/provider/testing/tenants.ts';
import { type Simulator, startSimulator } from '../../src/simulator/simulator.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import type { MailboxOwner, Store } from '../../src/store/store.ts';

export const erika: MailboxOwner = { type: 'user', name: 'erika@stadt.example' };
export const jan: MailboxOwner = { type: 'user', name: 'jan@stadt.example' };
export const poststelle: MailboxOwner = { type: 'shared', name: 'Poststelle' };
export const max = 'max.mustermann@buerger.de-mail.example';
export const erna = 'erna.schmidt@buerger.de-mail.example';

/** Far longer than anything takes on a busy machine, ms; what does not come by then never comes. */
const longestWait = 60_000;

export interface Letter {
  readonly tenant?: 'stadt' | 'dorf';
  readonly user?: string;
  readonly rcpt?: readonly (string | EnvelopeRecipient)[];
  readonly to?: string;
  readonly cc?: string;
  readonly options?: readonly DispatchOption[];
  readonly body?: string;
  readonly subject?: string;
  readonly messageId?: string;
  readonly ret?: string;
  readonly envid?: string;
  /** The message itself, instead of one made from the other fields. */
  readonly bytes?: Buffer;
}

export interface World extends AsyncDisposable {
  readonly store: Store;
  readonly directory: string;
  /** Changes what the link sees from now on. */
  useTenants(tenants: TestTenants): void;
  startLink(deps?: Partial<LinkDeps>): Promise<ProviderLink>;
  /** Puts a letter into the store as the listener does; returns its index. */
  submit(letter?: Letter): Promise<number>;
  /** Resolves when the condition holds; looked at after every commit. @throws Error that quotes it, after a minute */
  until<T>(condition: () => Promise<T | null | undefined | false>): Promise<T>;
  entries(tenant?: string): Promise<Entry[]>;
  /** Messages of a mailbox as clients see them, oldest first. */
  mails(owner: MailboxOwner, mailbox: string, tenant?: string): Promise<Buffer[]>;
}

export async function openWorld(tenants: TestTenants = {}, clock?: Clock): Promise<World> {
  const directory = await mkdtemp(join(tmpdir(), 'provider-'));
  const store = await openSqliteStore({
    directory,
    originPrefix: 'gateway.example',
    ...(clock === undefined ? {} : { clock: () => clock.now() }),
  });
  const links: ProviderLink[] = [];
  /** Entries do not change: each is read once. */
  const read = new Map<string, Entry[]>();
  let current: Directory = testDirectory(tenants);
  for (const { id } of current.tenants) await store.openTenant(id);

  const world: World = {
    store,
    directory,
    useTenants(next) {
      current = testDirectory(next);
    },
    async startLink(deps = {}) {
      const link = await startProviderLink({
        store,
        directory: () => current,
        log: silentLog(),
        hostname: 'gateway.example',
        dataDir: directory,
        timeouts: { connect: 60_000, greeting: 60_000, silence: 60_000 },
        ...(clock === undefined ? {} : { clock }),
        random: () => 0.5,
        ...deps,
      });
      links.push(link);
      return link;
    },
    async submit(letter = {}) {
      const tenant = letter.tenant ?? 'stadt';
      const user = letter.user ?? `erika@${tenant}.example`;
      const recipients = (letter.rcpt ?? [max]).map((r) => (typeof r === 'string' ? { address: r } : r));
      const messageId = letter.messageId ?? `<${randomBytes(8).toString('hex')}@${tenant}.example>`;
      const subject = letter.subject ?? 'Bescheid';
      const bytes =
        letter.bytes ??
        Buffer.from(
          `From: <${user}>\r\nTo: ${letter.to ?? max}\r\n${letter.cc ? `Cc: ${letter.cc}\r\n` : ''}Subject: ${subject}\r\nMessage-ID: ${messageId}\r\nDate: Mon, 05 Jan 2026 08:00:00 +0100\r\n\r\n${letter.body ?? 'Guten Tag\r\n'}`,
        );
      const message = await stageMessage(store, tenant, [bytes]);
      const { letter: index } = await store.acceptSubmission(tenant, {
        actor: { type: 'user', name: user },
        listener: 'submission',
        envelope: {
          from: user,
          recipients,
          ...(letter.ret ? { ret: letter.ret } : {}),
          ...(letter.envid ? { envid: letter.envid } : {}),
        },
        sender: user.replace('.example', '.de-mail.example'),
        header: { messageId, subject, from: user, date: null },
        attachments: message.index.attachments,
        options: letter.options ?? ['dispatch', 'receipt'],
        removedHeaders: [],
        transactions: planTransactions({
          rcpt: recipients.map((r) => r.address),
          fields: parseHeader(bytes),
          random: randomBytes,
        }),
        message,
        deposits: [],
      });
      return index;
    },
    until(condition) {
      const { promise, resolve, reject } = Promise.withResolvers<never>();
      // One look at a time: what comes meanwhile asks for another one.
      let looking = false;
      let again = false;
      const look = async () => {
        again = looking;
        if (looking) return;
        looking = true;
        try {
          const value = await condition();
          if (value) resolve(value as never);
        } catch (error) {
          reject(error);
        }
        looking = false;
        if (again) void look();
      };
      const subscription = store.changes.subscribe(() => void look());
      // Commits are told, but the end of a doubt or of a wait elsewhere may not be one.
      const timer = setInterval(() => void look(), 25);
      const patience = setTimeout(
        () => reject(new Error(`did not come true within ${longestWait / 1000} s: ${condition}`)),
        longestWait,
      );
      void look();
      return promise.finally(() => {
        subscription[Symbol.dispose]();
        clearInterval(timer);
        clearTimeout(patience);
      });
    },
    async entries(tenant = 'stadt') {
      const { size } = await store.head(tenant);
      const known = read.get(tenant) ?? [];
      read.set(tenant, known);
      for (let i = known.length; i < size; i += 1) known[i] = (await store.entry(tenant, i))!;
      return known.slice(0, size);
    },
    async mails(owner, mailbox, tenant = 'stadt') {
      const info = await store.mailbox(tenant, owner, mailbox);
      if (info === null) return [];
      const rows = await store.messages(tenant, info.id);
      const contents = await store.contents(
        tenant,
        info.id,
        rows.map((row) => row.uid),
      );
      return Promise.all(
        contents.map(async ({ source }) => {
          const chunks: Buffer[] = [];
          for await (const chunk of store.readSource(tenant, source)) chunks.push(chunk);
          return Buffer.concat(chunks);
        }),
      );
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(links.map((link) => link.close(200)));
      await store[Symbol.asyncDispose]();
      await rm(directory, { recursive: true, force: true });
    },
  };
  return world;
}

export interface SimulatedProvider extends AsyncDisposable {
  readonly simulator: Simulator;
  /** Provider settings of both tenants, for `testDirectory`. */
  accounts(more?: object): Promise<NonNullable<TestTenants['provider']>>;
}

export async function openSimulator(): Promise<SimulatedProvider> {
  const directory = await mkdtemp(join(tmpdir(), 'simulator-'));
  const institution = (id: string) => ({
    id,
    holder: id,
    kind: 'institution' as const,
    domains: [`${id}.de-mail.example`],
  });
  const simulator = await startSimulator({
    directory,
    ports: { smtp: 0, imap: 0 },
    signature: 'p256',
    slow: { refusals: 2, receiptDelayMs: 0 },
    accounts: [
      institution('stadt'),
      institution('dorf'),
      { id: 'max.mustermann', holder: 'Max Mustermann', addresses: [max], logsInAfterMs: 0 },
      { id: 'erna.schmidt', holder: 'Erna Schmidt', addresses: [erna], logsInAfterMs: 0 },
    ],
  });
  return {
    simulator,
    async accounts(more = {}) {
      const account = async (id: string) => {
        const identity = await simulator.clientIdentity(id);
        return {
          account: id,
          smtp: { host: '127.0.0.1', port: simulator.ports.smtp },
          imap: { host: '127.0.0.1', port: simulator.ports.imap },
          clientIdentity: { certificate: identity.certificateFile, key: identity.keyFile },
          trustAnchors: [simulator.caFile],
          ...more,
        };
      };
      return { stadt: await account('stadt'), dorf: await account('dorf') };
    },
    async [Symbol.asyncDispose]() {
      await simulator.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Value of a header of a message, unfolded; the topmost. */
export function headerOf(message: Buffer, name: string): string | undefined {
  return parseHeader(message).find((field) => field.lower === name.toLowerCase())?.value;
}

export function bodyOf(message: Buffer): string {
  return message.subarray(headerEnd(message)).toString('utf8');
}

export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
