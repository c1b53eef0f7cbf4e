/**
 * What senders and operators are told about hand-overs: delay, failure, doubt, and how it was settled. RFC 3461
 * decides who wants to hear of what; reports are RFC 3464, so that clients and specialist applications read them.
 */
import type { TenantConfig } from '../config/schema.ts';
import type { Directory } from '../directory/directory.ts';
import type {
  ConfirmationEntry,
  Entry,
  HandoverSettledEntry,
  NoticeEntry,
  OverdueEntry,
  RecipientResult,
  SubmissionEntry,
} from '../evidence/entry.ts';
import { composeDsn, type DsnInput } from '../mime/dsn.ts';
import { headerEnd } from '../mime/header.ts';
import type { OutboxItem, Store } from '../store/store.ts';
import type { Clock } from './clock.ts';
import { composeMail, deliver, letterhead, routeToOperators } from './notices.ts';
import { routeToSender } from './route.ts';
import { type About, disputedText, doubtText, overdueText, settledText, type Text } from './texts.ts';

type Letter = Entry & SubmissionEntry;

export interface Reports {
  /** Once for each of the hours named. */
  delayed(item: OutboxItem, hours: number, lastReply: string): Promise<void>;
  /** The provider, or the gateway, refused these recipients for good. */
  failed(letter: Letter, transaction: number, results: readonly RecipientResult[]): Promise<void>;
  /** Handed over; only for those recipients for whom NOTIFY=SUCCESS was asked. */
  relayed(letter: Letter, transaction: number, results: readonly RecipientResult[]): Promise<void>;
  /** The time for retries is over. */
  expired(item: OutboxItem, lastReply: string): Promise<void>;
  inDoubt(item: OutboxItem, reply: string): Promise<void>;
  settled(item: OutboxItem, how: Pick<HandoverSettledEntry, 'decision' | 'by' | 'reason'>): Promise<void>;
  /** A confirmation that was asked for has not come in time. */
  overdue(overdue: Omit<OverdueEntry, 'kind'>): Promise<void>;
  /** A confirmation that counted provisionally turned out invalid. */
  disputed(entry: Entry & ConfirmationEntry, reason: string): Promise<void>;
}

export interface ReportDeps {
  readonly store: Store;
  readonly directory: () => Directory;
  readonly tenant: string;
  readonly hostname: string;
  readonly clock: Clock;
}

/** A message returned in full (RET=FULL) is cut to its header above this many bytes. */
const longestReturn = 256 * 1024;

