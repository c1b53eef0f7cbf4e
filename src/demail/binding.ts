/**
 * Does a confirmation belong to the letter that it claims to confirm? Pure comparisons between what it states and
 * what was handed over (TR-01201 IO 3.5.1: Hash and OriginalHeader). Whether its signature is good is for the PKI.
 */
import type { CheckFact } from '../evidence/entry.ts';
import { findField, type HeaderField } from '../mime/header.ts';
import { compared, hex, shown, spaced } from './comparison.ts';
import { optionHeaders } from './options.ts';
import { parseRecipientList } from './recipients.ts';

/** One attempt to hand a letter over: what the provider got from us. */
export interface HandedOver {
  readonly attempt: number;
  readonly privateId: string;
  /** De-Mail address that the letter was sent from. */
  readonly sender: string;
  readonly fields: readonly HeaderField[];
  /** The body's digest by the algorithm that the confirmation names; null where it could not be computed. */
  readonly bodyHash: Buffer | null;
  readonly recipients: readonly string[];
}

/** What a confirmation says about the original. */
export interface Statement {
  readonly original: OriginalStatement;
  /** Lower-case addresses that it speaks of. */
  readonly recipients: readonly string[];
  /** Private-id in the header of the confirmation itself. */
  readonly privateId: string | null;
}

export type OriginalStatement =
  | {
      readonly ok: true;
      /** Such as `sha256/rsa`. */
      readonly algorithm: string;
      /** `bh=` of Hash. */
      readonly bodyHash: Buffer;
      readonly headerHash: Buffer;
      /** Does `b=` hold the header hash, or a signature that verifies? */
      readonly headerFits: boolean;
      readonly isSigned: boolean;
      /** The original's fields that `b=` covers, line ends restored. */
      readonly covered: readonly HeaderField[];
    }
  | { readonly ok: false; readonly reason: string };

type Original = Extract<OriginalStatement, { ok: true }>;

/** Headers that we hand over; Date and Message-ID may be the provider's. */
const ours = ['from', 'subject', 'reply-to', 'x-de-mail-sender', 'x-de-mail-private-id'] as const;
const CHOSEN = 'x-de-mail-chosen-recipient';

/**
 * Each comparison with its outcome, in words. `attempts` are all attempts of the transaction: which of them the
 * provider took is not known where one broke, so the one that fits best is compared. Total.
 */
export function compareBinding(statement: Statement, attempts: readonly HandedOver[]): CheckFact[] {
  const { original } = statement;
  if (!original.ok)
    return [compared('original', false, `the original cannot be recomputed: ${original.reason}`)];
  if (attempts.length === 0)
    return [compared('hand-over', false, 'nothing has been handed over that it could confirm')];
  const each = attempts.map((attempt) => compareAttempt(statement, original, attempt));
  const failures = (checks: readonly CheckFact[]) => checks.filter((c) => c.result !== 'passed').length;
  // The later attempt wins a tie: it is the one that went on.
  return each.reduce((best, next) => (failures(next) <= failures(best) ? next : best));
}

function compareAttempt(statement: Statement, original: Original, handed: HandedOver): CheckFact[] {
  return [
    compareBody(original, handed.bodyHash, `handed over in attempt ${handed.attempt}`),
    compareHeaderHash(original),
    ...ours.flatMap((name) => compareField(name, original.covered, handed.fields)),
    compareOptions(original.covered, handed.fields),
    compareChosen(original.covered, handed.fields),
    compareAccount(original.covered, handed),
    comparePrivateId(statement, original.covered, handed),
    compareRecipients(statement, handed),
  ];
}

function compareBody({ bodyHash }: Original, body: Buffer | null, whence: string): CheckFact {
  const name = 'original-body-hash';
  if (body === null) return compared(name, false, `the body ${whence} cannot be read any more`);
  const same = body.equals(bodyHash);
  return compared(
    name,
    same,
    same
      ? `bh= is the digest of the body ${whence} (${hex(body)})`
      : `bh= is ${hex(bodyHash)}, the body ${whence} has ${hex(body)}`,
  );
}

