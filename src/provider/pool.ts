/** Connections kept open between messages. How many are in use at once is the worker's business. */
import type { Clock } from '../observe/clock.ts';
import type { SmtpSession } from './smtp-session.ts';

export interface Pool {
  /**
   * A connection that answered just now, kept or new.
   * @throws what opening a new one throws.
   */
  take(signal: AbortSignal): Promise<SmtpSession>;
  /** Gives it back; an unusable one is dropped. */
  give(session: SmtpSession): void;
  /** Closes what is not in use. */
  drop(): void;
  close(): void;
}

/** Servers close idle connections after some minutes; better to do it first. */
const idleFor = 30_000;
/** A connection used this recently (milliseconds) is taken without asking, unless something is pending there. */
const fresh = 1_000;

export function createPool(clock: Clock, open: (signal: AbortSignal) => Promise<SmtpSession>): Pool {
  const idle = new Map<SmtpSession, { readonly since: number; readonly timer: Disposable }>();
  let closed = false;
  function drop() {
    for (const [session, { timer }] of idle) {
      timer[Symbol.dispose]();
      session.close();
    }
    idle.clear();
  }
  return {
    async take(signal) {
      for (const [session, { since, timer }] of [...idle].reverse()) {
        if (!idle.delete(session)) continue;
        timer[Symbol.dispose]();
        if (!session.usable()) continue;
        if (clock.now() - since < fresh && !session.pending()) return session;
        if (await session.probe()) return session;
        session.close();
      }
      return open(signal);
    },
    give(session) {
      if (closed || !session.usable()) {
        session.close();
        return;
      }
      const expire = () => {
        idle.delete(session);
        session.close();
      };
      idle.set(session, { since: clock.now(), timer: clock.after(idleFor, expire) });
    },
    drop,
    close() {
      closed = true;
      drop();
    },
  };
}
