import { describe, expect, it } from 'vitest';
import { easterSunday, holidaysOf, laender } from './holidays.ts';

describe('easterSunday', () => {
  it.each([
    [2000, '2000-04-23'],
    [2008, '2008-03-23'],
    [2011, '2011-04-24'],
    [2019, '2019-04-21'],
    [2024, '2024-03-31'],
    [2025, '2025-04-20'],
    [2026, '2026-04-05'],
    [2038, '2038-04-25'],
    [2049, '2049-04-18'],
    [2076, '2076-04-19'],
  ])('%i', (year, date) => {
    expect(new Date(easterSunday(year)).toISOString().slice(0, 10)).toBe(date);
  });
});

describe('holidaysOf', () => {
  /** Published numbers of holidays in 2026, Sundays of Brandenburg included. */
  it.each([
    ['BW', 12],
    ['BY', 12],
    ['BE', 10],
    ['BB', 12],
    ['HB', 10],
    ['HH', 10],
    ['HE', 10],
    ['MV', 11],
    ['NI', 10],
    ['NW', 11],
    ['RP', 11],
    ['SL', 12],
    ['SN', 11],
    ['ST', 11],
    ['SH', 10],
    ['TH', 11],
  ] as const)('%s has %i', (land, count) => {
    expect(holidaysOf(land, 2026).size).toBe(count);
  });

  it('moves with Easter', () => {
    expect([...holidaysOf('NW', 2026)]).toEqual([
      ['2026-01-01', 'Neujahr'],
      ['2026-04-03', 'Karfreitag'],
      ['2026-04-06', 'Ostermontag'],
      ['2026-05-01', 'Tag der Arbeit'],
      ['2026-05-14', 'Christi Himmelfahrt'],
      ['2026-05-25', 'Pfingstmontag'],
      ['2026-06-04', 'Fronleichnam'],
      ['2026-10-03', 'Tag der Deutschen Einheit'],
      ['2026-11-01', 'Allerheiligen'],
      ['2026-12-25', '1. Weihnachtstag'],
      ['2026-12-26', '2. Weihnachtstag'],
    ]);
  });

  it.each([
    ['MV', '2023-03-08', 'Internationaler Frauentag'],
    ['MV', '2022-03-08', undefined],
    ['BE', '2022-03-08', 'Internationaler Frauentag'],
    ['BE', '2025-05-08', 'Tag der Befreiung'],
    ['BE', '2026-05-08', undefined],
    ['MV', '2026-10-31', 'Reformationstag'],
    ['NI', '2017-10-31', 'Reformationstag'],
    ['NI', '2016-10-31', undefined],
    ['NI', '2018-10-31', 'Reformationstag'],
    ['BY', '2017-10-31', 'Reformationstag'],
    ['SN', '2023-11-22', 'Buß- und Bettag'],
    ['SN', '2024-11-20', 'Buß- und Bettag'],
    ['SN', '2026-11-18', 'Buß- und Bettag'],
    ['SN', '2022-11-16', 'Buß- und Bettag'],
    ['BY', '2026-11-18', undefined],
    ['TH', '2026-09-20', 'Weltkindertag'],
    ['SL', '2026-08-15', 'Mariä Himmelfahrt'],
    ['BY', '2026-08-15', undefined],
    ['BB', '2026-04-05', 'Ostersonntag'],
    ['TH', '2026-06-04', undefined],
  ] as const)('%s %s: %s', (land, date, name) => {
    expect(holidaysOf(land, Number(date.slice(0, 4))).get(date)).toBe(name);
  });

  it('adds holidays of a part of the Land only where they are named', () => {
    expect(holidaysOf('BY', 2026, ['mariae-himmelfahrt', 'friedensfest']).size).toBe(14);
    expect(holidaysOf('TH', 2026, ['fronleichnam']).get('2026-06-04')).toBe('Fronleichnam');
    for (const land of laender) expect(holidaysOf(land, 2026, []).has('2026-08-08')).toBe(false);
  });
});
