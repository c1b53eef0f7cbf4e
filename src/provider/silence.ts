/** Silence is an event: a confirmation that was asked for and has not come in time is recorded, and told once. */
import type { Directory } from '../directory/directory.ts';
import { confirmationTypes } from '../evidence/entry.ts';
import type { Clock } from '../observe/clock.ts';
import type { Log } from '../observe/log.ts';
import type { AwaitedConfirmation, Store } from '../store/store.ts';
import type { Reports } from './reports.ts';
import { type Rounds, startRounds } from './rounds.ts';

export interface SilenceDeps {
  readonly store: Store;
  readonly directory: () => Directory;
  readonly tenant: string;
  readonly reports: Reports;
  readonly log: Log;
  readonly clock: Clock;
}

const atOnce = 1_000;

export function startSilence(deps: SilenceDeps): Rounds {
  return startRounds(deps, () => lookOnce(deps), 'silence could not be looked for');
}

async function lookOnce({ store, directory, tenant, reports, clock, log }: SilenceDeps): Promise<void> {
  const times = directory().tenant(tenant)?.provider.overdue;
  if (times === undefined) return;
  for (const confirmation of confirmationTypes) {
    const before = clock.now() - times[confirmation];
    const awaited = await store.awaited(tenant, confirmation, before, atOnce);
    for (const { letter, since, recipients } of byHandover(awaited)) {
      const overdue = { letter, confirmation, recipients, since: new Date(since).toISOString() };
      // Told first: the mail has a name and is written once, the other way round a crash would swallow it.
      await reports.overdue(overdue);
      if (await store.recordOverdue(tenant, overdue))
        log.warn({ tenant, letter, confirmation }, 'confirmation overdue');
    }
  }
}

interface Overdue {
  readonly letter: number;
  readonly since: number;
  readonly recipients: string[];
}

/** One entry for the recipients of one letter that were handed over at one moment. */
export function byHandover(awaited: readonly AwaitedConfirmation[]): Overdue[] {
  const groups = new Map<string, Overdue>();
  for (const { letter, since, recipient } of awaited) {
    const key = `${letter}/${since}`;
    const group = groups.get(key) ?? { letter, since, recipients: [] };
    group.recipients.push(recipient);
    groups.set(key, group);
  }
  return [...groups.values()];
}
