/**
 * What a report says of a private De-Mail: it goes where the sender's mail goes, here or at the own server, and
 * that may be read by more than one.
 */
import type { Entry, SubmissionEntry } from '../evidence/entry.ts';
import { isPrivateEntry } from '../evidence/private.ts';

type Letter = Entry & SubmissionEntry;

/** The subject as a report may show it; null for a private De-Mail. */
export function shownSubject(letter: Letter): string | null {
  return isPrivateEntry(letter) ? null : letter.header.subject;
}

/** Of a private De-Mail's header as much as names it; null where the whole may be returned. */
export function shownHeader(letter: Letter): Buffer | null {
  if (!isPrivateEntry(letter)) return null;
  const { messageId, date } = letter.header;
  const fields = [
    ...(messageId === null ? [] : [`Message-ID: ${messageId}`]),
    ...(date === null ? [] : [`Date: ${date}`]),
  ].filter((line) => /^[\x20-\x7e]{1,998}$/.test(line));
  return Buffer.from(fields.map((line) => `${line}\r\n`).join(''));
}
