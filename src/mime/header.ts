/** Header fields as they stand: every byte of a header belongs to exactly one field, in order. */
import { isUtf8 } from 'node:buffer';

export interface HeaderField {
  /** As written; empty for a line that is no header field (kept, never interpreted). */
  readonly name: string;
  /** `name` in lower case. */
  readonly lower: string;
  /** The whole field with its folding and its line end. */
  readonly raw: Buffer;
  /** Offset of `raw` in the parsed bytes. */
  readonly start: number;
  readonly end: number;
  /** Unfolded and trimmed: UTF-8 where the bytes are valid UTF-8, else ISO-8859-1. Encoded words are kept. */
  readonly value: string;
}

const LF = 10;
const CR = 13;
const SPACE = 32;
const TAB = 9;
const COLON = 58;

/**
 * Offset of the first byte of the body: after the first empty line (CRLF or LF), or the length of `bytes`
 * where there is none.
 */
export function headerEnd(bytes: Uint8Array): number {
  let at = 0;
  while (at < bytes.length) {
    const blank = blankLine(bytes, at);
    if (blank > 0) return at + blank;
    at = nextLine(bytes, at);
  }
  return bytes.length;
}

/**
 * The fields of a header, up to the first empty line. Total and linear: lines that are no field (a stray
 * continuation, an mbox `From ` line, junk) come as fields without a name.
 */
export function parseHeader(bytes: Uint8Array): HeaderField[] {
  const buffer = asBuffer(bytes);
  const fields: HeaderField[] = [];
  let start = 0;
  while (start < buffer.length && blankLine(buffer, start) === 0) {
    let end = nextLine(buffer, start);
    while (end < buffer.length && (buffer[end] === SPACE || buffer[end] === TAB)) end = nextLine(buffer, end);
    fields.push(readField(buffer, start, end));
    start = end;
  }
  return fields;
}

/** The topmost field of that lower-case name: where the norm sees two, the first counts (TR-01201 IO 3.1.1). */
export function findField(fields: readonly HeaderField[], lower: string): HeaderField | undefined {
  return fields.find((field) => field.lower === lower);
}

function readField(buffer: Buffer, start: number, end: number): HeaderField {
  const raw = buffer.subarray(start, end);
  const nameEnd = fieldNameEnd(raw);
  const colon = nameEnd === 0 ? -1 : raw.indexOf(COLON, nameEnd);
  const name = nameEnd === 0 ? '' : raw.toString('latin1', 0, nameEnd);
  let value: string | undefined;
  return {
    name,
    lower: name.toLowerCase(),
    raw,
    start,
    end,
    // When it is asked for: who chooses fields by their name needs no values.
    get value() {
      value ??= unfold(decodeText(raw.subarray(colon + 1)));
      return value;
    },
  };
}

/** Length of the field name at the start of `raw`, 0 where there is none (RFC 5322 3.6.8, obs-optional 4.5.8). */
function fieldNameEnd(raw: Buffer): number {
  let end = 0;
  while (end < raw.length && raw[end]! > SPACE && raw[end]! < 127 && raw[end] !== COLON) end += 1;
  let colon = end;
  while (raw[colon] === SPACE || raw[colon] === TAB) colon += 1;
  return raw[colon] === COLON ? end : 0;
}

/** Bytes of a header as text: UTF-8 where valid, else ISO-8859-1, so that nothing is lost. */
function decodeText(bytes: Buffer): string {
  return isUtf8(bytes) ? bytes.toString('utf8') : bytes.toString('latin1');
}

function unfold(text: string): string {
  return text.replace(/\r?\n/g, '').trim();
}

/** Length of an empty line at `at` (1 or 2), or 0. */
function blankLine(bytes: Uint8Array, at: number): number {
  if (bytes[at] === LF) return 1;
  return bytes[at] === CR && bytes[at + 1] === LF ? 2 : 0;
}

function nextLine(bytes: Uint8Array, at: number): number {
  const end = bytes.indexOf(LF, at);
  return end === -1 ? bytes.length : end + 1;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
