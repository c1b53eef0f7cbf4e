/** The tree of parts that the indexer grows: which part is open, what its header says, who digests it. */
import { type Content, plainText, readContent, readEnvelope } from './content.ts';
import { type ContentDigest, createDigest } from './digest.ts';
import { parseHeader } from './header.ts';
import type { Attachment, Envelope, MessageIndex, PartIndex } from './types.ts';
import { decodeParameter } from './words.ts';

export interface Limits {
  /** Deepest level of nesting; the message itself is level 0. */
  readonly depth: number;
  readonly parts: number;
  /** Bytes kept of one header. */
  readonly headerBytes: number;
  /** Bytes kept of all headers together. */
  readonly totalHeaderBytes: number;
}

/** An offset in the message and the number of line ends before it. */
interface Position {
  readonly at: number;
  readonly lines: number;
}

export interface PartTree {
  /** The bytes at hand: `buffer` begins at offset `base` of the message. */
  look(buffer: Buffer, base: number): void;
  inHeader(): boolean;
  /** True where a delimiter could be met. */
  inMultipart(): boolean;
  /** The header of the innermost part is over; its body begins at `body`. */
  endHeader(body: Position): void;
  /**
   * A line that begins with `--` at `start`. If it is the delimiter of an open multipart, all parts within
   * end at `end`, which leaves out the line end before the delimiter.
   */
  delimiter(line: Buffer, start: Position, end: Position): void;
  /** The bytes at hand are about to go: content up to `fed` is digested, header bytes up to `kept` kept. */
  consume(fed: number, kept: number): void;
  finish(end: Position): MessageIndex;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

interface OpenPart {
  readonly part: Mutable<Omit<PartIndex, 'parts'>> & { parts: OpenPart['part'][] };
  readonly depth: number;
  /** The message itself, or one enclosed: it has an envelope. */
  readonly isMessage: boolean;
  readonly inDigest: boolean;
  boundary: Buffer | null;
  bodyLines: number;
  /** Digest of the decoded body, if the part counts as an attachment. */
  digest: { readonly content: ContentDigest; readonly slot: number; readonly from: number } | null;
}

const MAX_BOUNDARY = 900;
const MAX_NAME = 255;
const DASH = 45;

const opaque = { type: 'application', subtype: 'octet-stream', params: [] } as const;

export function createPartTree(limits: Limits): PartTree {
  const attachments: Attachment[] = [];
  /** From the message down to the innermost part that is open. */
  const open: OpenPart[] = [];
  /** Of those: the ones whose delimiter is looked for, and the ones that are digested. */
  let multiparts: OpenPart[] = [];
  let digested: OpenPart[] = [];
  let count = 0;
  let truncated = false;

  let buffer: Buffer = Buffer.alloc(0);
  let base = 0;
  let fedTo = 0;

  let header = true;
  let keptTo = 0;
  let kept: Buffer[] = [];
  let keptLength = 0;
  let headerBudget = limits.totalHeaderBytes;

  openPart({ at: 0, lines: 0 }, true, false);

  function openPart(start: Position, isMessage: boolean, inDigest: boolean) {
    const parent = open.at(-1);
    const node: OpenPart = {
      part: {
        headerStart: start.at,
        bodyStart: start.at,
        bodyEnd: start.at,
        lines: 0,
        ...readContent([], inDigest),
        parts: [],
        envelope: null,
      },
      depth: open.length,
      isMessage,
      inDigest,
      boundary: null,
      bodyLines: start.lines,
      digest: null,
    };
    parent?.part.parts.push(node.part);
    open.push(node);
    count += 1;
    header = true;
    keptTo = start.at;
    kept = [];
    keptLength = 0;
    if (count >= limits.parts && parent !== undefined) {
      // The last part allowed takes all the rest, unread.
      truncated = true;
      header = false;
      multiparts = [];
      Object.assign(node.part, opaque, isMessage ? { envelope: readEnvelope([]) } : {});
      startDigest(node, start.at);
    }
  }

  /** Keeps a copy of header bytes up to `to`, as far as the limits go. */
  function keepHeader(to: number) {
    const wanted = to - keptTo;
    if (wanted <= 0) return;
    const room = Math.min(limits.headerBytes - keptLength, headerBudget, wanted);
    if (room < wanted) truncated = true;
    if (room > 0) {
      kept.push(Buffer.from(buffer.subarray(keptTo - base, keptTo - base + room)));
      keptLength += room;
      headerBudget -= room;
    }
    keptTo = to;
  }

  function readHeader(node: OpenPart, body: Position) {
    keepHeader(body.at);
    const fields = parseHeader(kept.length === 1 ? kept[0]! : Buffer.concat(kept));
    kept = [];
    header = false;
    Object.assign(node.part, readContent(fields, node.inDigest));
    if (node.isMessage) node.part.envelope = readEnvelope(fields);
    node.part.bodyStart = body.at;
    node.bodyLines = body.lines;
  }

  function beginBody(node: OpenPart, body: Position) {
    const { part } = node;
    const container = part.type === 'multipart' || isMessageType(part);
    if (container && (node.depth >= limits.depth || count >= limits.parts)) {
      truncated = true;
      Object.assign(part, opaque);
    }
    if (part.type === 'multipart') {
      const value = part.params.find(([name]) => name === 'boundary')?.[1].trimEnd() ?? '';
      // Without a usable boundary nothing can be told apart: the content is shown as text (RFC 2045 5.2).
      if (value === '' || value.length > MAX_BOUNDARY) return Object.assign(part, plainText);
      node.boundary = Buffer.from(value, 'utf8');
      multiparts.unshift(node);
      return;
    }
    startDigest(node, body.at);
    if (isMessageType(part)) openPart(body, true, false);
  }

  /** A leaf or enclosed message counts as an attachment if it says so, has a file name, or is no text. */
  function startDigest(node: OpenPart, from: number) {
    const { part } = node;
    const name = fileName(part);
    if (name === null && part.type === 'text' && part.disposition?.type !== 'attachment') return;
    const type = `${part.type}/${part.subtype}`;
    node.digest = { content: createDigest(part.encoding), slot: attachments.length, from };
    attachments.push({ name, type, size: 0, sha256: '' });
    digested.push(node);
  }

  function feed(to: number) {
    for (const { digest } of digested) {
      const from = Math.max(fedTo, digest!.from);
      if (from < to) digest!.content.update(buffer.subarray(from - base, to - base));
    }
    fedTo = Math.max(fedTo, to);
  }

  /** Closes the innermost part. */
  function closePart(end: Position) {
    const node = open.pop()!;
    const { part } = node;
    part.bodyEnd = Math.max(part.bodyStart, end.at);
    part.lines = part.bodyEnd > part.bodyStart ? end.lines - node.bodyLines : 0;
    if (part.type === 'multipart' && part.parts.length === 0) Object.assign(part, plainText);
    if (isMessageType(part) && part.parts.length === 0) part.parts.push(emptyMessage(part.bodyEnd));
    if (node.digest !== null) {
      const { content, slot } = node.digest;
      attachments[slot] = { ...attachments[slot]!, ...content.finish() };
      digested = digested.filter((other) => other !== node);
    }
    multiparts = multiparts.filter((other) => other !== node);
  }

  /** Ends the header of the innermost part where no empty line did. */
  function breakHeader(at: Position) {
    const node = open.at(-1)!;
    readHeader(node, at);
    if (node.part.type !== 'multipart') startDigest(node, at.at);
  }

  return {
    look(bytes, offset) {
      buffer = bytes;
      base = offset;
    },
    inHeader: () => header,
    inMultipart: () => multiparts.length > 0,
    endHeader(body) {
      const node = open.at(-1)!;
      readHeader(node, body);
      beginBody(node, body);
    },
    delimiter(line, start, end) {
      const [node, close] = matchDelimiter(multiparts, line);
      if (node === null) return;
      if (header) breakHeader(start);
      feed(end.at);
      while (open.at(-1) !== node) closePart(end);
      if (close) {
        multiparts = multiparts.filter((other) => other !== node);
        return;
      }
      const ended = line.at(-1) === 10 ? 1 : 0;
      const next = { at: start.at + line.length, lines: start.lines + ended };
      openPart(next, false, node.part.subtype === 'digest');
    },
    consume(fed, keptUpTo) {
      feed(fed);
      if (header) keepHeader(keptUpTo);
    },
    finish(end) {
      if (header) breakHeader(end);
      feed(end.at);
      const root = open[0]!.part;
      while (open.length > 0) closePart(end);
      clamp(root, end.at);
      return { size: end.at, root, attachments, truncated };
    },
  };
}

/** The multipart, innermost first, whose delimiter the line is, and whether it is the closing one. */
function matchDelimiter(multiparts: readonly OpenPart[], line: Buffer): [OpenPart | null, boolean] {
  let end = line.length;
  while (end > 2 && line[end - 1]! <= 32) end -= 1;
  for (const node of multiparts) {
    const length = node.boundary!.length;
    const rest = end - 2 - length;
    if (rest !== 0 && rest !== 2) continue;
    if (!hasAt(line, 2, node.boundary!)) continue;
    if (rest === 0) return [node, false];
    if (line[end - 1] === DASH && line[end - 2] === DASH) return [node, true];
  }
  return [null, false];
}

function hasAt(line: Buffer, at: number, wanted: Buffer): boolean {
  for (let i = 0; i < wanted.length; i += 1) if (line[at + i] !== wanted[i]) return false;
  return true;
}

/** Content type message/rfc822 holds a message of its own (RFC 2046 5.2.1), whatever its encoding says. */
function isMessageType(part: { readonly type: string; readonly subtype: string }): boolean {
  return part.type === 'message' && part.subtype === 'rfc822';
}

function emptyMessage(at: number): OpenPart['part'] {
  const content: Content = readContent([]);
  const envelope: Envelope = readEnvelope([]);
  return { headerStart: at, bodyStart: at, bodyEnd: at, lines: 0, ...content, parts: [], envelope };
}

/** The decoded file name, without control characters, at most 255 characters. */
function fileName(part: Pick<PartIndex, 'params' | 'disposition'>): string | null {
  const name =
    decodeParameter(part.disposition?.params ?? [], 'filename') ?? decodeParameter(part.params, 'name');
  const clean = name?.replace(/\p{Cc}/gu, '').trim() ?? '';
  return clean === '' ? null : [...clean.slice(0, 2 * MAX_NAME)].slice(0, MAX_NAME).join('');
}

/**
 * An empty part may end behind the line end that belongs to the delimiter of its parent: it is moved into
 * its parent, so that offsets nest.
 */
function clamp(part: OpenPart['part'], end: number) {
  part.headerStart = Math.min(part.headerStart, end);
  part.bodyStart = Math.min(part.bodyStart, end);
  part.bodyEnd = Math.min(part.bodyEnd, end);
  for (const child of part.parts) clamp(child, part.bodyEnd);
}
