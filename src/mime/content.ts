/** What a part's header says about its content (RFC 2045, 2183, 3282, 2557). */
import { parseAddresses } from './address.ts';
import { findField, type HeaderField } from './header.ts';
import type { Envelope, EnvelopeAddress } from './types.ts';

export type Params = readonly (readonly [string, string])[];

export interface Content {
  readonly type: string;
  readonly subtype: string;
  readonly params: Params;
  readonly id: string | null;
  readonly description: string | null;
  readonly encoding: string;
  readonly md5: string | null;
  readonly disposition: { readonly type: string; readonly params: Params } | null;
  readonly language: readonly string[] | null;
  readonly location: string | null;
}

const MAX_PARAMS = 200;

/** Stands for a host that is missing: null would mean group syntax (RFC 3501 7.4.2). */
const MISSING_HOST = 'MISSING_DOMAIN';

/** What a part is without a (readable) Content-Type (RFC 2045 5.2). */
export const plainText = {
  type: 'text',
  subtype: 'plain',
  params: [['charset', 'us-ascii']] as Params,
} as const;

/** Reads the MIME fields of a header. Total; of a field that occurs twice the topmost counts. */
export function readContent(fields: readonly HeaderField[], inDigest = false): Content {
  const value = (name: string) => findField(fields, name)?.value ?? null;
  return {
    ...readContentType(value('content-type'), inDigest),
    id: value('content-id'),
    description: value('content-description'),
    encoding: readToken(value('content-transfer-encoding')) || '7bit',
    md5: value('content-md5'),
    disposition: readDisposition(value('content-disposition')),
    language: readLanguage(value('content-language')),
    location: value('content-location'),
  };
}

/** RFC 3501 7.4.2: Sender and Reply-To default to From. */
export function readEnvelope(fields: readonly HeaderField[]): Envelope {
  const value = (name: string) => findField(fields, name)?.value ?? null;
  const addresses = (name: string) => readAddresses(value(name));
  const from = addresses('from');
  const orFrom = (list: readonly EnvelopeAddress[]) => (list.length > 0 ? list : from);
  return {
    date: value('date'),
    subject: value('subject'),
    from,
    sender: orFrom(addresses('sender')),
    replyTo: orFrom(addresses('reply-to')),
    to: addresses('to'),
    cc: addresses('cc'),
    bcc: addresses('bcc'),
    inReplyTo: value('in-reply-to'),
    messageId: value('message-id'),
  };
}

function readAddresses(value: string | null): EnvelopeAddress[] {
  if (value === null) return [];
  return parseAddresses(value).map((item) => {
    if (item.type === 'group-start') return { name: null, mailbox: item.name, host: null };
    if (item.type === 'group-end') return { name: null, mailbox: null, host: null };
    return { name: item.name, mailbox: item.local, host: item.domain || MISSING_HOST };
  });
}

function readContentType(
  value: string | null,
  inDigest: boolean,
): Pick<Content, 'type' | 'subtype' | 'params'> {
  // RFC 2046 5.1.5: the parts of a digest are messages unless they say otherwise.
  if (value === null) return inDigest ? { type: 'message', subtype: 'rfc822', params: [] } : plainText;
  const [head, params] = readParameterised(value);
  const match = /^([^\s/();,"]{1,127})\s{0,20}\/\s{0,20}([^\s/();,"]{1,127})/.exec(head);
  if (match === null) return { ...plainText, params: params.length > 0 ? params : plainText.params };
  return { type: match[1]!.toLowerCase(), subtype: match[2]!.toLowerCase(), params };
}

function readDisposition(value: string | null): Content['disposition'] {
  if (value === null) return null;
  const [head, params] = readParameterised(value);
  const type = readToken(head);
  return type === '' && params.length === 0 ? null : { type: type || 'attachment', params };
}

function readLanguage(value: string | null): string[] | null {
  const tags = value?.split(',', MAX_PARAMS).map(readToken).filter(Boolean) ?? [];
  return tags.length > 0 ? tags : null;
}

function readToken(value: string | null): string {
  return /^[^\s();,"]{1,127}/.exec(value?.trim() ?? '')?.[0].toLowerCase() ?? '';
}

/**
 * `head; name=value; name="value"` by one linear scan. A value without quotes goes up to the next
 * semicolon, white space included: clients write file names so.
 */
function readParameterised(value: string): [string, Params] {
  const params: [string, string][] = [];
  const semicolon = value.indexOf(';');
  if (semicolon === -1) return [value.trim(), params];
  let at = semicolon + 1;
  while (at < value.length && params.length < MAX_PARAMS) {
    const next = endOfParam(value, at);
    const equals = value.indexOf('=', at);
    if (equals !== -1 && equals < next) {
      const name = value.slice(at, equals).trim().toLowerCase();
      if (name !== '') params.push([name, readValue(value.slice(equals + 1, next).trim(), name)]);
    }
    at = next + 1;
  }
  return [value.slice(0, semicolon).trim(), params];
}

/** Position of the semicolon that ends the parameter at `at`, quoted strings passed over. */
function endOfParam(value: string, at: number): number {
  for (let i = at; i < value.length; i += 1) {
    if (value[i] === ';') return i;
    if (value[i] === '"') i = closingQuote(value, i);
  }
  return value.length;
}

/** Position of the quote that closes the one at `at`, or of the last character. */
function closingQuote(value: string, at: number): number {
  for (let i = at + 1; i < value.length; i += 1) {
    if (value[i] === '\\') i += 1;
    else if (value[i] === '"') return i;
  }
  return value.length;
}

function readValue(text: string, name: string): string {
  if (text.startsWith('"')) {
    const end = closingQuote(text, 0);
    // Quotes around a Windows path: a backslash that escapes nothing stands for itself.
    return text.slice(1, end).replace(/\\(["\\])/g, '$1');
  }
  if (name.startsWith('name') || name.startsWith('filename')) return text;
  return /^[^\s(]*/.exec(text)![0];
}
