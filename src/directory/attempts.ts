/**
 * Counts per key within a window of time, in bounded memory: the keys come from strangers. A count is
 * reserved before the work and given back where the work went well, so that a thousand parallel guesses
 * count as a thousand.
 */
export interface Attempts {
  /** False where the key has used up its window; nothing is counted then. */
  reserve(key: string): boolean;
  /** Gives one back. */
  release(key: string): void;
  /** Counted in the current window. */
  count(key: string): number;
}

export interface AttemptsOptions {
  readonly limit: number;
  readonly windowMs: number;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** Beyond this the oldest windows are forgotten. */
  readonly maxKeys?: number;
}

export function createAttempts({ limit, windowMs, now, maxKeys = 100_000 }: AttemptsOptions): Attempts {
  /** In order of their start: the first is the oldest. */
  const windows = new Map<string, { start: number; count: number }>();

  function current(key: string): { start: number; count: number } | undefined {
    const window = windows.get(key);
    if (window === undefined) return undefined;
    if (now() - window.start < windowMs) return window;
    windows.delete(key);
    return undefined;
  }

  function forgetOldest(): void {
    for (const [key, window] of windows) {
      if (windows.size < maxKeys && now() - window.start < windowMs) return;
      windows.delete(key);
    }
  }

  return {
    reserve(key) {
      const window = current(key);
      if (window === undefined) {
        forgetOldest();
        windows.set(key, { start: now(), count: 1 });
        return limit > 0;
      }
      if (window.count >= limit) return false;
      window.count += 1;
      return true;
    },
    release(key) {
      const window = current(key);
      if (window === undefined) return;
      window.count -= 1;
      if (window.count <= 0) windows.delete(key);
    },
    count: (key) => current(key)?.count ?? 0,
  };
}

/** One key for whoever holds the address: the address itself, for IPv6 its /64. */
export function addressKey(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/i, '').toLowerCase();
  if (!plain.includes(':')) return plain;
  const [head = '', tail] = plain.split('%')[0]!.split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - before.length - after.length);
  const groups = [...before, ...Array<string>(zeros).fill('0'), ...after];
  return `${groups
    .slice(0, 4)
    .map((group) => group.replace(/^0+(?=.)/, ''))
    .join(':')}::/64`;
}
