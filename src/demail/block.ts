/**
 * The block of headers that stands before a delivered copy. The provider's bytes follow it unchanged; its
 * first field says how long it is, so that it can be taken off exactly.
 *
 * The names are outside the norm's `X-de-mail-` on purpose: that name space belongs to the providers.
 */
import type { Verdict } from '../evidence/entry.ts';
import { type FieldValue, writeField } from '../mime/fold.ts';
import { messageIdOf } from '../mime/message-id.ts';

export interface BlockInput {
  readonly tenant: string;
  /** What was delivered, such as `inbound`, `confirmation of dispatch` or `notification`. */
  readonly kind: string;
  readonly verdict: Verdict;
  /** Why the verdict is not better, in few words. */
  readonly verdictReason?: string | null;
  /** Whether a confirmation counts for its letter. */
  readonly counts?: 'yes' | 'provisional' | 'no' | undefined;
  /** The letter that it belongs to (`tenant/index`), null where it fits none; absent where it is one itself. */
  readonly letter?: string | null | undefined;
  readonly privateId?: string | null;
  /** Recipients that a confirmation speaks of. */
  readonly recipients?: readonly string[];
  /** RFC 3339 time that a confirmation states. */
  readonly statedTime?: string | null;
  /** Message-ID of the letter, with its angle brackets: puts the copy into the letter's thread. */
  readonly inReplyTo?: string | null;
  /** Why it lies in this mailbox. */
  readonly reason?: string | null;
}

const START = 'X-Demail-Gateway';
const first = /^X-Demail-Gateway: begin; length=(\d{5})\r\n/;
const LENGTH_DIGITS = 5;
const MAX_VALUE = 900;

/** The block: complete header lines, each ended by CRLF, without an empty line. Values are sanitised. */
export function deliveredBlock(input: BlockInput): Buffer {
  const threading = messageIdOf(input.inReplyTo);
  const fields: [string, FieldValue | null][] = [
    [`${START}-Tenant`, clean(input.tenant)],
    [`${START}-Kind`, clean(input.kind)],
    [`${START}-Verdict`, input.verdict],
    [`${START}-Verdict-Reason`, clean(input.verdictReason)],
    [`${START}-Counts`, input.counts ?? null],
    [`${START}-Letter`, input.letter === undefined ? null : (clean(input.letter) ?? 'unmatched')],
    [`${START}-Private-Id`, privateIdOf(input.privateId)],
    [`${START}-Recipients`, listed(input.recipients ?? [])],
    [`${START}-Stated-Time`, clean(input.statedTime)],
    [`${START}-Reason`, clean(input.reason)],
    ['In-Reply-To', unfolded(threading)],
    ['References', unfolded(threading)],
  ];
  const rest = fields
    .filter((field): field is [string, FieldValue] => field[1] !== null)
    .map(([name, value]) => writeField(name, value))
    .join('');
  const begin = (length: number) =>
    writeField(START, `begin; length=${String(length).padStart(LENGTH_DIGITS, '0')}`);
  return Buffer.from(begin(begin(0).length + rest.length) + rest, 'latin1');
}

/** Length of the block at the start of a delivered copy, 0 where there is none. */
export function blockLength(copy: Buffer): number {
  const length = Number(first.exec(copy.toString('latin1', 0, 60))?.[1] ?? 0);
  // The block is complete lines: whatever claims otherwise is not ours.
  return length <= copy.length && length >= 2 && copy.toString('latin1', length - 2, length) === '\r\n'
    ? length
    : 0;
}

/** One line of printable ASCII, at most 900 characters, or null where nothing is left. */
function clean(value: string | null | undefined): string | null {
  const text = value
    ?.slice(0, 4 * MAX_VALUE)
    .replace(/\s+/g, ' ')
    .replace(/[^ -~]/g, '_')
    .trim();
  return text ? text.slice(0, MAX_VALUE).trim() : null;
}

function unfolded(value: string | null): FieldValue | null {
  return value === null ? null : { unfolded: value };
}

/** Whole or not at all: half a private-id names something else. */
function privateIdOf(value: string | null | undefined): FieldValue | null {
  return value && /^[ -~]{1,960}$/.test(value) ? unfolded(value) : null;
}

const MAX_LISTED = 100;

function listed(recipients: readonly string[]): FieldValue | null {
  const list = recipients.slice(0, MAX_LISTED).flatMap((recipient) => clean(recipient.slice(0, 253)) ?? []);
  const more = recipients.length > MAX_LISTED ? [`and ${recipients.length - MAX_LISTED} more`] : [];
  return list.length === 0
    ? null
    : [...list, ...more].map((item, i, all) => (i < all.length - 1 ? `${item},` : item));
}
