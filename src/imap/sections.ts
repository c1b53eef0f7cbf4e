/** Bytes of a message's sections, by range reads: a header costs no body. */
import { type HeaderField, parseHeader } from '../mime/header.ts';
import type { ByteSource, Store } from '../store/store.ts';
import type { Section } from './codec/command.ts';
import type { Composed, Span } from './composed.ts';
import type { ShownMessage } from './shown.ts';

/** Beyond that a header is not looked at: no honest message has one so long. */
export const headerLimit = 1024 * 1024;

/** What a section holds: a span still to be read, or bytes put together; null: no such section. */
export type SectionBytes = { readonly span: Span } | { readonly bytes: Buffer } | null;

type Partial = { readonly from: number; readonly count: number } | null;

export async function readSection(
  store: Store,
  tenant: string,
  message: ShownMessage,
  section: Section,
  partial: Partial,
): Promise<SectionBytes> {
  const span = message.span(section);
  if (!span) return null;
  const known = section.part.length === 0 ? message.header : null;
  if (section.what === 'HEADER' && known) return { bytes: partOf(known, partial) };
  if (section.what === 'HEADER.FIELDS' || section.what === 'HEADER.FIELDS.NOT') {
    const header = known ?? (await readSpan(store, tenant, message.source, limited(span)));
    return { bytes: partOf(chooseFields(header, section), partial) };
  }
  if (!partial) return { span };
  const from = Math.min(span.from + partial.from, span.to);
  return { span: { from, to: Math.min(from + partial.count, span.to) } };
}

function partOf(bytes: Buffer, partial: Partial): Buffer {
  return partial ? bytes.subarray(partial.from, partial.from + partial.count) : bytes;
}

/** The header fields of the message itself, the prepended block included. */
export async function readHeader(store: Store, tenant: string, composed: Composed): Promise<HeaderField[]> {
  return parseHeader(await readSpan(store, tenant, composed.content.source, limited(composed.root.header)));
}

export async function readSpan(
  store: Store,
  tenant: string,
  source: ByteSource,
  span: Span,
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  if (span.to > span.from)
    for await (const chunk of store.readSource(tenant, source, span.from, span.to)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/**
 * RFC 3501 6.4.5: the fields in their order, and the empty line. Where the message has none itself, only the fields asked
 * for end with one, as clients expect of them.
 */
function chooseFields(header: Buffer, section: Section): Buffer {
  const wanted = new Set(section.fields.map((name) => name.toLowerCase()));
  const not = section.what === 'HEADER.FIELDS.NOT';
  const chosen = parseHeader(header).filter(({ lower }) => lower !== '' && wanted.has(lower) !== not);
  const end = !not || header.length >= headerLimit || endsEmpty(header) ? '\r\n' : '';
  return Buffer.concat([...chosen.map(({ raw }) => endLine(raw)), Buffer.from(end)]);
}

function endsEmpty(header: Buffer): boolean {
  return /(?:^|\n)\r?\n$/.test(header.toString('latin1', Math.max(0, header.length - 3)));
}

/** A header that ends without a line end would swallow the empty line. */
function endLine(raw: Buffer): Buffer {
  return raw.at(-1) === 10 ? raw : Buffer.concat([raw, Buffer.from('\r\n')]);
}

function limited({ from, to }: Span): Span {
  return { from, to: Math.min(to, from + headerLimit) };
}