export function createReports(deps: ReportDeps): Reports {
  const { store, tenant, clock, hostname } = deps;

  async function letterOf(item: OutboxItem): Promise<Letter | null> {
    return store.submissionOf(tenant, item.letter);
  }

  /** A delivery status report (RFC 3464) into the sender's INBOX. */
  async function report(
    letter: Letter,
    results: readonly RecipientResult[],
    kind: { readonly action: 'failed' | 'delayed' | 'relayed'; readonly once: string; readonly until?: Date },
  ): Promise<void> {
    const config = deps.directory().tenant(tenant);
    if (config === undefined || results.length === 0) return;
    const { action, once, until } = kind;
    const bytes = composeDsn({
      ...letterhead(hostname, new Date(clock.now())),
      to: [{ address: letter.header.from ?? letter.envelope.from }],
      inReplyTo: letter.header.messageId,
      language: config.language,
      reportingMta: hostname,
      envid: letter.envelope.envid ?? null,
      arrivalDate: new Date(letter.time),
      letterSubject: letter.header.subject,
      recipients: results.map(({ address, reply }) => ({
        address,
        orcpt: envelopeOf(letter, address)?.orcpt ?? null,
        action,
        status: /^\d{3}[ -](\d\.\d{1,3}\.\d{1,3})\b/.exec(reply)?.[1] ?? null,
        diagnostic: reply,
        willRetryUntil: until ?? null,
      })),
      original: await returned(letter),
    });
    await deliver(store, config, routeToSender(deps.directory(), config, letter), {
      letter: letter.index,
      about: action,
      text: `${results.map((r) => r.address).join(', ')}: ${results[0]!.reply}`,
      bytes,
      once,
    });
  }

  /** RET=FULL gives the message back, otherwise its header (RFC 3461 4.3). */
  async function returned(letter: Letter): Promise<DsnInput['original']> {
    const object = await store.object(tenant, letter.message.object);
    if (object === null) return { headers: Buffer.alloc(0) };
    const chunks: Buffer[] = [];
    for await (const chunk of object.read(0, longestReturn)) chunks.push(chunk);
    const bytes = Buffer.concat(chunks);
    const full = letter.envelope.ret?.toUpperCase() === 'FULL' && object.size <= longestReturn;
    return full ? { message: bytes } : { headers: bytes.subarray(0, headerEnd(bytes)) };
  }

  /** A plain mail to the sender and to the operators, who must decide. */
  async function tellBoth(
    item: OutboxItem,
    about: 'in-doubt' | 'settled',
    summary: string,
    reply: string,
    text: (language: TenantConfig['language'], told: About) => Text,
  ): Promise<void> {
    const config = deps.directory().tenant(tenant);
    const letter = await letterOf(item);
    if (config === undefined || letter === null) return;
    const directory = deps.directory();
    const toSender = routeToSender(directory, config, letter);
    const toOperators = routeToOperators(directory, config);
    const name = `${about}/${item.transaction}/${item.attempts}`;
    const told: About = {
      subject: letter.header.subject,
      recipients: item.recipients,
      letter: `${tenant}/${item.letter}`,
      reply,
    };
    const mail = (to: readonly string[], about: About) =>
      composeMail(hostname, new Date(clock.now()), to, text(config.language, about), letter.header.messageId);
    const common = { letter: item.letter, about, text: summary };
    const sender = letter.header.from ?? letter.envelope.from;
    await deliver(store, config, toSender, {
      ...common,
      bytes: mail([sender], told),
      once: `${name}/sender`,
    });
    // Operators need the number of the letter, not what it is about.
    const bare = { ...told, subject: null };
    await deliver(store, config, toOperators, {
      ...common,
      bytes: mail(config.operators, bare),
      once: `${name}/operators`,
    });
  }

  /** A plain mail to whoever sent the letter. */
  async function tellSender(
    index: number,
    told: { readonly about: NoticeEntry['about']; readonly summary: string; readonly once: string } & Pick<
      About,
      'recipients' | 'reply'
    >,
    text: (language: TenantConfig['language'], about: About) => Text,
  ): Promise<void> {
    const config = deps.directory().tenant(tenant);
    const letter = await store.submissionOf(tenant, index);
    if (config === undefined || letter === null) return;
    const { recipients, reply, about, summary, once } = told;
    const named = { subject: letter.header.subject, recipients, reply, letter: `${tenant}/${index}` };
    const to = [letter.header.from ?? letter.envelope.from];
    const mail = text(config.language, named);
    await deliver(store, config, routeToSender(deps.directory(), config, letter), {
      letter: index,
      about,
      text: summary,
      bytes: composeMail(hostname, new Date(clock.now()), to, mail, letter.header.messageId),
      once,
    });
  }

  return {
    overdue: ({ letter, confirmation, recipients, since }) =>
      tellSender(
        letter,
        {
          about: 'overdue',
          summary: `${confirmation} confirmation overdue: ${recipients.join(', ')}`,
          once: `overdue/${confirmation}/${[...recipients].sort().join(',')}`,
          recipients,
          reply: '-',
        },
        (language, about) => overdueText(language, about, confirmation, since),
      ),
    async disputed({ letter, index, confirmation, recipients }, reason) {
      if (letter === null) return;
      await tellSender(
        letter,
        {
          about: 'disputed',
          summary: `${confirmation} confirmation in ${tenant}/${index} is invalid: ${reason}`,
          once: `disputed/${index}`,
          recipients,
          reply: reason,
        },
        (language, about) => disputedText(language, about, confirmation),
      );
    },
    async delayed(item, hours, lastReply) {
      const letter = await letterOf(item);
      const config = deps.directory().tenant(tenant);
      if (letter === null || config === undefined) return;
      const results = item.recipients
        .filter((address) => wants(letter, address, 'DELAY'))
        .map((address) => ({ address, result: 'deferred', reply: lastReply }) as const);
      await report(letter, results, {
        action: 'delayed',
        once: `delayed/${item.transaction}/${hours}`,
        until: new Date(item.acceptedAt + config.provider.retryFor),
      });
    },
    async failed(letter, transaction, results) {
      const told = results.filter((r) => wants(letter, r.address, 'FAILURE'));
      await report(letter, told, {
        action: 'failed',
        once: nameOf('failed', transaction, told),
      });
    },
    async relayed(letter, transaction, results) {
      const told = results.filter((r) => wants(letter, r.address, 'SUCCESS'));
      await report(letter, told, {
        action: 'relayed',
        once: nameOf('relayed', transaction, told),
      });
    },
    async expired(item, lastReply) {
      const letter = await letterOf(item);
      if (letter === null) return;
      const results = item.recipients
        .filter((address) => wants(letter, address, 'FAILURE'))
        .map((address) => ({ address, result: 'refused', reply: lastReply }) as const);
      await report(letter, results, {
        action: 'failed',
        once: nameOf('expired', item.transaction, results),
      });
    },
    inDoubt: (item, reply) => tellBoth(item, 'in-doubt', `in doubt: ${reply}`, reply, doubtText),
    settled: (item, { decision, by, reason }) =>
      tellBoth(item, 'settled', `${decision} (${by}): ${reason}`, reason, (language, told) =>
        settledText(language, told, decision),
      ),
  };
}

function envelopeOf(letter: SubmissionEntry, address: string) {
  const wanted = address.toLowerCase();
  return letter.envelope.recipients.find((r) => r.address.toLowerCase() === wanted);
}

/** RFC 3461 4.1: without NOTIFY, failures and delays are told. */
function wants(
  letter: SubmissionEntry,
  address: string,
  condition: 'FAILURE' | 'DELAY' | 'SUCCESS',
): boolean {
  const notify = envelopeOf(letter, address)?.notify;
  if (notify === undefined || notify.length === 0) return condition !== 'SUCCESS';
  return notify.includes(condition);
}

/** The same recipients are told the same only once, also when a crash makes it be tried again. */
function nameOf(what: string, transaction: number, results: readonly RecipientResult[]): string {
  return `${what}/${transaction}/${results
    .map((r) => r.address)
    .sort()
    .join(',')}`;
}
