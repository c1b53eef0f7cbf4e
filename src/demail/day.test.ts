import { describe, expect, it } from 'vitest';
import { dayOf } from './day.ts';

describe('the day of an instant', () => {
  it.each([
    ['in winter', 'Europe/Berlin', '2026-11-24T12:00:00Z', '2026-11-23T23:00:00Z', 24],
    ['at midnight', 'Europe/Berlin', '2026-11-23T23:00:00Z', '2026-11-23T23:00:00Z', 24],
    ['just before midnight', 'Europe/Berlin', '2026-11-23T22:59:59.999Z', '2026-11-22T23:00:00Z', 24],
    ['in summer, after midnight', 'Europe/Berlin', '2026-07-01T22:30:00Z', '2026-07-01T22:00:00Z', 24],
    ['when the clock goes forward', 'Europe/Berlin', '2026-03-29T12:00:00Z', '2026-03-28T23:00:00Z', 23],
    ['when the clock goes back', 'Europe/Berlin', '2026-10-25T12:00:00Z', '2026-10-24T22:00:00Z', 25],
    ['in UTC', 'UTC', '2026-11-24T12:00:00Z', '2026-11-24T00:00:00Z', 24],
    ['without a midnight', 'America/Santiago', '2026-09-06T12:00:00Z', '2026-09-06T04:00:00Z', 23],
  ])('%s', (_, timeZone, now, start, hours) => {
    const day = dayOf(Date.parse(now), timeZone);
    expect(new Date(day.start).toISOString()).toBe(new Date(start).toISOString());
    expect((day.end - day.start) / 3_600_000).toBe(hours);
  });
});
