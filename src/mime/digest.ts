/** Digests of attachments: content transfer decoding and SHA-256 over a stream, in bounded memory. */
import { createHash } from 'node:crypto';

export interface ContentDigest {
  update(bytes: Buffer): void;
  finish(): { size: number; sha256: string };
}

/** Bytes decoded at a time. */
const SLICE = 64 * 1024;

type Decode = (bytes: Buffer, last: boolean) => Buffer;

/**
 * Size and SHA-256 of what a part's body decodes to. `base64` and `quoted-printable` are decoded;
 * every other encoding, unknown ones too, is taken as it stands.
 */
export function createDigest(encoding: string): ContentDigest {
  const hash = createHash('sha256');
  const decode = decoderOf(encoding);
  let size = 0;
  const add = (bytes: Buffer) => {
    size += bytes.length;
    hash.update(bytes);
  };
  return {
    update(bytes) {
      if (decode === null) return add(bytes);
      for (let at = 0; at < bytes.length; at += SLICE) add(decode(bytes.subarray(at, at + SLICE), false));
    },
    finish() {
      if (decode !== null) add(decode(Buffer.alloc(0), true));
      return { size, sha256: hash.digest('hex') };
    },
  };
}

/**
 * Content transfer decoding of a body that comes in pieces. `decode(bytes, last)` returns what can be told by now.
 */
export function createDecoder(encoding: string): (bytes: Buffer, last: boolean) => Buffer {
  return decoderOf(encoding) ?? ((bytes) => bytes);
}

/** A part's body after content transfer decoding, whole: for parts that are known to be small. */
export function decodeContent(bytes: Buffer, encoding: string): Buffer {
  const decode = decoderOf(encoding);
  return decode === null ? bytes : Buffer.concat([decode(bytes, false), decode(Buffer.alloc(0), true)]);
}

function decoderOf(encoding: string): Decode | null {
  if (encoding === 'base64') return createBase64Decoder();
  return encoding === 'quoted-printable' ? createQuotedPrintableDecoder() : null;
}

const PAD = 65;
const OTHER = 64;
const base64Values = new Uint8Array(256).fill(OTHER);
[...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'].forEach((char, value) => {
  base64Values[char.charCodeAt(0)] = value;
});
base64Values['='.charCodeAt(0)] = PAD;

/** RFC 2045 6.8: characters outside the alphabet are ignored; padding ends a quantum, not the data. */
function createBase64Decoder(): Decode {
  let heldBits = 0;
  let heldCount = 0;
  return (bytes, last) => {
    const end = bytes.length;
    const out = Buffer.allocUnsafe(((end * 3) >> 2) + 6);
    // Locals, not the closure's variables: this loop runs over every byte of every attachment.
    let bits = heldBits;
    let count = heldCount;
    let length = 0;
    for (let i = 0; i < end; i += 1) {
      while (count === 0 && i + 3 < end) {
        const a = base64Values[bytes[i]!]!;
        const b = base64Values[bytes[i + 1]!]!;
        const c = base64Values[bytes[i + 2]!]!;
        const d = base64Values[bytes[i + 3]!]!;
        if ((a | b | c | d) >= OTHER) break;
        out[length] = (a << 2) | (b >> 4);
        out[length + 1] = (b << 4) | (c >> 2);
        out[length + 2] = (c << 6) | d;
        length += 3;
        i += 4;
      }
      if (i >= end) break;
      const value = base64Values[bytes[i]!]!;
      if (value < OTHER) {
        bits = (bits << 6) | value;
        count += 1;
        if (count === 4) {
          out[length] = bits >> 16;
          out[length + 1] = bits >> 8;
          out[length + 2] = bits;
          length += 3;
          bits = 0;
          count = 0;
        }
      } else if (value === PAD) {
        length += endQuantum(out, length, bits, count);
        bits = 0;
        count = 0;
      }
    }
    if (last) length += endQuantum(out, length, bits, count);
    heldBits = bits;
    heldCount = count;
    return out.subarray(0, length);
  };
}

/** Writes the whole bytes of an unfinished quantum; returns how many there are. */
function endQuantum(out: Buffer, at: number, bits: number, count: number): number {
  if (count === 2) out[at] = bits >> 4;
  if (count === 3) {
    out[at] = bits >> 10;
    out[at + 1] = bits >> 2;
  }
  return Math.max(0, count - 1);
}

const EQUALS = 61;
const SPACE = 32;
const TAB = 9;
const CR = 13;
const LF = 10;

/** RFC 2045 6.7: soft breaks vanish, white space before a line end too; a broken escape stays as it is. */
function createQuotedPrintableDecoder(): Decode {
  /** What cannot be decided yet: white space, or an escape cut by the end of a slice. */
  let held = Buffer.alloc(0);
  return (bytes, last) => {
    const input = held.length > 0 ? Buffer.concat([held, bytes]) : bytes;
    const out = Buffer.allocUnsafe(input.length);
    let length = 0;
    let at = 0;
    while (at < input.length) {
      const byte = input[at]!;
      if (byte === SPACE || byte === TAB || byte === EQUALS) {
        const [used, produced] = special(input, at, last, out, length);
        if (used === 0) break;
        at += used;
        length += produced;
      } else {
        out[length++] = byte;
        at += 1;
      }
    }
    held = Buffer.from(input.subarray(at));
    return out.subarray(0, length);
  };
}

/** Longest run of white space that is looked through for a line end; a longer one stands as it is. */
const MAX_RUN = 4096;

/** Bytes used and produced by the escape or white space at `at`; nothing used means: needs more input. */
function special(input: Buffer, at: number, last: boolean, out: Buffer, length: number): [number, number] {
  const escaped = input[at] === EQUALS;
  let end = escaped ? at + 1 : at;
  while ((input[end] === SPACE || input[end] === TAB) && end - at < MAX_RUN) end += 1;
  if (end - at < MAX_RUN) {
    const breakLength = lineBreak(input, end);
    if (breakLength > 0 || (last && end === input.length)) return [end + (escaped ? breakLength : 0) - at, 0];
    const undecided = end === input.length || (input[end] === CR && end + 1 === input.length);
    if (undecided && !last) return [0, 0];
  }
  if (escaped && end === at + 1) {
    if (at + 2 >= input.length && !last) return [0, 0];
    const high = hexValue(input[at + 1]);
    const low = hexValue(input[at + 2]);
    if (high >= 0 && low >= 0) {
      out[length] = high * 16 + low;
      return [3, 1];
    }
  }
  input.copy(out, length, at, end);
  return [end - at, end - at];
}

function lineBreak(input: Buffer, at: number): number {
  if (input[at] === LF) return 1;
  return input[at] === CR && input[at + 1] === LF ? 2 : 0;
}

function hexValue(byte: number | undefined): number {
  if (byte === undefined) return -1;
  if (byte >= 48 && byte <= 57) return byte - 48;
  const letter = byte | 32;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}
