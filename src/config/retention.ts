/** What the configuration says of how long letters are kept, and who may erase one before its time. */
import { z } from 'zod';
import { dispatchOptions } from '../evidence/entry.ts';
import type { RecordGroup } from '../evidence/record-groups.ts';

const unitOf = { d: 'days', mo: 'months', y: 'years' } as const;

export interface RetentionPeriod {
  readonly count: number;
  readonly unit: (typeof unitOf)[keyof typeof unitOf];
}

/** Milliseconds that a period takes at least. */
export function shortestPeriod({ count, unit }: RetentionPeriod): number {
  return count * { days: 1, months: 28, years: 365 }[unit] * 86_400_000;
}

/** `30d`, `6mo`, `10y`. */
const period = z
  .string()
  .regex(/^[1-9]\d{0,2}(d|mo|y)$|^[1-9]\d{3,4}d$/, 'forever, or a period such as 90d, 6mo or 10y')
  .transform((text): RetentionPeriod => {
    const [, count, unit] = /^(\d+)(d|mo|y)$/.exec(text)!;
    return { count: Number(count), unit: unitOf[unit as keyof typeof unitOf] };
  });

/** `*` stands for any characters; upper and lower case are the same. */
const pattern = z.string().min(1).max(200);

/** What a letter can begin with, and messages that belong to none. */
export const retainedKinds = [
  'submission',
  'refused',
  'inbound',
  'confirmation',
  'notification',
  'sent-copy',
  'notice',
] as const;

const retentionClass = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'lower-case letters, digits and hyphens')
    .refine((name) => name !== 'on-demand', 'on-demand is what persons ask for'),
  /** All that is named must fit; nothing named fits every letter. */
  match: z
    .strictObject({
      kinds: z.array(z.enum(retainedKinds)).min(1).optional(),
      /** Dispatch options: each of them must have been chosen. */
      options: z.array(z.enum(dispatchOptions)).min(1).optional(),
      fileReference: pattern.optional(),
      sender: pattern.optional(),
      /** One recipient at least. */
      recipient: pattern.optional(),
    })
    .prefault({}),
  keep: z.union([z.literal('forever'), period]),
  /** When the period begins: with the end of the year of the last entry that counts, or the day after it. */
  from: z.enum(['year-end', 'last-entry']).default('year-end'),
  legalBasis: z.string().min(1).max(500),
  /** Operators are told so long before; nothing is erased that was not announced. Milliseconds. */
  reviewBefore: z
    .string()
    .regex(/^\d{1,3}d$/, 'whole days, such as 30d')
    .prefault('30d')
    .transform((text) => Number.parseInt(text, 10) * 86_400_000),
  /** Copies in mailboxes: the user's matter, or removed along with the evidence. */
  copies: z.enum(['stay', 'remove']).default('stay'),
});

/** The same of entries that belong to no letter; they lie in no mailbox. */
const recordClass = z.strictObject(
  (({ keep, from, legalBasis, reviewBefore }) => ({ keep, from, legalBasis, reviewBefore }))(
    retentionClass.shape,
  ),
);

/** Without a word in the configuration: as data protection has it for what is noted about persons who used a system. */
const recordDefaults = {
  // Until the end of the year after the one of the entry.
  access: { keep: '1y', legalBasis: '§ 76 (4) BDSG' },
  // As long as claims may be raised.
  login: { keep: '3y', legalBasis: '§§ 195, 199 BGB' },
  incident: { keep: '3y', legalBasis: '§§ 195, 199 BGB' },
  operation: { keep: 'forever', legalBasis: 'Art. 5 (2) GDPR' },
} as const satisfies Record<RecordGroup, z.input<typeof recordClass>>;

export const retention = z.strictObject({
  /** The first that fits counts; what fits none is kept for ever. */
  classes: z.array(retentionClass).default([]),
  /** What belongs to no letter: accesses, logins at the provider, incidents, operators' acts. */
  records: z
    .strictObject({
      access: recordClass.prefault(recordDefaults.access),
      login: recordClass.prefault(recordDefaults.login),
      incident: recordClass.prefault(recordDefaults.incident),
      operation: recordClass.prefault(recordDefaults.operation),
    })
    .prefault({}),
  /** Logins of those who may propose, and agree to, an erasure before its time: always two of them. */
  approvers: z.array(z.string().max(253)).default([]),
});

export type RetentionConfig = z.output<typeof retention>;
export type RetentionClass = RetentionConfig['classes'][number];
