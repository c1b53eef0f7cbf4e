/** What is known about each recipient of a letter: a set of facts, each with the entry that says so. */
import type { ConfirmationType, Entry } from './entry.ts';

export const factNames = [
  'queued',
  'attempting',
  'handed-over',
  'deferred',
  'in-doubt',
  'refused',
  'expired',
  'abandoned',
  'dispatched',
  'received',
  'retrieved',
  'dispatch-overdue',
  'receipt-overdue',
  'retrieval-overdue',
  'disputed',
  'notified',
  'deposited',
  'forwarded',
  'forward-failed',
] as const;
export type FactName = (typeof factNames)[number];

export interface Fact {
  readonly letter: number;
  readonly recipient: string;
  readonly fact: FactName;
  /** Index of the entry that says so. */
  readonly index: number;
  /** RFC 3339 time of that entry. */
  readonly time: string;
  /** The peer's reply, the stated time, … as far as the entry has one. */
  readonly detail: string | null;
}

/** What each kind of confirmation states. */
export const confirmedBy = {
  dispatch: 'dispatched',
  receipt: 'received',
  retrieval: 'retrieved',
} as const satisfies Record<ConfirmationType, FactName>;

/**
 * The facts that one entry states. Pure: the facts of a letter are the union over its entries, whatever
 * their order (a confirmation may come before our own outcome was recorded).
 */
export function factsOf(entry: Entry): Fact[] {
  const say = (
    letter: number,
    recipients: readonly string[],
    fact: FactName,
    detail: string | null = null,
  ): Fact[] =>
    recipients.map((recipient) => ({
      letter,
      recipient,
      fact,
      index: entry.index,
      time: entry.time,
      detail,
    }));
  switch (entry.kind) {
    case 'submission':
      return entry.transactions.flatMap((t) => say(entry.index, [...t.to, ...t.cc, ...t.bcc], 'queued'));
    case 'handover-intent':
      return say(entry.letter, entry.recipients, 'attempting');
    case 'handover-outcome':
      if (entry.result === 'in-doubt') {
        return entry.recipients.flatMap((r) => say(entry.letter, [r.address], 'in-doubt', r.reply));
      }
      return entry.recipients.flatMap((r) =>
        say(entry.letter, [r.address], r.result === 'accepted' ? 'handed-over' : r.result, r.reply),
      );
    case 'handover-settled':
      return say(
        entry.letter,
        entry.recipients,
        ({ 'handed-over': 'handed-over', resend: 'queued', abandoned: 'abandoned' } as const)[entry.decision],
        `${entry.by}: ${entry.reason}`,
      );
    case 'expired':
      return say(entry.letter, entry.recipients, 'expired', entry.lastReply);
    case 'confirmation': {
      // What does not hold moves nothing; what was not checked says so by its verdict.
      if (entry.letter === null || entry.counts === 'no') return [];
      return say(entry.letter, entry.recipients, confirmedBy[entry.confirmation], entry.statedTime);
    }
    case 'verdict':
      if (entry.letter === null) return [];
      if (entry.confirms !== undefined) {
        const { confirmation, counts, statedTime } = entry.confirms;
        return counts === 'no'
          ? []
          : say(entry.letter, entry.recipients, confirmedBy[confirmation], statedTime);
      }
      return entry.verdict !== 'invalid'
        ? []
        : say(entry.letter, entry.recipients, 'disputed', `confirmation in entry ${entry.about} is invalid`);
    case 'overdue':
      return say(
        entry.letter,
        entry.recipients,
        `${entry.confirmation}-overdue`,
        `handed over ${entry.since}`,
      );
    case 'notification':
      return entry.letter === null ? [] : say(entry.letter, entry.recipients, 'notified', entry.notification);
    case 'inbound':
      return say(entry.index, [...new Set(entry.delivered.map((d) => d.owner))], 'deposited');
    case 'placed':
      return say(entry.letter, [...new Set(entry.delivered.map((d) => d.owner))], 'deposited');
    case 'scan':
      // An inbound letter is its own; the copies of a find went into quarantine.
      return entry.letter === entry.about && entry.result !== 'infected'
        ? say(entry.letter, [...new Set(entry.delivered.map((d) => d.owner))], 'deposited')
        : [];
    case 'forward-outcome':
      return entry.recipients.flatMap((r) =>
        r.result === 'deferred'
          ? []
          : say(entry.letter, [r.address], r.result === 'accepted' ? 'forwarded' : 'forward-failed', r.reply),
      );
    default:
      return [];
  }
}
