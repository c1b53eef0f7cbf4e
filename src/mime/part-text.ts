/** Text of a message's parts, decoded piece by piece: transfer encoding, then charset. */
import { StringDecoder } from 'node:string_decoder';
import iconv from 'iconv-lite';
import type { PartIndex } from './types.ts';
import { decodeParameter } from './words.ts';

/** Bytes [from, to) of the message that an index speaks of. */
export type ReadRange = (from: number, to: number) => AsyncIterable<Buffer>;

/**
 * Pieces of decoded text of every text part, in order; `null` marks the end of a part.
 * @param limit encoded bytes looked at, all parts together
 */
export async function* partTexts(
  root: PartIndex,
  read: ReadRange,
  limit = Number.POSITIVE_INFINITY,
): AsyncGenerator<string | null> {
  let left = limit;
  for (const part of leaves(root)) {
    if (part.type !== 'text' || left <= 0) continue;
    const to = Math.min(part.bodyEnd, part.bodyStart + left);
    left -= to - part.bodyStart;
    if (to <= part.bodyStart) continue;
    const decode = createTextDecoder(part);
    for await (const chunk of read(part.bodyStart, to)) {
      const text = decode.write(chunk);
      if (text !== '') yield text;
    }
    const rest = decode.end();
    if (rest !== '') yield rest;
    yield null;
  }
}

/** The leaves of the structure: parts that hold content themselves. */
export function* leaves(part: PartIndex): Generator<PartIndex> {
  if (part.parts.length === 0) yield part;
  for (const child of part.parts) yield* leaves(child);
}

interface TextDecoding {
  write(chunk: Buffer): string;
  end(): string;
}

function createTextDecoder(part: PartIndex): TextDecoding {
  const transfer = createTransferDecoder(part.encoding);
  const charset = (decodeParameter(part.params, 'charset') ?? 'us-ascii').toLowerCase();
  const known = charset !== 'us-ascii' && iconv.encodingExists(charset) ? charset : 'utf-8';
  const chars = known === 'utf-8' ? new StringDecoder('utf8') : iconv.getDecoder(known);
  return {
    write: (chunk) => chars.write(transfer.write(chunk)),
    end: () => chars.write(transfer.end()) + (chars.end() ?? ''),
  };
}

interface TransferDecoding {
  write(chunk: Buffer): Buffer;
  end(): Buffer;
}

const nothing = Buffer.alloc(0);

function createTransferDecoder(encoding: string): TransferDecoding {
  switch (encoding.toLowerCase()) {
    case 'base64':
      return base64();
    case 'quoted-printable':
      return quotedPrintable();
    default:
      return { write: (chunk) => chunk, end: () => nothing };
  }
}

function base64(): TransferDecoding {
  let carry = '';
  return {
    write(chunk) {
      const text = carry + chunk.toString('latin1').replace(/[^A-Za-z0-9+/]/g, '');
      const whole = text.length - (text.length % 4);
      carry = text.slice(whole);
      return Buffer.from(text.slice(0, whole), 'base64');
    },
    end: () => Buffer.from(carry, 'base64'),
  };
}

function quotedPrintable(): TransferDecoding {
  let carry = '';
  const decode = (text: string): Buffer =>
    Buffer.from(
      text
        .replace(/=[ \t]*\r?\n/g, '')
        .replace(/=([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
      'latin1',
    );
  return {
    write(chunk) {
      const text = carry + chunk.toString('latin1');
      // An escape or a soft line break may be cut: keep it for the next piece, within reason.
      const mark = text.lastIndexOf('=');
      const open =
        mark >= 0 && text.length - mark < 80 && !/^=(?:[0-9A-Fa-f]{2}|[ \t]*\r?\n)/.test(text.slice(mark));
      carry = open ? text.slice(mark) : '';
      return decode(open ? text.slice(0, mark) : text);
    },
    end: () => decode(carry),
  };
}
