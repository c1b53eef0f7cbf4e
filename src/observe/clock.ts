/** Time and chance come from outside, so that waiting can be tested without waiting. */
export interface Clock {
  /** Epoch milliseconds. */
  now(): number;
  /** Runs once after `ms` milliseconds; disposing it first prevents that. */
  after(ms: number, run: () => void): Disposable;
}

/** setTimeout cannot wait longer than this; a longer wait wakes early, and its caller looks at the clock again. */
const longestTimer = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  after(ms, run) {
    const timer = setTimeout(run, Math.min(Math.max(ms, 0), longestTimer));
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
};

export interface BackOff {
  /** Milliseconds before the second attempt. */
  readonly first: number;
  /** Milliseconds at most between two attempts, before jitter. */
  readonly longest: number;
}

/**
 * Milliseconds to wait after the `failures`th failure in a row (from 1): doubled each time, then spread evenly
 * over 50 % to 150 %, so that many waiting at once do not come back at once.
 */
export function backOffDelay(backOff: BackOff, failures: number, random: () => number): number {
  const doubled = backOff.first * 2 ** Math.min(Math.max(failures, 1) - 1, 30);
  return Math.round(Math.min(doubled, backOff.longest) * (0.5 + random()));
}

/** Resolves after `ms`, or at once when the signal aborts; never rejects. */
export function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = clock.after(ms, resolve);
  const stop = () => {
    timer[Symbol.dispose]();
    resolve();
  };
  signal.addEventListener('abort', stop, { once: true });
  return promise.finally(() => signal.removeEventListener('abort', stop));
}
