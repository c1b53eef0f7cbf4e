/** What a message may be: written by somebody, to be read; with one unambiguous header. */

import type { ErrorCode } from '../errors.ts';
import { parseAddressList } from '../mime/address.ts';
import type { HeaderField } from '../mime/header.ts';
import type { MessageIndex, PartIndex } from '../mime/types.ts';
import { decodeWords } from '../mime/words.ts';
import type { Said } from './texts.ts';

/** An error, with what it was about where that helps the sender. */
export interface ContentError {
  readonly code: ErrorCode;
  readonly detail?: string | Said;
}

/** RFC 5322 3.6: at most once. Twice, two readers could see two different letters; of others no harm comes. */
const once = new Set([
  'date',
  'sender',
  'reply-to',
  'to',
  'cc',
  'bcc',
  'message-id',
  'subject',
  'content-type',
  'content-transfer-encoding',
]);
/** More fields than this no program writes; each is looked at again at hand-over. */
const MAX_FIELDS = 1000;

/** The one From address, or why not. `''` domain or several are errors. Pure. */
export function fromAddress(fields: readonly HeaderField[]): { address: string } | ContentError {
  const all = fields.filter((field) => field.lower === 'from');
  if (all.length > 1) return { code: 'from-multiple' };
  const [only, ...more] = all.length === 0 ? [] : parseAddressList(all[0]!.value);
  if (only === undefined || only.local === '' || only.domain === '') return { code: 'from-missing' };
  if (more.length > 0) return { code: 'from-multiple' };
  return { address: only.address };
}

/** The header as a whole. Pure. */
export function checkHeader(fields: readonly HeaderField[]): ContentError | undefined {
  if (fields.length > MAX_FIELDS)
    return {
      code: 'header-malformed',
      detail: { de: `über ${MAX_FIELDS} Felder`, en: `more than ${MAX_FIELDS} fields` },
    };
  const seen = new Set<string>();
  let line = 1;
  for (const field of fields) {
    // Among them the `From ` line of an mbox file: a peer could take it for the end of the header.
    if (field.name === '') {
      const detail = { de: `Zeile ${line} ist kein Feld`, en: `line ${line} is no header field` };
      return { code: 'header-malformed', detail };
    }
    line += field.raw.toString('latin1').split('\n').length - 1;
    if (once.has(field.lower) && seen.has(field.lower)) {
      const detail = { de: `${field.name} kommt zweimal vor`, en: `${field.name} occurs twice` };
      return { code: 'header-malformed', detail };
    }
    seen.add(field.lower);
  }
  return isAutomatic(fields) ? { code: 'automatic-reply' } : undefined;
}

/** Subjects that Exchange and Outlook give to out-of-office notices. */
const noticeSubject = /^(automatische antwort|automatic reply|abwesend|abwesenheit|out of office)\b/i;

/**
 * A notice that a program wrote by itself: RFC 3834 `Auto-Submitted`, the older marks, reports, and
 * Outlook's out-of-office notice, which carries a suppression header and a set subject. The suppression
 * header alone marks nothing: specialist applications set it on what they send. Pure.
 */
export function isAutomatic(fields: readonly HeaderField[]): boolean {
  const value = (lower: string): string | undefined =>
    fields.find((field) => field.lower === lower)?.value.toLowerCase();
  const keyword = (text: string | undefined): string => text?.split(/[;\s(]/, 1)[0] ?? '';

  const submitted = value('auto-submitted');
  if (submitted !== undefined && keyword(submitted) !== 'no') return true;
  if (['bulk', 'junk', 'auto_reply'].includes(keyword(value('precedence')))) return true;
  if (['x-autoreply', 'x-autorespond', 'x-autoresponder'].some((lower) => value(lower) !== undefined))
    return true;
  if (keyword(value('content-type')) === 'multipart/report') return true;
  const suppressed = /\b(all|oof|autoreply)\b/.test(value('x-auto-response-suppress') ?? '');
  return suppressed && noticeSubject.test(decodeWords(value('subject') ?? ''));
}

/** The body, by its structure. Pure. */
export function checkBody(index: MessageIndex): ContentError | undefined {
  return hasTnef(index.root) || index.attachments.some((a) => a.name?.toLowerCase() === 'winmail.dat')
    ? { code: 'winmail-dat' }
    : undefined;
}

/** Outlook's rich text in its wrapping: the recipient's provider and client could not open it. */
function hasTnef(part: PartIndex): boolean {
  const type = `${part.type}/${part.subtype}`.toLowerCase();
  if (type === 'application/ms-tnef' || type === 'application/vnd.ms-tnef') return true;
  return part.parts.some(hasTnef);
}
