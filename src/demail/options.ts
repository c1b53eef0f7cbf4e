/** Dispatch options as headers, and who may set which header of the norm (TR-01201 IO 3.1). */
import { type DispatchOption, dispatchOptions } from '../evidence/entry.ts';
import { findField, type HeaderField } from '../mime/header.ts';

export const optionHeaders: Readonly<Record<DispatchOption, string>> = {
  dispatch: 'X-de-mail-confirmation-of-dispatch',
  receipt: 'X-de-mail-confirmation-of-receipt',
  retrieval: 'X-de-mail-confirmation-of-retrieve',
  authoritative: 'X-de-mail-authoritative',
  private: 'X-de-mail-private',
};

/** Headers of the norm that a client may set; the gateway writes them anew from what it read. */
const clientHeaders: ReadonlySet<string> = new Set([
  ...Object.values(optionHeaders).map((name) => name.toLowerCase()),
  'x-de-mail-sender',
  'x-de-mail-chosen-recipient',
  'x-de-mail-private-id',
  'x-de-mail-privat-id',
]);

/** Set by providers and mail servers alone, though they do not bear the norm's prefix. */
const transportHeaders: ReadonlySet<string> = new Set([
  'envelope-to',
  'resent-to',
  'resent-cc',
  'resent-bcc',
  'resent-from',
  'resent-sender',
  'resent-date',
  'resent-message-id',
]);

/**
 * The options that a header asks for, in the order of `dispatchOptions`. Only the topmost field of a name
 * counts, and only the exact value `yes`: values are case-sensitive, everything else means no.
 */
export function readOptions(fields: readonly HeaderField[]): DispatchOption[] {
  return dispatchOptions.filter(
    (option) => findField(fields, optionHeaders[option].toLowerCase())?.value === 'yes',
  );
}

/** Options that an account of the auth level normal cannot use (TR-01201 FU 3.3). */
export function needsLevelHigh(option: DispatchOption): boolean {
  return option === 'private' || option === 'retrieval' || option === 'authoritative';
}

/** Any header in the norm's name space, known or not. */
export function isNormHeader(lower: string): boolean {
  return lower.startsWith('x-de-mail-');
}

/** A header that only a provider may set: a client's is removed and recorded. */
export function isProviderHeader(lower: string): boolean {
  return (isNormHeader(lower) && !clientHeaders.has(lower)) || transportHeaders.has(lower);
}

/** The fields of a client's header that only a provider may set, as the submission entry records them. */
export function forbiddenHeaders(fields: readonly HeaderField[]): { name: string; value: string }[] {
  return fields.filter(({ lower }) => isProviderHeader(lower)).map(({ name, value }) => ({ name, value }));
}