function compareHeaderHash({ headerFits, isSigned, algorithm, headerHash }: Original): CheckFact {
  const digest = `the original's header has ${algorithm} digest ${hex(headerHash)}`;
  return compared(
    'original-header-hash',
    headerFits,
    isSigned
      ? `${digest}; its signature b= ${headerFits ? 'verifies' : 'does not verify'}`
      : `${digest}, which b= ${headerFits ? 'holds' : 'does not hold'}`,
  );
}

function compareField(
  name: string,
  covered: readonly HeaderField[],
  handed: readonly HeaderField[],
): CheckFact[] {
  const before = findField(handed, name);
  const after = findField(covered, name);
  // A provider that fills a gap changes nothing that we set.
  if (before === undefined) return [];
  const check = `original-${name}`;
  if (after === undefined)
    return [compared(check, false, `handed over as ${shown(before.value)}, not covered by the confirmation`)];
  const same = spaced(before.value) === spaced(after.value);
  return [
    compared(
      check,
      same,
      same
        ? `${shown(after.value)}, as handed over`
        : `${shown(after.value)}, handed over as ${shown(before.value)}`,
    ),
  ];
}

/** An option that appears is as bad as one that is gone: each has legal effect. */
function compareOptions(covered: readonly HeaderField[], handed: readonly HeaderField[]): CheckFact {
  const chosen = (fields: readonly HeaderField[]) =>
    Object.values(optionHeaders)
      .filter((name) => findField(fields, name.toLowerCase())?.value.trim().toLowerCase() === 'yes')
      .map((name) => name.slice('X-de-mail-'.length))
      .join(', ') || 'none';
  const [before, after] = [chosen(handed), chosen(covered)];
  return compared(
    'original-options',
    before === after,
    before === after ? `${after}, as handed over` : `${after}, handed over as ${before}`,
  );
}

function compareChosen(covered: readonly HeaderField[], handed: readonly HeaderField[]): CheckFact {
  const [before, after] = [handed, covered].map((fields) => findField(fields, CHOSEN)?.value ?? '');
  const same = roles(before!) === roles(after!);
  return compared(
    `original-${CHOSEN}`,
    same,
    same ? `${shown(after!)}, as handed over` : `${shown(after!)}, handed over as ${shown(before!)}`,
  );
}

/** Providers may print a list in a form of their own; who stands in it, and as what, must not differ. */
function roles(value: string): string {
  const { to, cc, bcc } = parseRecipientList(value);
  return JSON.stringify([to, cc, bcc].map((list) => list.map(({ address }) => address.toLowerCase()).sort()));
}

function compareAccount(covered: readonly HeaderField[], { sender }: HandedOver): CheckFact {
  const stated = findField(covered, 'x-de-mail-sender')?.value.trim() ?? '';
  const same = stated.toLowerCase() === sender.toLowerCase();
  return compared(
    'account',
    same,
    `the original was sent by ${shown(stated)}${same ? '' : `, not ${sender}`}`,
  );
}

function comparePrivateId(
  { privateId }: Statement,
  covered: readonly HeaderField[],
  handed: HandedOver,
): CheckFact {
  const inOriginal = findField(covered, 'x-de-mail-private-id')?.value.trim() ?? null;
  const wrong = [inOriginal, privateId].find((id) => id !== null && id !== handed.privateId);
  if (wrong !== undefined && wrong !== null)
    return compared('private-id', false, `${shown(wrong)}, the hand-over has ${shown(handed.privateId)}`);
  const named = inOriginal ?? privateId;
  return named === null
    ? compared('private-id', false, 'none is stated')
    : compared('private-id', true, `${shown(named)}, that of the hand-over`);
}

