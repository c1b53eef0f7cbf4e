/** Work that is looked for once a minute: one look at a time, the next one counted from its end. */

import type { Clock } from '../observe/clock.ts';
import type { Log } from '../observe/log.ts';

export interface Rounds {
  /** Looks now, or joins the look that runs; resolves when that is recorded. */
  look(): Promise<void>;
  close(): Promise<void>;
}

export interface RoundsDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly tenant: string;
}

const interval = 60_000;

/**
 * Not at the start: what came while the gateway was down is fetched first.
 * @param work told by `stopped` when it should not begin anything more
 * @param failure what the log says where `work` rejects; the next look comes all the same
 */
export function startRounds(
  { clock, log, tenant }: RoundsDeps,
  work: (stopped: () => boolean) => Promise<void>,
  failure: string,
): Rounds {
  let closed = false;
  let looking: Promise<void> | undefined;
  let timer: Disposable | undefined;

  function look(): Promise<void> {
    looking ??= work(() => closed)
      .catch((error) => log.error({ tenant, error: String(error) }, failure))
      .finally(() => {
        looking = undefined;
        timer?.[Symbol.dispose]();
        if (!closed) timer = clock.after(interval, look);
      });
    return looking;
  }

  timer = clock.after(interval, look);
  return {
    look,
    async close() {
      closed = true;
      timer?.[Symbol.dispose]();
      await looking;
    },
  };
}
