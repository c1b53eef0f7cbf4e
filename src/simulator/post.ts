/**
 * The provider's sorting office: takes what its customers hand over (TR-01201 FU 6.2), and sees to it that
 * delivery, confirmations and retrieval come in their time, over restarts too.
 */
import { join } from 'node:path';
import type { Log } from '../observe/log.ts';
import { openAgenda } from './agenda.ts';
import { type DeliveryDeps, deliver } from './delivery.ts';
import { checkDraft, type Login, Refusal } from './draft.ts';
import { type Field, headerValue, splitMessage, topmost } from './header.ts';
import { addressOfAccount, type CardName, identityCard } from './identity-card.ts';
import type { Sealed } from './integrity.ts';
import { confirmationAddress, openIssuing } from './issuing.ts';
import type { Lies } from './lies.ts';
import type { StoredMessage } from './mailbox.ts';
import { type Mailboxes, openMailboxes, protection } from './mailboxes.ts';
import {
  type Account,
  type ConfirmationKind,
  type Faults,
  ownsAddress,
  type SimulatorOptions,
} from './options.ts';
import { openQuota } from './quota.ts';
import { addressOf } from './recipients.ts';
import { secureDraft } from './secure.ts';
import type { Signer } from './signer.ts';
import type { Letterhead } from './system-message.ts';

export interface Post {
  readonly mailboxes: Mailboxes;
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
  /** The holder has himself identified to an address: TR-01201 ID IO. */
  identify(account: Account, to: string, card: CardName): void;
  /** Lays bytes into an INBOX as they are; `envelopeTo` puts that header on top. */
  deposit(account: string, bytes: Uint8Array, envelopeTo?: string): Promise<StoredMessage>;
  now(): Date;
  clockMoved(): void;
  /** Resolves when everything under way, delayed confirmations included, has been done. */
  settled(): Promise<void>;
  /** Finishes what is being done; what waits for its time is done by the next run. */
  close(): Promise<void>;
}

/** What is kept on disk until it is done. Times in milliseconds since 1970. */
type Job =
  | { do: 'deliver'; account: string; uid: number; to: string }
  | {
      do: 'confirm';
      kind: ConfirmationKind;
      original: readonly Field[];
      recipients: readonly string[];
      time: number;
      deliveredAt?: number;
    }
  | { do: 'retrieve'; account: string; uid: number; time: number; deliveredAt: number }
  | { do: 'login'; account: string }
  | { do: 'identify'; account: string; to: string; card: CardName; time: number };

