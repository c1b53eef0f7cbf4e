import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type CalendarSettings, createCalendar, type Weekday, weekdays } from './calendar.ts';

const workdays: Weekday[] = ['mon', 'tue', 'wed', 'thu', 'fri'];
const office: CalendarSettings = {
  timeZone: 'Europe/Berlin',
  land: 'MV',
  localHolidays: [],
  windows: [
    { days: workdays, from: '08:00', to: '12:00' },
    { days: ['tue', 'thu'], from: '13:30', to: '18:00' },
  ],
  closed: ['2026-12-24'],
};
const daily = (from: string, to: string): CalendarSettings => ({
  ...office,
  land: undefined,
  windows: [{ days: [...weekdays], from, to }],
});
const at = (text: string) => Date.parse(text);
const shown = (instant: number | null) => (instant === null ? null : new Date(instant).toISOString());

describe('an office', () => {
  const calendar = createCalendar(office);
  it.each([
    ['2026-01-05T08:00:00+01:00', true],
    ['2026-01-05T07:59:59.999+01:00', false],
    ['2026-01-05T11:59:59.999+01:00', true],
    ['2026-01-05T12:00:00+01:00', false],
    ['2026-01-06T14:00:00+01:00', true],
    ['2026-01-05T14:00:00+01:00', false],
    ['2026-07-06T08:00:00+02:00', true],
    ['2026-07-06T08:00:00+01:00', true],
    ['2026-07-06T07:30:00+02:00', false],
    ['2026-01-10T10:00:00+01:00', false],
    ['2026-04-03T10:00:00+02:00', false],
    ['2026-12-24T10:00:00+01:00', false],
    ['2027-03-08T10:00:00+01:00', false],
  ])('%s: %s', (time, open) => {
    expect(calendar.isOpen(at(time))).toBe(open);
  });

  it('opens again after the holidays', () => {
    expect(shown(calendar.nextOpening(at('2026-12-23T12:00:00+01:00')))).toBe('2026-12-28T07:00:00.000Z');
    expect(shown(calendar.nextOpening(at('2026-04-02T18:00:00+02:00')))).toBe('2026-04-07T06:00:00.000Z');
    const now = at('2026-01-05T09:00:00+01:00');
    expect(calendar.nextOpening(now)).toBe(now);
  });

  it('knows when it closes', () => {
    expect(shown(calendar.closesAt(at('2026-01-06T13:30:00+01:00')))).toBe('2026-01-06T17:00:00.000Z');
    expect(calendar.closesAt(at('2026-01-06T13:00:00+01:00'))).toBeNull();
  });

  it('counts the time it was closed', () => {
    const hours = (from: string, to: string) => calendar.closedBetween(at(from), at(to)) / 3_600_000;
    expect(hours('2026-01-05T08:00:00+01:00', '2026-01-06T08:00:00+01:00')).toBe(20);
    expect(hours('2026-01-05T09:00:00+01:00', '2026-01-05T10:00:00+01:00')).toBe(0);
    expect(hours('2026-01-09T12:00:00+01:00', '2026-01-12T08:00:00+01:00')).toBe(68);
  });
});

describe('changes of the clock in Berlin', () => {
  it('opens nothing at a time that does not happen', () => {
    const calendar = createCalendar(daily('02:00', '03:00'));
    expect(shown(calendar.nextOpening(at('2026-03-28T12:00:00Z')))).toBe('2026-03-30T00:00:00.000Z');
  });

  it('opens at the change where the window begins within the missing hour', () => {
    const calendar = createCalendar(daily('02:30', '04:00'));
    const opening = calendar.nextOpening(at('2026-03-28T12:00:00Z'))!;
    expect(shown(opening)).toBe('2026-03-29T01:00:00.000Z');
    expect(shown(calendar.closesAt(opening))).toBe('2026-03-29T02:00:00.000Z');
  });

  it('takes the narrower window in the hour that happens twice', () => {
    const late = createCalendar(daily('02:30', '05:00'));
    expect(shown(late.nextOpening(at('2026-10-24T12:00:00Z')))).toBe('2026-10-25T01:30:00.000Z');
    const early = createCalendar(daily('01:00', '02:30'));
    expect(shown(early.closesAt(at('2026-10-24T23:30:00Z')))).toBe('2026-10-25T00:30:00.000Z');
    const within = createCalendar(daily('02:10', '02:50'));
    expect(shown(within.nextOpening(at('2026-10-24T12:00:00Z')))).toBe('2026-10-26T01:10:00.000Z');
  });

  it('goes on over midnight where windows adjoin', () => {
    const calendar = createCalendar({
      ...daily('20:00', '24:00'),
      windows: [
        { days: ['mon'], from: '20:00', to: '24:00' },
        { days: ['tue'], from: '00:00', to: '06:00' },
      ],
    });
    expect(shown(calendar.closesAt(at('2026-01-05T21:00:00+01:00')))).toBe('2026-01-06T05:00:00.000Z');
  });
});

