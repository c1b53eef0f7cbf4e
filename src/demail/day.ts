/** The day of an office: from midnight to midnight of its time zone. */
import { createZone } from './calendar.ts';

const dayMs = 86_400_000;

/**
 * The day in which an instant lies, epoch milliseconds; 23 or 25 hours long where the clock is changed.
 *
 * @param timeZone IANA name
 */
export function dayOf(now: number, timeZone: string): { readonly start: number; readonly end: number } {
  const zone = createZone(timeZone);
  const midnight = Math.floor(zone.wall(now) / dayMs) * dayMs;
  return { start: zone.instant(midnight, 'earlier'), end: zone.instant(midnight + dayMs, 'earlier') };
}
