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
import type { Clock } from '../observe/clock.ts';
import type { Log } from '../observe/log.ts';
import type { OutboxItem, Store } from '../store/store.ts';
import { createDeliveryReports, type DeliveryReports, wants } from './delivery-reports.ts';
import { composeMail, deliver, routeToOperators } from './notices.ts';
import { shownSubject } from './private-report.ts';
import { routeToSender } from './route.ts';
import { type About, disputedText, doubtText, overdueText, settledText, type Text } from './texts.ts';

type Letter = Entry & SubmissionEntry;

export interface Reports {
  /** Once for each of the hours named. */
  delayed(item: OutboxItem, hours: number, lastReply: string): Promise<void>;
  /** The provider, or the gateway, refused these recipients for good. */
  failed(letter: Letter, transaction: number, results: readonly RecipientResult[]): Promise<void>;
  /** Reports that belong to the commit of a hand-over. */
  handedOver: DeliveryReports['handedOver'];
  /** Reports that belong to the commit of a confirmation that counts. */
  confirmed: DeliveryReports['confirmed'];
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
  readonly log: Log;
}

export function createReports(deps: ReportDeps): Reports {
  const { store, tenant, clock, hostname } = deps;
  const composer = createDeliveryReports(deps);

  async function letterOf(item: OutboxItem): Promise<Letter | null> {
    return store.submissionOf(tenant, item.letter);
  }

  async function report(...about: Parameters<DeliveryReports['compose']>): Promise<void> {
    const composed = await composer.compose(...about);
    if (composed === null) return;
    const { once, ...notice } = composed;
    await store.deliverNotice(tenant, notice, once);
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
      subject: shownSubject(letter),
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
    const named = { subject: shownSubject(letter), recipients, reply, letter: `${tenant}/${index}` };
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
    handedOver: (letter, recipients) => composer.handedOver(letter, recipients),
    confirmed: (letter, confirmation) => composer.confirmed(letter, confirmation),
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

/** The same recipients are told the same only once, also when a crash makes it be tried again. */
function nameOf(what: string, transaction: number, results: readonly RecipientResult[]): string {
  return `${what}/${transaction}/${results
    .map((r) => r.address)
    .sort()
    .join(',')}`;
}
