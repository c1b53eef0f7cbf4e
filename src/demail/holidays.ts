/** Public holidays of the German Länder, computed. Sources: the holiday acts of the Länder, as in force in 2026. */
export const laender = [
  'BW',
  'BY',
  'BE',
  'BB',
  'HB',
  'HH',
  'HE',
  'MV',
  'NI',
  'NW',
  'RP',
  'SL',
  'SN',
  'ST',
  'SH',
  'TH',
] as const;
export type Land = (typeof laender)[number];

/** Holidays of parts of a Land only: Mariä Himmelfahrt (BY), Fronleichnam (SN, TH), Friedensfest (Augsburg). */
export const localHolidays = ['mariae-himmelfahrt', 'fronleichnam', 'friedensfest'] as const;
export type LocalHoliday = (typeof localHolidays)[number];

interface Rule {
  readonly name: string;
  /** Absent: everywhere. */
  readonly in?: readonly Land[];
  /** First year of this rule. */
  readonly since?: number;
  /** Only in these years. */
  readonly only?: readonly number[];
  readonly local?: LocalHoliday;
  /** [month, day], days after Easter Sunday, or the Wednesday before 23 November. */
  readonly on: readonly [number, number] | number | 'penance';
}

const rules: readonly Rule[] = [
  { name: 'Neujahr', on: [1, 1] },
  { name: 'Heilige Drei Könige', in: ['BW', 'BY', 'ST'], on: [1, 6] },
  { name: 'Internationaler Frauentag', in: ['BE'], since: 2019, on: [3, 8] },
  { name: 'Internationaler Frauentag', in: ['MV'], since: 2023, on: [3, 8] },
  { name: 'Karfreitag', on: -2 },
  { name: 'Ostersonntag', in: ['BB'], on: 0 },
  { name: 'Ostermontag', on: 1 },
  { name: 'Tag der Arbeit', on: [5, 1] },
  { name: 'Tag der Befreiung', in: ['BE'], only: [2020, 2025], on: [5, 8] },
  { name: 'Christi Himmelfahrt', on: 39 },
  { name: 'Pfingstsonntag', in: ['BB'], on: 49 },
  { name: 'Pfingstmontag', on: 50 },
  { name: 'Fronleichnam', in: ['BW', 'BY', 'HE', 'NW', 'RP', 'SL'], on: 60 },
  { name: 'Fronleichnam', local: 'fronleichnam', in: ['SN', 'TH'], on: 60 },
  { name: 'Jahrestag des 17. Juni 1953', in: ['BE'], only: [2028], on: [6, 17] },
  { name: 'Friedensfest', local: 'friedensfest', in: ['BY'], on: [8, 8] },
  { name: 'Mariä Himmelfahrt', in: ['SL'], on: [8, 15] },
  { name: 'Mariä Himmelfahrt', local: 'mariae-himmelfahrt', in: ['BY'], on: [8, 15] },
  { name: 'Weltkindertag', in: ['TH'], since: 2019, on: [9, 20] },
  { name: 'Tag der Deutschen Einheit', on: [10, 3] },
  { name: 'Reformationstag', in: ['BB', 'MV', 'SN', 'ST', 'TH'], on: [10, 31] },
  { name: 'Reformationstag', in: ['HB', 'HH', 'NI', 'SH'], since: 2018, on: [10, 31] },
  { name: 'Reformationstag', only: [2017], on: [10, 31] },
  { name: 'Allerheiligen', in: ['BW', 'BY', 'NW', 'RP', 'SL'], on: [11, 1] },
  { name: 'Buß- und Bettag', in: ['SN'], on: 'penance' },
  { name: '1. Weihnachtstag', on: [12, 25] },
  { name: '2. Weihnachtstag', on: [12, 26] },
];

const dayMs = 86_400_000;

/** Name by date (`YYYY-MM-DD`) of the holidays of a year, from 2000. */
export function holidaysOf(
  land: Land,
  year: number,
  local: readonly LocalHoliday[] = [],
): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const rule of rules) {
    if (rule.in !== undefined && !rule.in.includes(land)) continue;
    if (rule.since !== undefined && year < rule.since) continue;
    if (rule.only !== undefined && !rule.only.includes(year)) continue;
    if (rule.local !== undefined && !local.includes(rule.local)) continue;
    found.set(new Date(dayOf(rule.on, year)).toISOString().slice(0, 10), rule.name);
  }
  return found;
}

function dayOf(on: Rule['on'], year: number): number {
  if (typeof on === 'number') return easterSunday(year) + on * dayMs;
  if (on === 'penance') {
    const before = Date.UTC(year, 10, 22);
    return before - ((new Date(before).getUTCDay() + 4) % 7) * dayMs;
  }
  return Date.UTC(year, on[0] - 1, on[1]);
}

/** Easter Sunday of the Gregorian calendar (Meeus/Jones/Butcher), midnight UTC in epoch milliseconds. */
export function easterSunday(year: number): number {
  const a = year % 19;
  const century = Math.floor(year / 100);
  const rest = year % 100;
  const moon = Math.floor((century - Math.floor((century + 8) / 25) + 1) / 3);
  const h = (19 * a + century - Math.floor(century / 4) - moon + 15) % 30;
  const l = (32 + 2 * (century % 4) + 2 * Math.floor(rest / 4) - h - (rest % 4)) % 7;
  const m = Math.floor((a + 11 * h + 22 * l) / 451);
  const sum = h + l - 7 * m + 114;
  return Date.UTC(year, Math.floor(sum / 31) - 1, (sum % 31) + 1);
}