it('says null where nothing opens', () => {
  const never = createCalendar({ ...office, windows: [] });
  expect(never.nextOpening(at('2026-01-05T09:00:00Z'))).toBeNull();
  expect(never.closedBetween(0, 1000)).toBe(1000);
});

it('refuses an unknown time zone', () => {
  expect(() => createCalendar({ ...office, timeZone: 'Europe/Atlantis' })).toThrow(RangeError);
});

describe('any calendar', () => {
  const time = fc
    .integer({ min: 0, max: 24 * 60 })
    .map((m) => `${String(Math.floor(m / 60)).padStart(2, '0')}:${String(m % 60).padStart(2, '0')}`);
  const window = fc
    .record({ days: fc.uniqueArray(fc.constantFrom(...weekdays), { minLength: 1 }), a: time, b: time })
    .filter(({ a, b }) => a !== b)
    .map(({ days, a, b }) => ({ days, from: a < b ? a : b, to: a < b ? b : a }));
  const settings = fc.record({
    timeZone: fc.constantFrom('Europe/Berlin', 'UTC', 'America/New_York', 'Australia/Lord_Howe'),
    land: fc.constantFrom('SN' as const, 'BY' as const, undefined),
    localHolidays: fc.constant([]),
    windows: fc.array(window, { minLength: 1, maxLength: 3 }),
    closed: fc.constant(['2026-07-01']),
  });
  const instant = fc.integer({ min: at('2026-01-01T00:00:00Z'), max: at('2027-12-31T00:00:00Z') });

  it('opens only while the clock on the wall is within a window of that weekday', () => {
    fc.assert(
      fc.property(settings, instant, (s, now) => {
        if (!createCalendar(s).isOpen(now)) return;
        const parts = new Intl.DateTimeFormat('en-GB', {
          timeZone: s.timeZone,
          weekday: 'short',
          hour: '2-digit',
          minute: '2-digit',
          hourCycle: 'h23',
        }).formatToParts(now);
        const part = (type: string) => parts.find((p) => p.type === type)!.value;
        const wall = `${part('hour')}:${part('minute')}`;
        const day = part('weekday').toLowerCase();
        expect(s.windows.some((w) => w.days.some((d) => d === day) && w.from <= wall && wall < w.to)).toBe(
          true,
        );
      }),
      { numRuns: 100 },
    );
  });

  it('closes when it says, and opens when it says', () => {
    fc.assert(
      fc.property(settings, instant, (s, now) => {
        const calendar = createCalendar(s);
        const closing = calendar.closesAt(now);
        expect(closing !== null).toBe(calendar.isOpen(now));
        if (closing !== null) {
          expect(calendar.closedBetween(now, closing)).toBe(0);
          expect(calendar.isOpen(closing - 1)).toBe(true);
          return;
        }
        const opening = calendar.nextOpening(now);
        if (opening === null) return;
        expect(calendar.closedBetween(now, opening)).toBe(opening - now);
        expect(calendar.isOpen(opening)).toBe(true);
        expect(calendar.isOpen(opening - 1)).toBe(false);
      }),
      { numRuns: 100 },
    );
  });
});
