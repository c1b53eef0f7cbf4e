/**
 * The provider's sorting office: secures what its customers hand over, lays it into mailboxes, and issues
 * confirmations and notifications (TR-01201 FU 6.2 to 6.6).
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Log } from '../observe/log.ts';
import { checkDraft, type Draft, type Login, ownsAddress, Refusal } from './draft.ts';
import { headerBytes, headerValue, makeField, splitMessage, topmost } from './header.ts';
import { reseal, type Sealed } from './integrity.ts';
import { type Lie, type Lies, openMemory, stranger } from './lies.ts';
import { type Mailbox, openMailbox, type StoredMessage } from './mailbox.ts';
import type { Account, ConfirmationKind, Faults, SimulatorOptions } from './options.ts';
import { openQuota } from './quota.ts';
import { addressOf, mailboxesOf } from './recipients.ts';
import { type Secured, secureDraft } from './secure.ts';
import type { Signer } from './signer.ts';
import {
  type ConfirmationOrder,
  composeConfirmation,
  composeNotification,
  type Letterhead,
  type NotificationOrder,
  norm,
} from './system-mail.ts';
import { holdsMalware, type Obstacle, obstacleTo } from './undeliverable.ts';

export interface Post {
  /**
   * Takes a message: after it resolves, the secured copy lies in the sender's Sent folder and delivery is
   * under way.
   * @throws Refusal
   */
  accept(bytes: Buffer, rcptTo: readonly string[], login: Login): Promise<void>;
  /** Is an account of that behaviour among the recipients? */
  reaches(behaviour: Account['behaviour'], rcptTo: readonly string[]): boolean;
  /** FU 3.3.5: the first login at level high after deposit confirms what lies there. */
  loggedIn(login: Login): void;
  /** Lays bytes into an INBOX as they are; `envelopeTo` puts that header on top. */
  deposit(account: string, bytes: Uint8Array, envelopeTo?: string): Promise<StoredMessage>;
  mailbox(account: string, name: string): Mailbox;
  /** INBOX, Sent, and what the customer made. */
  mailboxNames(account: string): readonly string[];
  /** Resolves when everything under way, delayed confirmations included, has been done. */
  settled(): Promise<void>;
  /** Drops what is only waiting for its time, lets the rest finish. */
  close(): Promise<void>;
}

const firstMailboxes = ['INBOX', 'Sent'];