function compareRecipients({ recipients }: Statement, handed: HandedOver): CheckFact {
  const known = new Set(handed.recipients.map((address) => address.toLowerCase()));
  if (recipients.length === 0) return compared('recipient', false, 'it does not say for whom');
  const strange = recipients.filter((address) => !known.has(address.toLowerCase()));
  return strange.length === 0
    ? compared('recipient', true, `${shown(recipients.join(', '))}, among those handed over`)
    : compared('recipient', false, `${shown(strange.join(', '))} was not handed over`);
}

/** A De-Mail as it came to us. */
export interface ReceivedLetter {
  readonly fields: readonly HeaderField[];
  /** The body's digest by the algorithm that the confirmation names; null where it could not be computed. */
  readonly bodyHash: Buffer | null;
  /** Lower-case addresses that it came for. */
  readonly recipients: readonly string[];
}

/** The same for a De-Mail that the tenant received: nothing of ours stands in it, so all of it must be as it came. */
export function compareReceived(statement: Statement, letter: ReceivedLetter): CheckFact[] {
  const { original, recipients } = statement;
  if (!original.ok)
    return [compared('original', false, `the original cannot be recomputed: ${original.reason}`)];
  const other = original.covered.filter(
    ({ lower, value }) => spaced(findField(letter.fields, lower)?.value ?? '') !== spaced(value),
  );
  const strange = recipients.filter((address) => !letter.recipients.includes(address.toLowerCase()));
  return [
    compareBody(original, letter.bodyHash, 'that came'),
    compareHeaderHash(original),
    ...other.map(({ name, lower, value }) =>
      compared(
        `original-${lower}`,
        false,
        `${shown(value)}, the De-Mail came with ${name}: ${shown(findField(letter.fields, lower)?.value ?? '')}`,
      ),
    ),
    ...(other.length > 0
      ? []
      : [compared('original-header', true, `${original.covered.length} fields, each as it came`)]),
    recipients.length > 0 && strange.length === 0
      ? compared('recipient', true, `${shown(recipients.join(', '))}, whom it came for`)
      : compared('recipient', false, `it did not come for ${shown(strange.join(', '))}`),
  ];
}

/** What the provider keeps under Sent against what it was given: every field that differs, and the body. */
export function compareSentCopy(
  copy: { readonly fields: readonly HeaderField[]; readonly bodySha256: string },
  handed: { readonly fields: readonly HeaderField[]; readonly bodySha256: string },
): CheckFact[] {
  const names = new Set([...handed.fields, ...copy.fields].map(({ lower }) => lower).filter(Boolean));
  const differences = [...names].flatMap((name) => {
    const before = handed.fields.filter((f) => f.lower === name).map((f) => f.value);
    const after = copy.fields.filter((f) => f.lower === name).map((f) => f.value);
    if (before.length === after.length && before.every((v, i) => spaced(v) === spaced(after[i]!))) return [];
    const reason =
      before.length === 0
        ? `added by the provider: ${shown(after.join(' | '))}`
        : after.length === 0
          ? `missing, handed over as ${shown(before.join(' | '))}`
          : `${shown(after.join(' | '))}, handed over as ${shown(before.join(' | '))}`;
    // A provider adds headers and may replace Date and Message-ID: a difference to be listed, no fault.
    const allowed = before.length === 0 || name === 'date' || name === 'message-id';
    return [{ name: `sent-copy ${name}`, result: allowed ? 'passed' : 'failed', reason } as const];
  });
  const same = copy.bodySha256 === handed.bodySha256;
  return [
    compared(
      'sent-copy body',
      same,
      same
        ? `SHA-256 ${handed.bodySha256.slice(0, 16)}…, as handed over`
        : `SHA-256 ${copy.bodySha256.slice(0, 16)}…, handed over as ${handed.bodySha256.slice(0, 16)}…`,
    ),
    ...differences.slice(0, 100),
  ];
}

/** `no` where anything fails; `provisional` where all holds but what is not known yet. */
export function countsBy(checks: readonly CheckFact[]): 'yes' | 'provisional' | 'no' {
  if (checks.length === 0 || checks.some(({ result }) => result === 'failed')) return 'no';
  return checks.some(({ result }) => result === 'undecided') ? 'provisional' : 'yes';
}
