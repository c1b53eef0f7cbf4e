/** How long a letter is kept: the rules, and nothing but the rules. Pure. */
import type { RetentionClass, RetentionConfig, RetentionPeriod } from '../config/retention.ts';
import { createZone } from '../demail/calendar.ts';
import type { DispatchOption, Entry, EntryKind } from '../evidence/entry.ts';
import type { RecordGroup } from '../evidence/record-groups.ts';

/** What classes ask of a letter: all of it stands in its first entry. */
export interface RetainedLetter {
  readonly kind: EntryKind;
  readonly options: readonly DispatchOption[];
  readonly fileReference: string | null;
  readonly sender: string | null;
  readonly recipients: readonly string[];
}

export function retainedLetter(entry: Entry): RetainedLetter {
  const nothing = { kind: entry.kind, options: [], fileReference: null, sender: null, recipients: [] };
  switch (entry.kind) {
    case 'submission':
    case 'refused':
      return {
        ...nothing,
        options: entry.options,
        fileReference: entry.kind === 'submission' ? (entry.fileReference ?? null) : null,
        sender: entry.sender,
        recipients: entry.envelope.recipients.map(({ address }) => address),
      };
    case 'inbound':
    case 'confirmation':
    case 'notification':
    case 'sent-copy':
      return {
        ...nothing,
        options: entry.demail.options,
        sender: entry.demail.sender ?? entry.header.from,
        recipients: [...entry.demail.envelopeTo, ...entry.demail.chosenRecipients],
      };
    default:
      return nothing;
  }
}

/** Class of the entries of a group that belong to no letter. */
export function recordClassOf(group: RecordGroup, { records }: RetentionConfig): RetentionClass {
  return { name: `records-${group}`, match: {}, copies: 'stay', ...records[group] };
}

/** The first class that fits; null: it is kept for ever. */
export function classOf(letter: RetainedLetter, classes: readonly RetentionClass[]): RetentionClass | null {
  return classes.find(({ match }) => fits(letter, match)) ?? null;
}

function fits(letter: RetainedLetter, match: RetentionClass['match']): boolean {
  const { kinds, options, fileReference, sender, recipient } = match;
  return (
    (kinds === undefined || (kinds as readonly string[]).includes(letter.kind)) &&
    (options === undefined || options.every((option) => letter.options.includes(option))) &&
    (fileReference === undefined || like(letter.fileReference, fileReference)) &&
    (sender === undefined || like(letter.sender, sender)) &&
    (recipient === undefined || letter.recipients.some((address) => like(address, recipient)))
  );
}

/** `*` is any run of characters. Linear: each part is looked for after the one before. */
function like(text: string | null, pattern: string): boolean {
  if (text === null) return false;
  const [first = '', ...rest] = pattern.toLowerCase().split('*');
  const whole = text.toLowerCase();
  const last = rest.pop();
  if (last === undefined) return whole === first;
  if (!whole.startsWith(first)) return false;
  let at = first.length;
  for (const part of rest) {
    const found = whole.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return whole.length - last.length >= at && whole.endsWith(last);
}

/** Entries that only look after a letter, and do not make it younger. */
const afterwards: ReadonlySet<EntryKind> = new Set<EntryKind>([
  'verdict',
  'scan',
  'overdue',
  'opened',
  'deletion-intent',
  'deletion-outcome',
  'retention-hold',
  'erasure-proposed',
]);

/** Epoch ms of the last entry that handles the letter. */
export function lastHandled(entries: readonly Entry[]): number {
  return Math.max(...entries.filter(({ kind }) => !afterwards.has(kind)).map(({ time }) => Date.parse(time)));
}

/**
 * The instant from which on a letter may be erased, epoch ms; null: never. German periods begin with the end of the
 * calendar year in which a document came about (§ 147 (4) AO, § 257 (5) HGB), and end with the end of a day (§ 188 BGB).
 * @param last epoch ms of the last entry that counts
 * @param timeZone IANA name of the office's time zone
 */
export function keptUntil(
  { keep, from }: Pick<RetentionClass, 'keep' | 'from'>,
  last: number,
  timeZone: string,
): number | null {
  if (keep === 'forever') return null;
  const zone = createZone(timeZone);
  const local = new Date(zone.wall(last));
  const end =
    from === 'year-end'
      ? add(local.getUTCFullYear(), 11, 31, keep)
      : add(local.getUTCFullYear(), local.getUTCMonth(), local.getUTCDate(), keep);
  return zone.instant(end + DAY, 'earlier');
}

const DAY = 86_400_000;

/** The last day of the period, as midnight of a clock without a zone. A day that its month does not have is its last. */
function add(year: number, month: number, day: number, { count, unit }: RetentionPeriod): number {
  if (unit === 'days') return Date.UTC(year, month, day + count);
  const months = month + (unit === 'months' ? count : 12 * count);
  const lastOfMonth = new Date(Date.UTC(year, months + 1, 0)).getUTCDate();
  // The end of the year stays the end of a month.
  const wanted = month === 11 && day === 31 ? lastOfMonth : Math.min(day, lastOfMonth);
  return Date.UTC(year, months, wanted);
}