export function openPost(
  options: SimulatorOptions,
  faults: Faults,
  head: Letterhead,
  crookedSigner: (lies: Lies) => Promise<Signer>,
  now: () => Date,
  log: Log,
): Post {
  const slowAttempts = new Map<string, number>();
  const quota = openQuota(join(options.directory, 'quota.json'), options.quota, now);
  const mailboxes = openMailboxes(options, now);
  const issuing = openIssuing(faults, head, crookedSigner, layFor, now);
  const agenda = openAgenda<Job, Sealed>(join(options.directory, 'agenda.jsonl'), now, perform, (error) =>
    log.error({ cause: error.message }, 'the simulator failed inside'),
  );
  const delivery: DeliveryDeps = {
    mailboxes,
    issuing,
    accountOf,
    now,
    received(message, address, account) {
      const delay = account.behaviour === 'slow' ? options.slow.receiptDelayMs : 0;
      confirm({ kind: 'receipt', original: message.fields, recipients: [address], time: now() }, delay);
    },
    deposited(account, message) {
      scheduleLogin(account);
      if (account.behaviour === 'identifies')
        identify(account, confirmationAddress(message.fields), 'identity');
    },
  };

  function accountOf(address: string): Account | undefined {
    return options.accounts.find((account) => ownsAddress(account, address));
  }

  function reaches(behaviour: Account['behaviour'], rcptTo: readonly string[]): boolean {
    return rcptTo.some((address) => accountOf(address.toLowerCase())?.behaviour === behaviour);
  }

  async function layFor(address: string, message: Sealed): Promise<void> {
    const account = accountOf(address);
    if (account) await mailboxes.layIntoInbox(account, address, message);
  }

  async function perform(job: Job, live: Sealed | undefined): Promise<void> {
    switch (job.do) {
      case 'deliver':
        return deliver(live ?? (await kept(job.account, 'Sent', job.uid)), job.to, delivery);
      case 'confirm': {
        const { kind, original, recipients, time, deliveredAt } = job;
        const deposited = deliveredAt === undefined ? {} : { deliveredAt: new Date(deliveredAt) };
        return issuing.confirm({ kind, original, recipients, time: new Date(time), ...deposited });
      }
      case 'retrieve': {
        const { fields } = await kept(job.account, 'INBOX', job.uid);
        const address = addressOf(headerValue(fields, 'Envelope-to') ?? '');
        if (address === undefined) return;
        const { deliveredAt } = job;
        const order = { original: fields, recipients: [address], time: new Date(job.time), deliveredAt };
        return confirm({ kind: 'retrieval', ...order }, faults.delayRetrievalsMs);
      }
      case 'login': {
        const account = options.accounts.find(({ id }) => id === job.account);
        if (account) loggedIn({ account, level: 'high', mechanism: 'eID' });
        return;
      }
      case 'identify': {
        const account = options.accounts.find(({ id }) => id === job.account);
        if (!account) return;
        const time = new Date(job.time);
        const card = identityCard(account, job.card, time);
        return issuing.identify({ subject: addressOfAccount(account), audience: job.to, card, time });
      }
    }
  }

  function identify(account: Account, to: string, card: CardName): void {
    if (account.level !== 'high')
      throw new Error(`${account.id} cannot log in at level high: no identification`);
    identityCard(account, card, now());
    agenda.add({ do: 'identify', account: account.id, to, card, time: now().getTime() });
  }

  async function kept(account: string, name: string, uid: number): Promise<Sealed> {
    const bytes = await mailboxes.open(account, name).read(uid);
    const { fields, body } = splitMessage(bytes);
    return { fields, body, header: bytes.subarray(0, bytes.length - body.length) };
  }

  function confirm(
    order: Omit<Extract<Job, { do: 'confirm' }>, 'do' | 'time'> & { time: Date },
    afterMs: number,
  ): void {
    if (faults.withhold.includes(order.kind)) return;
    const time = order.time.getTime();
    agenda.add({ do: 'confirm', ...order, time }, afterMs + faults.delayConfirmationsMs);
  }

  function scheduleLogin(account: Account): void {
    if (account.logsInAfterMs === undefined || account.level !== 'high') return;
    agenda.add({ do: 'login', account: account.id }, account.logsInAfterMs);
  }

  function loggedIn({ account, level }: Login): void {
    if (level !== 'high' || faults.withhold.includes('retrieval')) return;
    const inbox = mailboxes.open(account.id, 'INBOX');
    const time = now().getTime();
    for (const { uid, receivedAt } of inbox.messages.filter((message) => message.awaitsRetrieval)) {
      agenda.add({ do: 'retrieve', account: account.id, uid, time, deliveredAt: receivedAt });
      inbox.retrievalConfirmed(uid);
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

  agenda.start();
  return {
    mailboxes,
    reaches,
    now,
    async accept(bytes, rcptTo, login) {
      deferIfSlow(bytes, rcptTo, login);
      const { fields, body } = splitMessage(bytes);
      const draft = checkDraft(fields, rcptTo, login, options);
      quota.count(login, rcptTo.length);
      const time = now();
      const account = login.account.id;
      for (const message of secureDraft(fields, body, draft, login, head, time)) {
        const { recipients } = message;
        const copy = { receivedAt: time.getTime(), flags: ['\\Seen'] };
        const { uid } = await mailboxes.open(account, 'Sent').append([message.header, message.body], copy);
        for (const to of recipients) agenda.add({ do: 'deliver', account, uid, to }, 0, message);
        if (draft.options.dispatch) {
          confirm({ kind: 'dispatch', original: message.fields, recipients, time }, 0);
        }
      }
    },
    loggedIn,
    identify,
    deposit(account, bytes, envelopeTo) {
      const top = envelopeTo === undefined ? [] : [Buffer.from(`Envelope-to: ${envelopeTo}\r\n`)];
      const marks = protection(splitMessage(Buffer.from(bytes)).fields);
      return mailboxes
        .open(account, 'INBOX')
        .append([...top, bytes], { receivedAt: now().getTime(), ...marks });
    },
    clockMoved: () => agenda.clockMoved(),
    settled: () => agenda.settled(),
    close: () => agenda.close(),
  };
}
