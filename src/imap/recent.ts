/**
 * \Recent (RFC 3501 2.3.2): a message is recent in the one session that is told of it first. Kept in memory
 * alone: after a restart nothing old is called recent again, or clients would announce all of it.
 */
export interface RecentTracker {
  /** UIDs from the returned one up to `uidNext` (exclusive) were told to no session yet. */
  peek(mailbox: number, uidNext: number): number;
  /** Like `peek`, and now they are told. */
  claim(mailbox: number, uidNext: number): number;
}

export function createRecentTracker(): RecentTracker {
  const told = new Map<number, number>();
  const peek = (mailbox: number, uidNext: number): number => Math.min(told.get(mailbox) ?? uidNext, uidNext);
  return {
    peek,
    claim(mailbox, uidNext) {
      const from = peek(mailbox, uidNext);
      told.set(mailbox, Math.max(uidNext, told.get(mailbox) ?? 0));
      return from;
    },
  };
}
