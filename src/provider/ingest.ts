/**
 * One message from the provider into the store: staged while it arrives, read, matched to a letter, routed, and
 * recorded with its evidence in one commit. Reading may fail at any point; storing does not.
 */
import type { TenantConfig } from '../config/schema.ts';
import { type BlockInput, deliveredBlock } from '../demail/block.ts';
import type { Directory } from '../directory/directory.ts';
import { depositPlace, INBOX } from '../directory/mailboxes.ts';
import type { FetchedFrom } from '../evidence/entry.ts';
import { keywordOf, NOT_COUNTED, optionKeywords } from '../evidence/keywords.ts';
import { inspectSignatures } from '../inspection/sender-signatures.ts';
import { type HeaderField, parseHeader } from '../mime/header.ts';
import type { Clock } from '../observe/clock.ts';
import type { Log } from '../observe/log.ts';
import type { Fetched, Store } from '../store/store.ts';
import { createBinder, createBodyDigest } from './bind.ts';
import { endDisputes } from './disputes.ts';
import { createDoubts } from './doubts.ts';
import type { Incidents } from './incidents.ts';
import {
  checkFacts,
  type Judgement,
  judge,
  judgeWhilePassing,
  mayChange,
  nextLook,
  shortReason,
  stageMaterial,
} from './judge.ts';
import { type Match, matchLetter, notifiedRecipients } from './match.ts';
import type { PrivateMail } from './private-mail.ts';
import { createCapture, type Reading, readMessage } from './reading.ts';
import type { Reports } from './reports.ts';
import {
  fitsNobody,
  type Route,
  routeFallback,
  routeInbound,
  routeToRecipients,
  routeToSender,
} from './route.ts';
import type { Scanning } from './scanning.ts';
import type { Settlement } from './settle.ts';
import { stageMessage } from './staging.ts';
import { weighConfirmation } from './weigh.ts';

export interface Ingest {
  /**
   * Records the message unless it is recorded already; resolves after the commit.
   * @throws what the content or the store throws: then nothing was recorded
   */
  take(
    config: TenantConfig,
    source: FetchedFrom,
    content: AsyncIterable<Buffer>,
    fromSentFolder: boolean,
  ): Promise<void>;
  /** Indexes of what was recorded since the last call. */
  pickedUp(): readonly number[];
  /** A look at the whole account is complete. */
  roundEnded(): void;
}

export interface IngestDeps {
  readonly store: Store;
  readonly directory: () => Directory;
  readonly tenant: string;
  readonly reports: Pick<Reports, 'confirmed'>;
  readonly settlement: Settlement;
  readonly scanning: Pick<Scanning, 'first' | 'wake'>;
  readonly incidents: Incidents;
  readonly privateMail: PrivateMail;
  readonly log: Log;
  readonly clock: Clock;
  readonly dataDir: string;
}

