/** What one connection believes about its selected mailbox: sequence numbers change only when it is told. */
import { includes, resolve, type SequenceSet } from '../imap/codec/sequence.ts';
import type { Login } from './draft.ts';
import { visible } from './imap-answer.ts';
import type { Mailbox, StoredMessage } from './mailbox.ts';

const holdMs = 90 * 86_400_000;

export interface View {
  readonly mailbox: Mailbox;
  readonly readOnly: boolean;
  /** By sequence number, from 0. */
  readonly uids: readonly number[];
  /** UIDVALIDITY changed since SELECT. */
  readonly renumbered: boolean;
  /** `n EXPUNGE` and `n EXISTS` since the last call, without the star. */
  changes(expunges: boolean): string[];
  /** Messages of a set that still exist, with their sequence numbers. */
  pick(set: SequenceSet, byUid: boolean): { sequence: number; message: StoredMessage }[];
  /** Until when the message must not be deleted by this login; undefined where it may. */
  heldUntil(message: StoredMessage): Date | undefined;
  close(): void;
}

export function openView(
  mailbox: Mailbox,
  level: Login['level'],
  readOnly: boolean,
  changed: () => void,
  now: () => Date,
): View {
  const { uidValidity } = mailbox;
  let uids = visible(mailbox, level).map(({ uid }) => uid);
  const unsubscribe = mailbox.subscribe(changed);
  return {
    mailbox,
    readOnly,
    get uids() {
      return uids;
    },
    get renumbered() {
      return mailbox.uidValidity !== uidValidity;
    },
    changes(expunges) {
      const current = visible(mailbox, level).map(({ uid }) => uid);
      const told: string[] = [];
      if (expunges) {
        const present = new Set(current);
        for (let index = uids.length - 1; index >= 0; index--) {
          if (!present.has(uids[index]!)) told.push(`${index + 1} EXPUNGE`);
        }
        uids = uids.filter((uid) => present.has(uid));
      }
      const last = uids.at(-1) ?? 0;
      const fresh = current.filter((uid) => uid > last);
      if (fresh.length > 0) {
        uids = [...uids, ...fresh];
        told.push(`${uids.length} EXISTS`);
      }
      return told;
    },
    pick(set, byUid) {
      const resolved = resolve(set, byUid ? (uids.at(-1) ?? 0) : uids.length);
      const messages = new Map(mailbox.messages.map((message) => [message.uid, message]));
      return uids.flatMap((uid, index) => {
        const message = messages.get(uid);
        return message && includes(resolved, byUid ? uid : index + 1)
          ? [{ sequence: index + 1, message }]
          : [];
      });
    },
    heldUntil(message) {
      // FU 3.1.3.9: at level normal, 90 days after arrival where a confirmation was issued.
      if (level === 'high' || !message.confirmed) return undefined;
      const end = new Date(message.receivedAt + holdMs);
      return now() < end ? end : undefined;
    },
    close: unsubscribe,
  };
}
