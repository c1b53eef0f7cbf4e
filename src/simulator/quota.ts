/** The daily quota of senders at level normal, TR-01201 FU 3.1.1.1; kept on disk, so a restart resets nothing. */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { type Login, Refusal } from './draft.ts';

export interface QuotaLimits {
  readonly messages: number;
  readonly recipients: number;
}

export interface Quota {
  /**
   * Counts a message that is about to be taken; level high is not counted.
   * @throws Refusal where it would exceed the day's messages or recipients; nothing is counted then
   */
  count(login: Login, recipients: number): void;
}

const stored = z.object({
  day: z.string(),
  used: z.record(z.string(), z.object({ messages: z.number(), recipients: z.number() })),
});

const berlinDay = new Intl.DateTimeFormat('sv-SE', { timeZone: 'Europe/Berlin', dateStyle: 'short' });

/** @param file where the counts of the current day in Germany are kept */
export function openQuota(file: string, limits: QuotaLimits, now: () => Date): Quota {
  let state: z.output<typeof stored> = existsSync(file)
    ? stored.parse(JSON.parse(readFileSync(file, 'utf8')))
    : { day: '', used: {} };
  return {
    count({ account, level }, recipients) {
      if (level === 'high') return;
      const day = berlinDay.format(now());
      if (state.day !== day) state = { day, used: {} };
      const before = state.used[account.id] ?? { messages: 0, recipients: 0 };
      const after = { messages: before.messages + 1, recipients: before.recipients + recipients };
      for (const what of ['messages', 'recipients'] as const) {
        if (after[what] > limits[what]) {
          const text = `Level normal may send ${limits[what]} ${what} a day: log in at level high or wait`;
          throw new Refusal(550, '5.7.1', text);
        }
      }
      state.used[account.id] = after;
      writeFileSync(`${file}.new`, JSON.stringify(state), { mode: 0o600 });
      renameSync(`${file}.new`, file);
    },
  };
}
