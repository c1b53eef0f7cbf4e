/**
 * Doubt about a hand-over, settled: by the provider's dispatch confirmation, by its Sent copy, by the tenant's
 * policy, or by an operator.
 */
import type { Directory } from '../directory/directory.ts';
import type { Actor, Entry, HandoverOutcomeEntry, HandoverSettledEntry } from '../evidence/entry.ts';
import type { Log } from '../observe/log.ts';
import type { OutboxItem, Store } from '../store/store.ts';
import type { Reports } from './reports.ts';

export type Decision = HandoverSettledEntry['decision'];

interface OperatorDecision {
  readonly letter: number;
  readonly transaction: number;
  readonly decision: Decision;
  readonly actor: Actor;
  readonly reason: string;
}

export interface Settlement {
  /**
   * Settles it where the provider has already said that it took the letter, by a dispatch confirmation or by
   * its own Sent copy. False where it is not in doubt, or still is.
   */
  byProvider(letter: number, transaction: number): Promise<boolean>;
  /** Hands over again what has been in doubt since before `since`, unless that could fix a date twice. */
  byPolicy(item: OutboxItem, since: number): Promise<void>;
  /** @throws Error where the transaction is not in doubt. */
  byOperator(decision: OperatorDecision): Promise<void>;
}

export interface SettlementDeps {
  readonly store: Store;
  readonly directory: () => Directory;
  readonly tenant: string;
  readonly reports: Reports;
  readonly log: Log;
}

const gateway: Actor = { type: 'gateway', name: 'provider link' };

export function createSettlement(deps: SettlementDeps): Settlement {
  const { store, tenant, reports, log } = deps;

  async function doubtful(letter: number, transaction: number): Promise<OutboxItem | null> {
    const item = await store.transaction(tenant, letter, transaction);
    return item?.state === 'in-doubt' ? item : null;
  }

  async function settle(
    item: OutboxItem,
    outcome: (Entry & HandoverOutcomeEntry) | undefined,
    what: Pick<HandoverSettledEntry, 'decision' | 'by' | 'actor' | 'reason'>,
  ): Promise<void> {
    const { letter, transaction } = item;
    const recipients = outcome?.recipients.map((r) => r.address) ?? item.recipients;
    const submission = what.decision === 'handed-over' ? await store.submissionOf(tenant, letter) : null;
    const notices = submission === null ? [] : await reports.handedOver(submission, recipients);
    await store.settleHandover(tenant, { letter, transaction, recipients, ...what, notices });
    log.info({ tenant, letter, transaction, decision: what.decision, by: what.by }, 'doubt settled');
    await reports.settled(item, what);
  }

  /** The outcome that left it in doubt. */
  function lastDoubt(item: OutboxItem, timeline: readonly Entry[]) {
    return timeline.findLast(
      (e): e is Entry & HandoverOutcomeEntry =>
        e.kind === 'handover-outcome' && e.transaction === item.transaction && e.result === 'in-doubt',
    );
  }

  return {
    async byProvider(letter, transaction) {
      const item = await doubtful(letter, transaction);
      if (item === null) return false;
      const timeline = await store.timeline(tenant, letter);
      const doubt = lastDoubt(item, timeline);
      const word = timeline
        .map((e) => (isInvalid(e, timeline) ? null : wordOf(e, transaction, doubt)))
        .find((found) => found !== null);
      if (word === undefined) return false;
      await settle(item, doubt, { decision: 'handed-over', actor: gateway, ...word });
      return true;
    },

    async byPolicy(item, since) {
      const timeline = await store.timeline(tenant, item.letter);
      const submission = timeline.find((e) => e.kind === 'submission');
      // A second copy that is fetched would fix a date of service of its own (VwZG 5a): never by itself.
      if (submission === undefined || submission.options.includes('retrieval')) return;
      const doubt = lastDoubt(item, timeline);
      if (doubt === undefined || Date.parse(doubt.time) > since) return;
      // Nobody tried here: what became of it stands in entries that a restore lost. Nothing goes out unattended then.
      if (doubt.peer.endpoint === '') return;
      await settle(item, doubt, {
        decision: 'resend',
        by: 'policy',
        actor: gateway,
        reason: 'onUncertain: resend',
      });
    },

    async byOperator({ letter, transaction, decision, actor, reason }) {
      const item = await doubtful(letter, transaction);
      if (item === null) {
        throw new Error(
          `${tenant}/${letter} transaction ${transaction} is not in doubt: there is nothing to settle`,
        );
      }
      await settle(item, lastDoubt(item, await store.timeline(tenant, letter)), {
        decision,
        by: 'operator',
        actor,
        reason,
      });
    },
  };
}

type Word = Pick<HandoverSettledEntry, 'by' | 'reason'>;

const dispatched: Word = { by: 'dispatch-confirmation', reason: 'the provider confirmed the dispatch' };

/** A confirmation that counted, and was found out since. */
function isInvalid(entry: Entry, timeline: readonly Entry[]): boolean {
  if (entry.kind !== 'confirmation' && entry.kind !== 'verdict') return false;
  const said = entry.kind === 'verdict' ? entry.about : entry.index;
  return timeline.some((e) => e.kind === 'verdict' && e.about === said && e.verdict === 'invalid');
}

/**
 * What the entry says for all recipients of the doubtful attempt: several attempts of one transaction share its
 * private-id, so the provider's word on one of them says nothing about recipients that it does not name.
 */
function wordOf(
  entry: Entry,
  transaction: number,
  doubt: (Entry & HandoverOutcomeEntry) | undefined,
): Word | null {
  if (doubt === undefined) return null;
  const namesAll = (named: readonly string[]) => doubt.recipients.every((r) => named.includes(r.address));
  if (entry.kind === 'verdict') {
    const { confirms } = entry;
    const counts = confirms?.transaction === transaction && confirms.counts !== 'no';
    return counts && confirms.confirmation === 'dispatch' && namesAll(entry.recipients) ? dispatched : null;
  }
  if (!('transaction' in entry) || entry.transaction !== transaction) return null;
  if (entry.kind === 'confirmation' && entry.counts === 'no') return null;
  if (entry.kind === 'confirmation' && entry.confirmation === 'dispatch' && namesAll(entry.recipients)) {
    return dispatched;
  }
  // A copy of something else says nothing about this letter.
  if (entry.kind === 'sent-copy' && entry.comparisons?.some((c) => c.result === 'failed')) return null;
  if (entry.kind === 'sent-copy' && namesAll(entry.demail.chosenRecipients)) {
    return { by: 'sent-copy', reason: 'the provider keeps a secured copy among the sent messages' };
  }
  return null;
}
