/**
 * DER (X.690 10) read and written by hand, where exact bytes matter: what is hashed and covered by a time-stamp
 * must come out as it went in. Reading copies nothing; elements are views of the bytes read.
 */

export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  enumerated: 0x0a,
  utf8String: 0x0c,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** Identifier octet of a context-specific tag. */
export function contextTag(number: number, constructed = true): number {
  return 0x80 | (constructed ? 0x20 : 0) | number;
}

/** One element: `der` with tag and length, `content` without. */
export interface Element {
  readonly tag: number;
  readonly der: Buffer;
  readonly content: Buffer;
}

/** What `read…` throws where bytes are no DER or not of the form asked for. Callers at the edge catch it. */
export class DerError extends Error {}

const MAX_DEPTH = 40;
const MAX_CONVERTED = 100_000;

/** The element that begins at `offset`. @throws DerError for indefinite or padded lengths and for what is cut off. */
export function readElement(bytes: Buffer, offset = 0): Element {
  const header = readHeader(bytes, offset);
  if (header.length === null) throw new DerError(`indefinite length at byte ${offset}`);
  if (!header.minimal) throw new DerError(`length at byte ${offset} is not the shortest`);
  const end = header.start + header.length;
  if (end > bytes.length) throw new DerError(`element at byte ${offset} is cut off`);
  return { tag: header.tag, der: bytes.subarray(offset, end), content: bytes.subarray(header.start, end) };
}

/** The one element that `bytes` are. @throws DerError where bytes follow it. */
export function readSingle(bytes: Buffer, tag?: number): Element {
  const element = readElement(bytes);
  if (element.der.length !== bytes.length) {
    throw new DerError(`${bytes.length - element.der.length} bytes after the element`);
  }
  if (tag !== undefined && element.tag !== tag) throw new DerError(wrongTag(tag, element.tag));
  return element;
}

/** The elements that stand one after another. @throws DerError where there are more than `most`. */
export function readAll(content: Buffer, most = 10_000): Element[] {
  const elements: Element[] = [];
  for (let offset = 0; offset < content.length; ) {
    if (elements.length === most) throw new DerError(`more than ${most} elements`);
    const element = readElement(content, offset);
    elements.push(element);
    offset += element.der.length;
  }
  return elements;
}

/** Takes the fields of a SEQUENCE in their order. */
export interface Fields {
  /** @throws DerError where the next field has another tag. */
  take(tag: number): Element;
  /** Null where the next field has another tag. */
  maybe(tag: number): Element | null;
  /** Whatever comes next, or null. */
  any(): Element | null;
  /** @throws DerError where fields are left. */
  end(): void;
}

export function fieldsOf(content: Buffer): Fields {
  let offset = 0;
  const peek = () => (offset < content.length ? readElement(content, offset) : null);
  const advance = (element: Element) => {
    offset += element.der.length;
    return element;
  };
  const maybe = (tag: number) => {
    const next = peek();
    return next === null || next.tag !== tag ? null : advance(next);
  };
  return {
    maybe,
    any: () => {
      const next = peek();
      return next === null ? null : advance(next);
    },
    take: (tag) => {
      const taken = maybe(tag);
      if (taken === null) throw new DerError(wrongTag(tag, peek()?.tag));
      return taken;
    },
    end: () => {
      if (offset < content.length) throw new DerError(`a field too many (tag 0x${hex(peek()!.tag)})`);
    },
  };
}

/** Dotted form of an OBJECT IDENTIFIER. @throws DerError where it is none. */
export function readOid(element: Element): string {
  const { content } = element;
  if (element.tag !== TAG.oid || content.length === 0 || content.length > 64 || content.at(-1)! & 0x80) {
    throw new DerError('no object identifier');
  }
  const arcs: bigint[] = [];
  let value = 0n;
  let isFirstOctet = true;
  for (const octet of content) {
    if (isFirstOctet && octet === 0x80) throw new DerError('no object identifier: padded');
    value = (value << 7n) | BigInt(octet & 0x7f);
    isFirstOctet = (octet & 0x80) === 0;
    if (!isFirstOctet) continue;
    arcs.push(value);
    value = 0n;
  }
  const first = arcs[0]!;
  const root = first < 80n ? first / 40n : 2n;
  return [root, first - root * 40n, ...arcs.slice(1)].join('.');
}

/** GeneralizedTime in UTC, with or without fractions of a second (RFC 3161 2.4.2). @throws DerError otherwise. */
export function readGeneralizedTime(element: Element): Date {
  const text = element.content.toString('latin1');
  const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:\.(\d{1,9}))?Z$/.exec(text);
  if (element.tag !== TAG.generalizedTime || match === null) throw new DerError('no time in UTC');
  const [, year, month, day, hour, minute, second, fraction = ''] = match;
  const milliseconds = fraction.padEnd(3, '0').slice(0, 3);
  const date = new Date(`${year}-${month}-${day}T${hour}:${minute}:${second}.${milliseconds}Z`);
  if (Number.isNaN(date.getTime())) throw new DerError(`no time: ${text}`);
  return date;
}

/** An element of that tag around the parts. */
export function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const size = parts.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([Buffer.from([tag, ...lengthOctets(size)]), ...parts]);
}

export function derSequence(...parts: readonly Uint8Array[]): Buffer {
  return der(TAG.sequence, ...parts);
}

/** X.690 11.6: the elements of a SET OF stand in ascending order. */
export function derSetOf(tag: number, elements: readonly Buffer[]): Buffer {
  return der(tag, ...[...elements].sort(Buffer.compare));
}

