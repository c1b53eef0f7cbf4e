/**
 * A message as the facade shows it: a prepended block of header fields, then the stored object. The index
 * speaks of the object alone; here its offsets are shifted, and what the block adds to the envelope is
 * taken in.
 */

import { parseHeader } from '../mime/header.ts';
import type { Envelope, PartIndex } from '../mime/types.ts';
import type { MessageContent } from '../store/store.ts';
import type { Section } from './codec/command.ts';

/** Bytes [from, to) of the composed message. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

/** A part with its offsets in the composed message. */
export interface Located {
  readonly part: PartIndex;
  readonly header: Span;
  readonly body: Span;
}

export interface Composed {
  readonly content: MessageContent;
  readonly size: number;
  readonly root: Located;
  /** Envelope of the message, the prepended block included. */
  readonly envelope: Envelope;
  locate(part: PartIndex): Located;
}

export function compose(content: MessageContent): Composed {
  const { source, index } = content;
  const shift = source.prefix.length - source.from;
  const locate = (part: PartIndex): Located => {
    const bodyStart = Math.max(0, part.bodyStart + shift);
    const headerStart = part === index.root ? 0 : Math.max(0, part.headerStart + shift);
    return {
      part,
      header: { from: headerStart, to: bodyStart },
      body: { from: bodyStart, to: Math.max(bodyStart, part.bodyEnd + shift) },
    };
  };
  return {
    content,
    size: index.size + shift,
    root: locate(index.root),
    get envelope() {
      return withPrefix(index.root.envelope ?? emptyEnvelope, source.prefix);
    },
    locate,
  };
}

/** What a section names: a span, or for HEADER.FIELDS the header to choose from; null: nothing such. */
export function sectionSpan(composed: Composed, section: Section): Span | null {
  const found = section.part.length === 0 ? composed.root : partAt(composed, section.part);
  if (!found) return null;
  switch (section.what) {
    case 'ALL':
      return section.part.length === 0 ? { from: 0, to: composed.size } : found.body;
    case 'MIME':
      return found.header;
    case 'TEXT':
      return messageOf(composed, section, found)?.body ?? null;
    case 'HEADER':
    case 'HEADER.FIELDS':
    case 'HEADER.FIELDS.NOT':
      return messageOf(composed, section, found)?.header ?? null;
  }
}

/** RFC 3501 6.4.5: HEADER and TEXT speak of a message: the whole one, or one enclosed. */
function messageOf(composed: Composed, section: Section, found: Located): Located | null {
  if (section.part.length === 0) return found;
  const enclosed = enclosedIn(found.part);
  return enclosed ? composed.locate(enclosed) : null;
}

/** Part numbers count the parts of a multipart; a message that is none has the one part 1. */
function partAt(composed: Composed, numbers: readonly number[]): Located | null {
  let container: PartIndex | null = composed.content.index.root;
  let found: PartIndex | null = null;
  for (const number of numbers) {
    if (!container) return null;
    const child: PartIndex | undefined = isMultipart(container)
      ? container.parts[number - 1]
      : number === 1
        ? container
        : undefined;
    if (!child) return null;
    found = child;
    container = enclosedIn(child) ?? (isMultipart(child) ? child : null);
  }
  return found && composed.locate(found);
}

function isMultipart(part: PartIndex): boolean {
  return part.type === 'multipart' && part.parts.length > 0;
}

function enclosedIn(part: PartIndex): PartIndex | null {
  return part.type === 'message' ? (part.parts[0] ?? null) : null;
}

const emptyEnvelope: Envelope = {
  date: null,
  subject: null,
  from: [],
  sender: [],
  replyTo: [],
  to: [],
  cc: [],
  bcc: [],
  inReplyTo: null,
  messageId: null,
};

/** The block stands on top, so of a field in both its own counts. */
function withPrefix(envelope: Envelope, prefix: Uint8Array): Envelope {
  if (prefix.length === 0) return envelope;
  const fields = parseHeader(prefix);
  const value = (name: string) => fields.find(({ lower }) => lower === name)?.value;
  return {
    ...envelope,
    date: value('date') ?? envelope.date,
    subject: value('subject') ?? envelope.subject,
    inReplyTo: value('in-reply-to') ?? envelope.inReplyTo,
    messageId: value('message-id') ?? envelope.messageId,
  };
}
