/** A clock that stands still until a test moves it. */
import type { Clock } from '../clock.ts';

export interface ManualClock extends Clock {
  /** Moves on; timers that fall due run in order, each at its own time. */
  advance(ms: number): Promise<void>;
  /** Moves on like a machine that slept: what has fallen due meanwhile runs late, and once. */
  jump(ms: number): Promise<void>;
  /** Timers that wait. */
  readonly waiting: number;
}

export function createManualClock(start = Date.UTC(2026, 0, 5, 8)): ManualClock {
  let now = start;
  let timers: { readonly at: number; readonly run: () => void }[] = [];
  const clock: ManualClock = {
    now: () => now,
    after(ms, run) {
      const timer = { at: now + Math.max(ms, 0), run };
      timers.push(timer);
      return {
        [Symbol.dispose]() {
          timers = timers.filter((other) => other !== timer);
        },
      };
    },
    async advance(ms) {
      const end = now + ms;
      for (;;) {
        const next = timers.filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0];
        if (next === undefined) break;
        timers = timers.filter((other) => other !== next);
        now = Math.max(now, next.at);
        next.run();
        await new Promise((resolve) => setImmediate(resolve));
      }
      now = end;
    },
    jump(ms) {
      now += ms;
      return clock.advance(0);
    },
    get waiting() {
      return timers.length;
    },
  };
  return clock;
}
