/** Works off what is due, so many at a time, and wakes for the next: the loop of outbox and forwarding. */

import type { Clock } from '../observe/clock.ts';
import type { Log } from '../observe/log.ts';

export interface DueWork<Item> {
  readonly clock: Clock;
  readonly log: Log;
  /** How many at once, now. */
  readonly width: () => number;
  /** Epoch milliseconds before which nothing is started. */
  readonly notBefore: () => number;
  readonly list: (limit: number) => Promise<readonly Item[]>;
  /** Epoch milliseconds of the next item that is not due yet. */
  readonly next: () => Promise<number | null>;
  readonly key: (item: Item) => string;
  readonly run: (item: Item) => Promise<void>;
}

export interface Due {
  wake(): void;
  running(): number;
  /** Keeps an item from being run until the claim is disposed of; null where it runs now. */
  claim(key: string): Disposable | null;
  /** Starts nothing more; resolves when what runs has ended. */
  close(): Promise<void>;
}

/** An item whose run threw (the store failed) rests for so many milliseconds. */
const restAfterError = 30_000;

export function createDue<Item>(work: DueWork<Item>): Due {
  const { clock, log } = work;
  const running = new Map<string, Promise<void>>();
  const resting = new Map<string, number>();
  let closed = false;
  let looking: Promise<void> | undefined;
  let again = false;
  let timer: Disposable | undefined;

  function wake() {
    again = true;
    looking ??= look().finally(() => {
      looking = undefined;
    });
  }

  async function look() {
    while (again && !closed) {
      again = false;
      try {
        await lookOnce();
      } catch (error) {
        log.error({ error: String(error) }, 'queue cannot be read');
        wakeAfter(restAfterError);
      }
    }
  }

  async function lookOnce() {
    const now = clock.now();
    const wait = work.notBefore() - now;
    if (wait > 0) return wakeAfter(wait);
    const free = work.width() - running.size;
    if (free <= 0) return;
    for (const [key, until] of resting) if (until <= now) resting.delete(key);
    const listed = await work.list(free + running.size + resting.size);
    const fresh = listed.filter((item) => !running.has(work.key(item)) && !resting.has(work.key(item)));
    for (const item of fresh.slice(0, free)) start(item);
    if (fresh.length >= free) return;
    const times = [...resting.values()];
    const next = await work.next();
    if (next !== null) times.push(next);
    if (times.length > 0) wakeAfter(Math.min(...times) - clock.now());
  }

  function start(item: Item) {
    if (closed) return;
    const key = work.key(item);
    const run = work
      .run(item)
      .catch((error) => {
        log.error({ item: key, error: String(error) }, 'queue item failed');
        resting.set(key, clock.now() + restAfterError);
      })
      .finally(() => {
        running.delete(key);
        wake();
      });
    running.set(key, run);
  }

  function wakeAfter(ms: number) {
    timer?.[Symbol.dispose]();
    if (!closed) timer = clock.after(Math.max(ms, 0), wake);
  }

  return {
    wake,
    running: () => running.size,
    claim(key) {
      if (running.has(key)) return null;
      const held = Promise.withResolvers<void>();
      running.set(key, held.promise);
      return {
        [Symbol.dispose]() {
          running.delete(key);
          held.resolve();
          wake();
        },
      };
    },
    async close() {
      closed = true;
      timer?.[Symbol.dispose]();
      await looking;
      await Promise.all(running.values());
    },
  };
}