export function openPost(
  options: SimulatorOptions,
  faults: Faults,
  head: Letterhead,
  crookedSigner: (lies: Lies) => Promise<Signer>,
  now: () => Date,
  log: Log,
): Post {
  const mailboxes = new Map<string, Mailbox>();
  const names = new Map<string, string[]>();
  const closing = new AbortController();
  const jobs = new Set<Promise<void>>();
  const slowAttempts = new Map<string, number>();
  const failures: Error[] = [];
  const memory = openMemory<Sealed>();
  const quota = openQuota(join(options.directory, 'quota.json'), options.quota, now);

  function mailbox(account: string, name: string): Mailbox {
    const key = `${account}/${name}`;
    const known = mailboxes.get(key);
    if (known) return known;
    if (!options.accounts.some(({ id }) => id === account)) throw new Error(`No account ${account}`);
    const folder = join(options.directory, 'mail', account, name);
    const made = openMailbox(folder, name, Math.floor(now().getTime() / 1000));
    mailboxes.set(key, made);
    if (!names.get(account)?.includes(name)) names.set(account, [...(names.get(account) ?? []), name]);
    return made;
  }

  function accountOf(address: string): Account | undefined {
    return options.accounts.find((account) => ownsAddress(account, address));
  }

  function reaches(behaviour: Account['behaviour'], rcptTo: readonly string[]): boolean {
    return rcptTo.some((address) => accountOf(address.toLowerCase())?.behaviour === behaviour);
  }

  /** Runs in the background; close() and settled() wait for it. */
  function start(work: () => Promise<void>, afterMs = 0): void {
    const job = (afterMs > 0 ? pause(afterMs, closing.signal) : Promise.resolve(true))
      .then((due) => (due ? work() : undefined))
      .catch((error: Error) => {
        failures.push(error);
        log.error({ cause: error.message }, 'the simulator failed inside');
      })
      .finally(() => jobs.delete(job));
    jobs.add(job);
  }

  async function layIntoInbox(account: Account, address: string, message: Sealed, awaitsRetrieval = false) {
    const returnPath = headerValue(message.fields, 'X-de-mail-sender') ?? '';
    // IO 3.1.22: whatever was there goes, then RCPT TO is noted.
    const without = message.fields.filter((field) => !/^(envelope-to|return-path)$/i.test(field.name));
    const fields = [
      makeField('Return-Path', `<${returnPath}>`),
      makeField('Envelope-to', address),
      ...without,
    ];
    const how = { receivedAt: now().getTime(), awaitsRetrieval, needsHigh: isPrivate(message.fields) };
    return mailbox(account.id, 'INBOX').append([headerBytes(fields), message.body], how);
  }

  async function layFor(address: string, message: Sealed): Promise<void> {
    const account = accountOf(address);
    if (account) await layIntoInbox(account, address, message);
  }

  async function confirm(
    kind: ConfirmationKind | 'malware',
    original: Sealed['fields'],
    recipients: readonly string[],
    time: Date,
    deliveredAt?: Date,
  ): Promise<void> {
    if (kind !== 'malware' && faults.withhold.includes(kind)) return;
    if (faults.delayConfirmationsMs > 0 && !(await pause(faults.delayConfirmationsMs, closing.signal)))
      return;
    const to = confirmationAddress(original);
    const order = { kind, original, to, recipients, time, ...(deliveredAt ? { deliveredAt } : {}) };
    const addresses = kind === 'dispatch' ? [to] : [to, ...recipients];
    for (const confirmation of await composed(order)) {
      for (const address of addresses) await layFor(address, confirmation);
    }
  }

  /** One confirmation, unless the provider is broken or lies. */
  async function composed(honestOrder: ConfirmationOrder): Promise<Sealed[]> {
    const lies = new Set(faults.lies);
    const previous = memory.previousLetter(honestOrder.original);
    const order: ConfirmationOrder = {
      ...honestOrder,
      ...(previous && lies.has('swapped') ? { about: previous } : {}),
      ...(previous && lies.has('private-id') ? { privateIdOf: previous } : {}),
    };
    const letterhead = { ...head, signer: await crookedSigner(lies) };
    const compose = (wanted: ConfirmationOrder) => composeConfirmation(wanted, letterhead, lies);
    const first = await compose(order);
    const before = memory.previousConfirmation(order.kind, first);
    return [
      first,
      ...(faults.duplicateConfirmations ? [first] : []),
      ...(before && lies.has('replayed') ? [before] : []),
      ...(lies.has('replayed-renamed') ? [await compose(order)] : []),
      ...(lies.has('stranger') ? [await compose({ ...order, recipients: [stranger] })] : []),
    ];
  }

  /** The recipient's copy of a letter, as a provider shows it who lies about letters too. */
  async function shown(message: Secured): Promise<Sealed> {
    const lies = new Set<Lie>(faults.lies);
    if (lies.size === 0) return message;
    const signed = topmost(message.fields, 'X-de-mail-signature-certificate') !== undefined;
    return reseal(message, {
      domain: head.provider,
      selector: norm.selector,
      hash: head.hash,
      lies,
      ...(signed ? { signer: await crookedSigner(lies) } : {}),
    });
  }

  async function tell(
    original: Sealed['fields'],
    order: Pick<NotificationOrder, 'type' | 'subject' | 'text' | 'cc' | 'signed' | 'malware'>,
  ): Promise<void> {
    const to = confirmationAddress(original);
    const notification = await composeNotification({ ...order, original, to, time: now() }, head);
    for (const address of [to, ...(order.cc ?? [])]) await layFor(address, notification);
  }

  function notify(original: Sealed['fields'], address: string, obstacle: Obstacle): Promise<void> {
    const { type, subject, text, toBoth = false } = obstacle;
    return tell(original, { type, subject, text, signed: toBoth, ...(toBoth ? { cc: [address] } : {}) });
  }

  /** FU 6.5, step 56: a signed confirmation instead of the plain notification where one was asked for. */
  async function warn(message: Secured, draft: Draft, address: string): Promise<void> {
    const { dispatch, receipt, retrieval } = draft.options;
    if (dispatch || receipt || retrieval) {
      return confirm('malware', message.fields, [address], now());
    }
    await tell(message.fields, {
      type: 'other',
      subject: 'Schadsoftware-Warnung',
      text: `In der Nachricht an ${address} wurde Schadsoftware gefunden. Die Nachricht wurde gelöscht.`,
      cc: [address],
      malware: true,
    });
  }

  async function deliver(message: Secured, draft: Draft, address: string): Promise<void> {
    const account = accountOf(address);
    const obstacle = obstacleTo(address, account, draft.options.private);
    if (obstacle || !account) return notify(message.fields, address, obstacle!);
    if (account.behaviour === 'malware' || holdsMalware(message.body)) return warn(message, draft, address);
    await layIntoInbox(account, address, await shown(message), draft.options.retrieval);
    if (draft.options.receipt) {
      const time = now();
      const delay = account.behaviour === 'slow' ? options.slow.receiptDelayMs : 0;
      start(() => confirm('receipt', message.fields, [address], time), delay);
    }
    scheduleLogin(account);
  }

  function scheduleLogin(account: Account): void {
    if (account.logsInAfterMs === undefined || account.level !== 'high') return;
    const login: Login = { account, level: 'high', mechanism: 'eID' };
    start(async () => loggedIn(login), account.logsInAfterMs);
  }

  function loggedIn({ account, level }: Login): void {
    if (level !== 'high' || faults.withhold.includes('retrieval')) return;
    const inbox = mailbox(account.id, 'INBOX');
    for (const waiting of inbox.messages.filter((message) => message.awaitsRetrieval)) {
      inbox.retrievalConfirmed(waiting.uid);
      const time = now();
      start(async () => {
        const { fields } = splitMessage(await inbox.read(waiting.uid));
        const address = addressOf(headerValue(fields, 'Envelope-to') ?? '');
        if (address === undefined) return;
        await confirm('retrieval', fields, [address], time, new Date(waiting.receivedAt));
      });
    }
  }

  /** An attempt is known by private-id or Message-ID. */
  function deferIfSlow(bytes: Buffer, rcptTo: readonly string[], login: Login): void {
    if (!reaches('slow', rcptTo)) return;
    const { fields } = splitMessage(bytes);
    const name = topmost(fields, 'X-de-mail-private-id') ?? topmost(fields, 'Message-ID');
    const key = `${login.account.id} ${name?.raw}`;
    const attempts = (slowAttempts.get(key) ?? 0) + 1;
    slowAttempts.set(key, attempts);
    if (attempts <= options.slow.refusals) {
      throw new Refusal(451, '4.2.1', `Mailbox is busy, attempt ${attempts}; try again`);
    }
    slowAttempts.delete(key);
  }

  for (const account of options.accounts) {
    const folder = join(options.directory, 'mail', account.id);
    const made = existsSync(folder) ? readdirSync(folder) : [];
    for (const name of new Set([...firstMailboxes, ...made])) mailbox(account.id, name);
    if (mailbox(account.id, 'INBOX').messages.some((message) => message.awaitsRetrieval))
      scheduleLogin(account);
  }

  return {
    mailbox,
    mailboxNames: (account) => names.get(account) ?? [],
    reaches,
    async accept(bytes, rcptTo, login) {
      deferIfSlow(bytes, rcptTo, login);
      const { fields, body } = splitMessage(bytes);
      const draft = checkDraft(fields, rcptTo, login, options);
      quota.count(login, rcptTo.length);
      const time = now();
      for (const message of secureDraft(fields, body, draft, login, head, time)) {
        const sent = mailbox(login.account.id, 'Sent');
        await sent.append([message.header, message.body], { receivedAt: time.getTime(), flags: ['\\Seen'] });
        start(async () => {
          if (draft.options.dispatch) {
            start(() => confirm('dispatch', message.fields, message.recipients, time));
          }
          for (const address of message.recipients) await deliver(message, draft, address);
        });
      }
    },
    loggedIn,
    deposit(account, bytes, envelopeTo) {
      const top = envelopeTo === undefined ? [] : [Buffer.from(`Envelope-to: ${envelopeTo}\r\n`)];
      const needsHigh = isPrivate(splitMessage(Buffer.from(bytes)).fields);
      return mailbox(account, 'INBOX').append([...top, bytes], { receivedAt: now().getTime(), needsHigh });
    },
    async settled() {
      while (jobs.size > 0) await Promise.all(jobs);
      if (failures.length > 0) throw new AggregateError(failures.splice(0), 'The simulator failed inside');
    },
    async close() {
      closing.abort();
      while (jobs.size > 0) await Promise.all(jobs);
    },
  };
}

/** Confirmations go to Reply-To where there is one: FU 5.1, no. 10. */
function confirmationAddress(original: Sealed['fields']): string {
  const replyTo = mailboxesOf(headerValue(original, 'Reply-To') ?? '')?.[0];
  return replyTo ?? addressOf(headerValue(original, 'X-de-mail-sender') ?? '') ?? '';
}

function isPrivate(fields: Sealed['fields']): boolean {
  return headerValue(fields, 'X-de-mail-private') === 'yes';
}

/** Resolves to true after the time, to false as soon as the signal aborts. */
function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  if (signal.aborted) return Promise.resolve(false);
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => {
    signal.removeEventListener('abort', stop);
    resolve(true);
  }, ms);
  function stop(): void {
    clearTimeout(timer);
    resolve(false);
  }
  signal.addEventListener('abort', stop, { once: true });
  return promise;
}
