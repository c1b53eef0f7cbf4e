/**
 * What SEARCH finds in a message, folded. Header lines with encoded words decoded; of the body the text of every text
 * part (of HTML what is shown) and the headers of parts, so that names of attachments and what an enclosed message says
 * are found.
 */
import { type HeaderField, parseHeader } from '../mime/header.ts';
import { createHtmlText } from '../mime/html-text.ts';
import { createTextDecoder } from '../mime/part-text.ts';
import type { Envelope, EnvelopeAddress, PartIndex } from '../mime/types.ts';
import { decodeParameter, decodeWords } from '../mime/words.ts';
import type { Needle } from '../store/search-text.ts';
import type { Store } from '../store/store.ts';
import { type Composed, compose, type Span } from './composed.ts';
import { createFold, fold } from './folded-text.ts';
import { headerLimit, readHeader, readSpan } from './sections.ts';

/** Changes with every change of what is found or how it is folded: indexes of another edition are made anew. */
export const TEXT_EDITION = 1;

/** Envelope fields that have keys of their own (RFC 3501 6.4.4). */
export type EnvelopeField = 'subject' | 'from' | 'to' | 'cc' | 'bcc';
const envelopeFields: readonly EnvelopeField[] = ['subject', 'from', 'to', 'cc', 'bcc'];

/** Folded text of a field of the envelope; null where the message has none. */
export function envelopeText(envelope: Envelope, field: EnvelopeField): string | null {
  if (field === 'subject') return envelope.subject === null ? null : fold(decodeWords(envelope.subject));
  const list = envelope[field];
  return list.length === 0 ? null : fold(list.map(addressText).join(' '));
}

function addressText({ name, mailbox, host }: EnvelopeAddress): string {
  if (host === null) return mailbox === null ? ';' : `${decodeWords(mailbox)}:`;
  return name === null ? `<${mailbox}@${host}>` : `${decodeWords(name)} <${mailbox}@${host}>`;
}

/** `name: value`, folded: without a line end. */
export function headerLine({ name, value }: HeaderField): string {
  return fold(`${name}: ${decodeWords(value)}`);
}

/** Encoded bytes looked at per message: enough for any text, and attached mailings do not stall a search. */
const textLimit = 8 * 1024 * 1024;

/** Folded text of the body in pieces; a line end follows each part, so that nothing is found across two of them. */
export async function* bodyPieces(store: Store, tenant: string, composed: Composed): AsyncGenerator<string> {
  const read = spanReader(store, tenant, composed);
  const { root } = composed.content.index;
  let left = textLimit;
  const limited = ({ from, to }: Span, most: number): Span => {
    const span = { from, to: Math.max(from, Math.min(to, from + most, from + left)) };
    left -= span.to - span.from;
    return span;
  };
  for (const part of everyPart(root)) {
    const { header, body } = composed.locate(part);
    if (part !== root) {
      const chunks: Buffer[] = [];
      for await (const chunk of read(limited(header, headerLimit))) chunks.push(chunk);
      yield `${partHeader(part, Buffer.concat(chunks))}\n`;
    }
    if (part.parts.length > 0 || (part.type !== 'text' && part.type !== 'message')) continue;
    const text = createPartText(part);
    for await (const chunk of read(limited(body, textLimit))) yield text.write(chunk);
    yield `${text.end()}\n`;
  }
}

function* everyPart(part: PartIndex): Generator<PartIndex> {
  yield part;
  for (const child of part.parts) yield* everyPart(child);
}

function partHeader(part: PartIndex, bytes: Buffer): string {
  const lines = parseHeader(bytes).map(headerLine);
  const parameters = [...part.params, ...(part.disposition?.params ?? [])];
  // RFC 2231 spells names so that nobody finds them as they stand.
  if (parameters.some(([name]) => name.includes('*')))
    for (const name of ['filename', 'name']) lines.push(fold(decodeParameter(parameters, name) ?? ''));
  return lines.join('\n');
}

function createPartText(part: PartIndex) {
  const decode = createTextDecoder(part);
  const html = part.type === 'text' && part.subtype === 'html' ? createHtmlText() : null;
  const folded = createFold();
  return {
    write: (chunk: Buffer) => folded.write(html ? html.write(decode.write(chunk)) : decode.write(chunk)),
    end: () => {
      const rest = decode.end();
      return folded.write(html ? html.write(rest) + html.end() : rest) + folded.end();
    },
  };
}

/** Bytes read at a time, where parts are smaller: many parts lie in one block. */
const BLOCK = 64 * 1024;

/** Reads spans of a message in their order, small ones out of a block that is read once. */
function spanReader(store: Store, tenant: string, composed: Composed): (span: Span) => AsyncIterable<Buffer> {
  const { source } = composed.content;
  let from = 0;
  let block: Buffer = Buffer.alloc(0);
  return async function* (span) {
    if (span.to - span.from > BLOCK) return yield* store.readSource(tenant, source, span.from, span.to);
    if (span.from < from || span.to > from + block.length) {
      from = span.from;
      const to = Math.min(composed.size, from + 2 * BLOCK);
      block = await readSpan(store, tenant, source, { from, to });
    }
    yield block.subarray(span.from - from, span.to - from);
  };
}

/** Characters of a text that is indexed; a message with more is read each time. */
const LARGEST_TEXT = 4 * 1024 * 1024;

/** All that is found in a stored message, as `wholeText` puts it together. */
export interface MessageText {
  readonly header: readonly string[];
  readonly body: string;
}

/** The text of a stored message with what it is filtered by; null where it is too long. */
export async function textsOf(
  store: Store,
  tenant: string,
  { object, index }: { readonly object: string; readonly index: Parameters<typeof compose>[0]['index'] },
): Promise<{ readonly texts: readonly Needle[]; readonly whole: string } | null> {
  const composed = compose({
    uid: 0,
    source: { prefix: Buffer.alloc(0), object, from: 0 },
    index,
    privateOf: null,
  });
  const header = (await readHeader(store, tenant, composed)).map(headerLine);
  const pieces: string[] = [];
  let length = 0;
  for await (const piece of bodyPieces(store, tenant, composed)) {
    pieces.push(piece);
    length += piece.length;
    if (length > LARGEST_TEXT) return null;
  }
  const body = pieces.join('');
  const texts: Needle[] = [{ where: 'body', text: body }];
  for (const text of header) texts.push({ where: 'header', text });
  for (const where of envelopeFields)
    texts.push({ where, text: envelopeText(composed.envelope, where) ?? '' });
  return { texts, whole: `${header.join('\n')}\0${body}` };
}

/** The inverse of `whole`. */
export function splitText(whole: string): MessageText {
  const end = whole.indexOf('\0');
  return { header: whole.slice(0, end).split('\n'), body: whole.slice(end + 1) };
}
