/** Times in signed XML, and whether they fit the mail that brought it. */
import type { CheckFact } from '../evidence/entry.ts';

/** What is signed is written, then sent: it may be that much younger than the Date header. */
const MAX_AHEAD_MS = 5 * 60_000;
/** And that much older: a provider may hold its own mail back for a while, but a day is another event. */
const MAX_BEHIND_MS = 24 * 60 * 60_000;

/** How a comparison came out, in words. */
export type Outcome = readonly [result: CheckFact['result'], reason: string];

export interface DateTime {
  readonly text: string;
  /** RFC 3339 in UTC; null where no time zone is given, so that no moment is named. */
  readonly utc: string | null;
}

/** xs:dateTime (XML Schema 1.0 part 2, 3.2.7), null where it is none. */
export function parseDateTime(input: string): DateTime | null {
  const text = input.replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, '');
  const match =
    /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,12}))?(Z|[+-](?:0\d|1[0-3]):[0-5]\d|[+-]14:00)?$/.exec(
      text,
    );
  if (match === null) return null;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const zone = match[8];
  const midnight = hour === 24 && minute === 0 && second === 0 && /^0*$/.test(match[7] ?? '');
  if (year === 0 || minute > 59 || second > 59 || (hour > 23 && !midnight)) return null;
  // Date.UTC carries the thirtieth of February over into March: no such day.
  const date = new Date(Date.UTC(year, month - 1, day));
  date.setUTCFullYear(year, month - 1, day);
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return null;
  if (zone === undefined) return { text, utc: null };
  const fraction = Number(`0.${match[7] ?? '0'}`);
  const offset = zone === 'Z' ? 0 : offsetMinutes(zone);
  const moment = date.getTime() + ((hour * 60 + minute - offset) * 60 + second + fraction) * 1000;
  return { text, utc: new Date(Math.floor(moment)).toISOString() };
}

function offsetMinutes(zone: string): number {
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(4, 6));
  return zone.startsWith('-') ? -minutes : minutes;
}

/** Whether a signed time and the Date header (RFC 5322, null where there is none) tell of the same event. */
export function agreesWithDate(time: DateTime, dateHeader: string | null): Outcome {
  const date = Date.parse(dateHeader ?? '');
  if (time.utc === null) return ['undecided', `${time.text} has no time zone, so names no moment`];
  if (Number.isNaN(date)) return ['undecided', 'the covered header has no readable Date'];
  const behind = date - Date.parse(time.utc);
  const said = `the XML says ${time.text}, the header ${new Date(date).toISOString()}`;
  return behind >= -MAX_AHEAD_MS && behind <= MAX_BEHIND_MS ? ['passed', said] : ['failed', said];
}
