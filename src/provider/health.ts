/**
 * How one side of an account (handing over, fetching, forwarding) is doing: when to try again, what the last
 * success and failure were, and an incident once it has been failing for some minutes.
 */
import { type BackOff, backOffDelay, type Clock } from '../observe/clock.ts';
import type { Incidents } from './incidents.ts';
import { incidentTexts, type Said } from './texts.ts';

export interface Health {
  /** Epoch milliseconds before which nothing should be tried. */
  readonly retryAt: number;
  readonly failures: number;
  readonly lastSuccess: number | null;
  readonly lastError: string | null;
  succeeded(): void;
  /** Returns the milliseconds to wait. */
  failed(error: unknown): number;
  /** Operators want the next attempt now. */
  retryNow(): void;
  close(): void;
}

export interface HealthSettings {
  readonly tenant: string;
  /** Name of the incident that a lasting failure opens. */
  readonly incident: string;
  /** What fails, for people. */
  readonly what: Said;
  readonly backOff?: BackOff;
}

const standardBackOff: BackOff = { first: 5_000, longest: 5 * 60_000 };

/** Operators are to be told within five minutes; a restart of the peer takes less than two. */
const incidentAfter = 2 * 60_000;

export function createHealth(
  settings: HealthSettings,
  incidents: Incidents,
  clock: Clock,
  random: () => number,
): Health {
  let retryAt = 0;
  let failures = 0;
  let lastSuccess: number | null = null;
  let lastError: string | null = null;
  let alarm: Disposable | undefined;
  const { tenant, incident, what } = settings;
  return {
    get retryAt() {
      return retryAt;
    },
    get failures() {
      return failures;
    },
    get lastSuccess() {
      return lastSuccess;
    },
    get lastError() {
      return lastError;
    },
    succeeded() {
      retryAt = 0;
      failures = 0;
      lastSuccess = clock.now();
      alarm?.[Symbol.dispose]();
      alarm = undefined;
      incidents.close(tenant, incident, incidentTexts.worksAgain(what));
    },
    failed(error) {
      lastError = error instanceof Error ? error.message : String(error);
      const now = clock.now();
      // Several connections that failed together are one failure.
      if (now < retryAt) return retryAt - now;
      failures += 1;
      const wait = backOffDelay(settings.backOff ?? standardBackOff, failures, random);
      retryAt = now + wait;
      alarm ??= clock.after(incidentAfter, () => {
        incidents.open(tenant, incident, incidentTexts.fails(what, lastError ?? ''));
      });
      return wait;
    },
    retryNow() {
      retryAt = 0;
    },
    close() {
      alarm?.[Symbol.dispose]();
    },
  };
}