export function derOid(dotted: string): Buffer {
  const [root = 0n, second = 0n, ...rest] = dotted.split('.').map(BigInt);
  const octets = [root * 40n + second, ...rest].flatMap((arc) => {
    const groups = [Number(arc & 0x7fn)];
    for (let left = arc >> 7n; left > 0n; left >>= 7n) groups.unshift(Number(left & 0x7fn) | 0x80);
    return groups;
  });
  return der(TAG.oid, Buffer.from(octets));
}

/** A non-negative INTEGER from its octets, the highest first. */
export function derUnsigned(octets: Uint8Array): Buffer {
  let start = 0;
  while (start < octets.length - 1 && octets[start] === 0) start++;
  const trimmed = octets.length === 0 ? Buffer.from([0]) : Buffer.from(octets.subarray(start));
  return der(TAG.integer, trimmed[0]! & 0x80 ? Buffer.concat([Buffer.from([0]), trimmed]) : trimmed);
}

/**
 * BER as DER: lengths definite and shortest, OCTET STRINGs in one piece. Nothing else changes, so bytes that are
 * DER already come back as they are. @throws DerError where the bytes are not one BER element.
 */
export function toDer(ber: Buffer): Buffer {
  if (isDefinite(ber, 0, ber.length, 0)) return ber;
  const budget = { elements: MAX_CONVERTED };
  const { der: result, end } = convert(ber, 0, ber.length, 0, budget);
  if (end !== ber.length) throw new DerError(`${ber.length - end} bytes after the element`);
  return result;
}

/** Whether everything has a definite, shortest length and strings stand in one piece. Costs no memory. */
function isDefinite(bytes: Buffer, from: number, to: number, depth: number): boolean {
  if (depth > MAX_DEPTH) return false;
  for (let offset = from; offset < to; ) {
    if (offset + 2 > to) return false;
    const { tag, start, length, minimal } = readHeader(bytes, offset);
    if (length === null || !minimal || start + length > to || tag === (TAG.octetString | 0x20)) return false;
    if ((tag & 0x20) !== 0 && !isDefinite(bytes, start, start + length, depth + 1)) return false;
    offset = start + length;
  }
  return true;
}

function convert(
  bytes: Buffer,
  offset: number,
  limit: number,
  depth: number,
  budget: { elements: number },
): { der: Buffer; end: number } {
  if (budget.elements-- === 0) throw new DerError(`more than ${MAX_CONVERTED} elements`);
  if (depth > MAX_DEPTH) throw new DerError(`nested deeper than ${MAX_DEPTH}`);
  const { tag, start, length } = readHeader(bytes, offset);
  const isConstructed = (tag & 0x20) !== 0;
  const end = length === null ? null : start + length;
  if ((end ?? start) > limit) throw new DerError(`element at byte ${offset} is cut off`);
  if (!isConstructed) {
    if (end === null) throw new DerError(`indefinite length at byte ${offset}`);
    return { der: der(tag, bytes.subarray(start, end)), end };
  }
  const parts: Buffer[] = [];
  let at = start;
  while (end === null ? !isEndOfContents(bytes, at, limit) : at < end) {
    const part = convert(bytes, at, end ?? limit, depth + 1, budget);
    parts.push(part.der);
    at = part.end;
  }
  const after = end ?? at + 2;
  if (tag !== (TAG.octetString | 0x20)) return { der: der(tag, ...parts), end: after };
  return {
    der: der(TAG.octetString, ...parts.map((part) => readSingle(part, TAG.octetString).content)),
    end: after,
  };
}

function isEndOfContents(bytes: Buffer, at: number, limit: number): boolean {
  if (at + 2 > limit) throw new DerError('the end of an indefinite length is missing');
  return bytes[at] === 0 && bytes[at + 1] === 0;
}

interface Header {
  readonly tag: number;
  /** Where the content begins. */
  readonly start: number;
  /** Bytes; null where indefinite. */
  readonly length: number | null;
  readonly minimal: boolean;
}

function readHeader(bytes: Buffer, offset: number): Header {
  const tag = bytes[offset];
  const first = bytes[offset + 1];
  if (tag === undefined || first === undefined) throw new DerError(`element at byte ${offset} is cut off`);
  // None of the structures read here has a tag number above 30.
  if ((tag & 0x1f) === 0x1f) throw new DerError(`tag of several bytes at byte ${offset}`);
  if (first < 0x80) return { tag, start: offset + 2, length: first, minimal: true };
  if (first === 0x80) return { tag, start: offset + 2, length: null, minimal: true };
  const count = first & 0x7f;
  const start = offset + 2 + count;
  if (count > 4 || start > bytes.length) throw new DerError(`length at byte ${offset} is too long`);
  const length = bytes.readUIntBE(offset + 2, count);
  return { tag, start, length, minimal: length >= 0x80 && bytes[offset + 2] !== 0 };
}

function lengthOctets(size: number): number[] {
  if (size < 0x80) return [size];
  const octets: number[] = [];
  for (let left = size; left > 0; left = Math.floor(left / 256)) octets.unshift(left % 256);
  return [0x80 | octets.length, ...octets];
}

function wrongTag(wanted: number, found: number | undefined): string {
  return `tag 0x${hex(wanted)} expected, ${found === undefined ? 'nothing' : `0x${hex(found)}`} found`;
}

function hex(tag: number): string {
  return tag.toString(16).padStart(2, '0');
}
