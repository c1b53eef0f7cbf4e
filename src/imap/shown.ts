/**
 * One message as FETCH answers it: from what lists hold of it, made at ingest; or, where parts of it are asked for, from
 * its structure index. Neither opens the object.
 */
import type { ByteSource, MessageContent, Summary } from '../store/store.ts';
import type { FetchItem, Section } from './codec/command.ts';
import { printBodyStructure, printEnvelope } from './codec/structure.ts';
import { compose, type Span, sectionSpan } from './composed.ts';

export interface ShownMessage {
  readonly source: ByteSource;
  /** ENVELOPE as it goes out. */
  readonly envelope: string;
  structure(extended: boolean): string;
  /** The message's own header with its empty line, null where it has to be read. */
  readonly header: Buffer | null;
  /** Where a section lies, null where there is none such. */
  span(section: Section): Span | null;
}

/** Which of its sources a FETCH needs: `row` is the view's. */
export function sourceFor(items: readonly FetchItem[]): 'row' | 'summary' | 'content' {
  let source: 'row' | 'summary' = 'row';
  for (const item of items) {
    if (item.item === 'BODY' || (item.item === 'SECTION' && item.section.part.length > 0)) return 'content';
    if (item.item === 'SECTION' || item.item === 'ENVELOPE' || item.item === 'BODYSTRUCTURE')
      source = 'summary';
  }
  return source;
}

/** Does it give bytes of a header, or need to know where one ends? */
export function needsHeader(item: FetchItem): boolean {
  return item.item === 'SECTION' && item.section.what !== 'ALL';
}

export function shownByIndex(content: MessageContent): ShownMessage {
  const composed = compose(content);
  return {
    source: content.source,
    get envelope() {
      return printEnvelope(composed.envelope);
    },
    structure: (extended) => printBodyStructure(content.index.root, extended),
    header: null,
    span: (section) => sectionSpan(composed, section),
  };
}

/** Null where the list does not hold what the items (`sourceFor`: summary) ask for. */
export function shownBySummary(summary: Summary, items: readonly FetchItem[]): ShownMessage | null {
  const { object, source, size } = summary;
  if (object === null) return null;
  if (items.some(({ item }) => item === 'ENVELOPE') && changesEnvelope(source.prefix)) return null;
  if (object.header === null && items.some(needsHeader)) return null;
  const own = object.header?.subarray(source.from) ?? null;
  const header = own && (source.prefix.length === 0 ? own : Buffer.concat([source.prefix, own]));
  return {
    source,
    envelope: object.envelope,
    structure: () => object.structure,
    header,
    span: ({ what }) => {
      if (what === 'ALL') return { from: 0, to: size };
      const end = header?.length ?? 0;
      return what === 'TEXT' ? { from: end, to: Math.max(end, size) } : { from: 0, to: end };
    },
  };
}

/** The block stands on top, so of a field in both its own counts: see composed.ts. */
function changesEnvelope(prefix: Uint8Array): boolean {
  return (
    prefix.length > 0 &&
    /^(?:date|subject|in-reply-to|message-id)[ \t]*:/im.test(Buffer.from(prefix).toString('latin1'))
  );
}
