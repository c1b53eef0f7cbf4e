/** Dates of RFC 3501: `date-time` of APPEND and INTERNALDATE, `date` of SEARCH. */

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const dayMs = 86_400_000;

/** ` 7-Feb-1994 21:52:25 -0800` → epoch milliseconds; null where it is no such time. */
export function parseDateTime(text: string): number | null {
  const match = /^([ \d]?\d)-([A-Za-z]{3})-(\d{4}) (\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)$/.exec(text);
  if (!match) return null;
  const [, day, month, year, hour, minute, second, sign, zoneHour, zoneMinute] = match;
  const start = dayOf(Number(day), month!, Number(year));
  if (start === null || Number(hour) > 23 || Number(minute) > 59 || Number(second) > 60) return null;
  if (Number(zoneHour) > 23 || Number(zoneMinute) > 59) return null;
  const clock = (Number(hour) * 60 + Number(minute)) * 60_000 + Number(second) * 1000;
  const zone = (Number(zoneHour) * 60 + Number(zoneMinute)) * 60_000 * (sign === '-' ? -1 : 1);
  return start * dayMs + clock - zone;
}

/** Epoch milliseconds → ` 7-Feb-1994 05:52:25 +0000`, without quotes; always UTC. */
export function printDateTime(epochMs: number): string {
  const date = new Date(clamp(epochMs));
  const day = String(date.getUTCDate()).padStart(2, ' ');
  const year = String(date.getUTCFullYear()).padStart(4, '0');
  return `${day}-${months[date.getUTCMonth()]}-${year} ${date.toISOString().slice(11, 19)} +0000`;
}

/** `1-Feb-1994` → days since 1970-01-01; null where it is no date. */
export function parseSearchDate(text: string): number | null {
  const match = /^(\d{1,2})-([A-Za-z]{3})-(\d{4})$/.exec(text);
  return match ? dayOf(Number(match[1]), match[2]!, Number(match[3])) : null;
}

/** The day of an instant, in UTC as INTERNALDATE is printed. */
export function dayOfInstant(epochMs: number): number {
  return Math.floor(epochMs / dayMs);
}

/** Days since 1970-01-01 of a calendar date with an English month name; null where there is none such. */
export function dayOf(day: number, month: string, year: number): number | null {
  const index = months.findIndex((name) => name.toLowerCase() === month.toLowerCase());
  if (index < 0) return null;
  const date = new Date(0);
  date.setUTCFullYear(year, index, day);
  return date.getUTCDate() === day && date.getUTCMonth() === index ? date.getTime() / dayMs : null;
}

function clamp(epochMs: number): number {
  const year0 = -62_167_219_200_000;
  const year9999 = 253_402_300_799_000;
  return Number.isFinite(epochMs) ? Math.min(Math.max(epochMs, year0), year9999) : 0;
}