/** The De-Mail that a recipient's confirmation speaks of may be fetched after it, ms. */
const letterMayCome = 60_000;
export function createIngest(deps: IngestDeps): Ingest {
  const { store, tenant, log, settlement } = deps;
  const binder = createBinder(store, tenant);
  const doubts = createDoubts(deps);
  let picked: number[] = [];

  async function record(message: Fetched): Promise<number | null> {
    const fetched = await deps.scanning.first(message);
    const recorded = await store.recordFetched(tenant, fetched);
    if (recorded === null) return null;
    if (fetched.hold) deps.scanning.wake();
    picked.push(recorded.index);
    const { source, kind } = fetched;
    log.info({ folder: source.folder, uid: source.uid, kind, index: recorded.index }, 'fetched');
    return recorded.index;
  }

  async function takeInbound(config: TenantConfig, reading: Reading, base: Base): Promise<void> {
    const route = routeInbound(deps.directory(), config, reading.addressed, reading.isPrivate);
    const { judgement, ...rest } = base;
    const index = await record({
      kind: 'inbound',
      ...rest,
      ...placing(config, reading, judgement, reading.isPrivate, route, { kind: 'inbound' }),
    });
    if (index !== null) await deps.privateMail.told(config, index, route);
  }

  async function takeConfirmation(config: TenantConfig, reading: Reading, base: Base): Promise<void> {
    const { confirmation, confirmationType } = reading;
    const weighed = await weighConfirmation(store, tenant, binder, reading, base.judgement);
    const { match, recipients, binding } = weighed;
    const isPrivate = aboutPrivate(reading, match);
    const received = routeToRecipients(deps.directory(), config, recipients, isPrivate);
    const route = routeAnswer(config, reading, match, received, recipients, isPrivate);
    const { judgement, ...rest } = base;
    const holds = binding === null || binding.counts !== 'no';
    const statedTime = confirmation?.statedTime ?? null;
    const provider = reading.facts.originatorProvider;
    const notices =
      match === null || !holds
        ? []
        : await deps.reports.confirmed(match.submission, {
            type: confirmationType!,
            recipients,
            statedTime,
            provider,
          });
    const index = await record({
      kind: 'confirmation',
      ...rest,
      ...(binding ?? {}),
      confirmation: confirmationType!,
      letter: weighed.letter,
      transaction: weighed.transaction,
      recipients,
      statedTime,
      notices,
      matchedBy: weighed.matchedBy,
      ...(binding === null && !fitsNobody(received) ? { reverifyAt: deps.clock.now() + letterMayCome } : {}),
      // What does not hold must not lead later ones to this letter either.
      ...(confirmation?.originalMessageId && holds && match !== null
        ? { originalMessageId: confirmation.originalMessageId }
        : {}),
      ...placing(config, reading, judgement, isPrivate, route, {
        ...blockOf(match, reading),
        counts: binding?.counts,
        recipients,
        statedTime,
      }),
    });
    if (index !== null) await deps.privateMail.told(config, index, route);
    if (index !== null && binding !== null) doubts.binding(index, binding);
    if (match !== null && holds) await settlement.byProvider(match.letter, match.transaction);
    if (holds && weighed.letter !== null) await endDisputes(deps, weighed.letter);
    // A confirmation about a letter that this tenant received fits a recipient, and is no riddle.
    if (binding !== null || index === null) return;
    if (fitsNobody(received)) doubts.unmatched(index);
    else if (judgement.verdict === 'invalid') {
      doubts.doesNotHold(index, shortReason(judgement) ?? '');
    }
  }

  async function takeNotification(config: TenantConfig, reading: Reading, base: Base): Promise<void> {
    const { messageType, notificationType } = reading.metadata;
    const match = await matchLetter(store, tenant, reading);
    const recipients = notifiedRecipients(reading, match);
    const isPrivate = aboutPrivate(reading, match);
    const route =
      match === null
        ? routeInbound(deps.directory(), config, reading.addressed, isPrivate)
        : routeToSender(deps.directory(), config, match.submission, isPrivate);
    const { judgement, ...rest } = base;
    const index = await record({
      kind: 'notification',
      ...rest,
      notification: [messageType, notificationType].filter(Boolean).join(': ').slice(0, 200),
      letter: match?.letter ?? null,
      transaction: match?.transaction ?? null,
      recipients,
      matchedBy: match?.matchedBy ?? null,
      ...placing(config, reading, judgement, isPrivate, route, {
        ...blockOf(match, reading),
        recipients,
      }),
    });
    if (index !== null) await deps.privateMail.told(config, index, route);
  }

  /** The provider's own copy: evidence, and the end of a doubt. Gesendet has its copy since the submission. */
  async function takeSentCopy(
    reading: Reading,
    { judgement: _, ...base }: Base,
    fields: readonly HeaderField[],
    bodySha256: string | null,
  ): Promise<void> {
    const match = await matchLetter(store, tenant, reading);
    const comparisons = match === null ? undefined : await binder.sentCopy(match, fields, bodySha256);
    const index = await record({
      kind: 'sent-copy',
      ...base,
      ...(comparisons === undefined ? {} : { comparisons }),
      letter: match?.letter ?? null,
      transaction: match?.transaction ?? null,
      ...(aboutPrivate(reading, match) ? { private: true } : {}),
      deposits: [],
    });
    const failed = comparisons?.find(({ result }) => result === 'failed');
    if (index !== null && failed !== undefined) {
      doubts.sentCopyDiffers(index, failed);
    }
    if (match !== null) await settlement.byProvider(match.letter, match.transaction);
  }

  function routeAnswer(
    config: TenantConfig,
    reading: Reading,
    match: Match | null,
    received: Route,
    recipients: readonly string[],
    isPrivate: boolean,
  ): Route {
    const directory = deps.directory();
    if (match !== null) {
      // Receipt and retrieval go to the recipient as well; both may be of this tenant, each with a copy.
      const own = reading.addressed.envelopeTo.filter((a) => directory.tenantOfAddress(a)?.id === tenant);
      const copyOfRecipient =
        own.length > 0 && own.every((a) => recipients.includes(a) && a !== match.submission.sender);
      return copyOfRecipient && !fitsNobody(received)
        ? received
        : routeToSender(directory, config, match.submission, isPrivate);
    }
    return fitsNobody(received) ? routeFallback(directory, config, isPrivate) : received;
  }

  return {
    async take(config, source, content, fromSentFolder) {
      const capture = createCapture();
      const now = deps.clock.now();
      const circumstances = { time: new Date(now), network: false };
      const judged = judgeWhilePassing(content, (chunks) => judge(deps, config, chunks, circumstances));
      const body = createBodyDigest();
      const staged = await stageMessage(store, tenant, judged.content, (chunk) => {
        capture.push(chunk);
        if (fromSentFolder) body.push(chunk);
      });
      const reading = readMessage(capture, staged.index);
      const judgement = await judged.verdict();
      const { signatures, material } = await inspectSignatures(deps, config, staged, new Date(now));
      const base: Base = {
        staged,
        source,
        header: reading.header,
        demail: reading.facts,
        attachments: staged.index.attachments,
        verdict: judgement.verdict,
        checks: checkFacts(judgement.checks),
        ...(signatures.length > 0 ? { signatures } : {}),
        material: await stageMaterial(store, tenant, [...judgement.material, ...material]),
        ...(mayChange(judgement) ? { reverifyAt: nextLook(now, now) } : {}),
        judgement,
      };
      const known = picked.length;
      if (fromSentFolder) await takeSentCopy(reading, base, parseHeader(capture.bytes()), body.finish());
      else if (reading.kind === 'confirmation') await takeConfirmation(config, reading, base);
      else if (reading.kind === 'notification') await takeNotification(config, reading, base);
      else await takeInbound(config, reading, base);
      const index = picked[known];
      if (index !== undefined) doubts.integrity(reading, index);
    },
    pickedUp() {
      const all = picked;
      picked = [];
      return all;
    },
    roundEnded: doubts.roundEnded,
  };

  function placing(
    config: TenantConfig,
    reading: Reading,
    judgement: Judgement,
    isPrivate: boolean,
    route: Route,
    block: Pick<BlockInput, 'kind'> & Partial<BlockInput>,
  ): Pick<Fetched, 'deposits' | 'forward' | 'waitsFor' | 'private'> {
    const whole = {
      tenant,
      verdict: judgement.verdict,
      verdictReason: shortReason(judgement),
      privateId: reading.metadata.privateId,
      ...block,
    } as const;
    return {
      deposits: route.destinations.map(({ owner, reason }) => ({
        owner,
        ...(block.kind === 'inbound' ? { mailbox: INBOX } : depositPlace(config, owner, 'confirmations')),
        reason,
        prefix: deliveredBlock({ ...whole, reason }),
        flags: [
          keywordOf(judgement.verdict),
          ...optionKeywords(reading.metadata.options, isPrivate),
          ...(block.counts === 'no' ? [NOT_COUNTED] : []),
        ],
      })),
      ...(route.forward.length > 0
        ? { forward: { recipients: route.forward, prefix: deliveredBlock(whole) } }
        : {}),
      ...(isPrivate ? { private: true } : {}),
      ...(route.waiting.length > 0 ? { waitsFor: route.waiting } : {}),
    };
  }

  function blockOf(match: Match | null, reading: Reading) {
    return {
      kind: reading.metadata.messageType ?? 'unknown',
      letter: match === null ? null : `${tenant}/${match.letter}`,
      inReplyTo: match?.submission.header.messageId ?? null,
    };
  }
}

type Base = Pick<
  Fetched,
  | 'staged'
  | 'source'
  | 'header'
  | 'demail'
  | 'attachments'
  | 'verdict'
  | 'checks'
  | 'signatures'
  | 'material'
  | 'reverifyAt'
> & { readonly judgement: Judgement };

/** Confirmations of private mail are private, those of a retrieval always (FU 3.3.5), whatever their header says. */
function aboutPrivate(reading: Reading, match: Match | null): boolean {
  return (
    reading.isPrivate ||
    reading.confirmationType === 'retrieval' ||
    (match?.submission.options.includes('private') ?? false)
  );
}
