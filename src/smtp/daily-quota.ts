/** The daily quota of an account at level normal (TR-01201 FU 3.1.1.1), as a submission carries it and a refusal names it. */
import type { Language, TenantConfig } from '../config/schema.ts';
import { dayOf } from '../demail/day.ts';
import { GatewayError } from '../errors.ts';
import type { Transaction } from '../evidence/entry.ts';
import type { DailyQuota } from '../store/store.ts';

/**
 * What the store is to check. Undefined at level high.
 *
 * @param now epoch milliseconds
 * @throws GatewayError `daily-quota-alone` where no day would have room for the letter
 */
export function dailyQuotaOf(
  { provider, timeZone, language }: TenantConfig,
  transactions: readonly Transaction[],
  now: number,
): DailyQuota | undefined {
  if (provider.authLevel === 'high') return undefined;
  const { messages, recipients } = provider.dailyQuota;
  const addressed = transactions.reduce(
    (sum, { to, cc, bcc }) => sum + to.length + cc.length + bcc.length,
    0,
  );
  if (transactions.length > messages)
    throw new GatewayError('daily-quota-alone', alone(language, 'messages', transactions.length, messages));
  if (addressed > recipients)
    throw new GatewayError('daily-quota-alone', alone(language, 'recipients', addressed, recipients));
  return { since: dayOf(now, timeZone).start, messages, recipients };
}

/** The store's refusal, with the quota and the end of the day in the tenant's language; other errors as they are. */
export function explainQuota(error: unknown, tenant: TenantConfig, now: number): unknown {
  if (!(error instanceof GatewayError) || error.code !== 'daily-quota') return error;
  const [, what, used] = /^(messages|recipients) (\d+)$/.exec(error.detail ?? '') ?? [];
  if (what === undefined) return error;
  const { language, timeZone, provider } = tenant;
  const limit = provider.dailyQuota[what as keyof typeof nouns.de];
  const end = new Intl.DateTimeFormat(language === 'de' ? 'de-DE' : 'en-GB', {
    timeZone,
    dateStyle: 'medium',
    timeStyle: 'short',
  }).format(dayOf(now, timeZone).end);
  const noun = nouns[language][what as keyof typeof nouns.de];
  const detail =
    language === 'de'
      ? `${noun}: ${used} von ${limit} verbraucht; wieder ab ${end} Uhr, ${timeZone}`
      : `${noun}: ${used} of ${limit} used; again from ${end}, ${timeZone}`;
  return new GatewayError('daily-quota', detail);
}

const nouns = {
  de: { messages: 'Nachrichten', recipients: 'Empfänger' },
  en: { messages: 'messages', recipients: 'recipients' },
} as const;

function alone(language: Language, what: keyof typeof nouns.de, asked: number, limit: number): string {
  const noun = nouns[language][what];
  return language === 'de'
    ? `${noun}: ${asked}, am Tag höchstens ${limit}`
    : `${noun}: ${asked}, at most ${limit} a day`;
}
