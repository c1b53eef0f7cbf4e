/** Text of a message's parts, decoded piece by piece: transfer encoding, then charset. */
import { StringDecoder } from 'node:string_decoder';
import iconv from 'iconv-lite';
import { createDecoder } from './digest.ts';
import type { PartIndex } from './types.ts';
import { decodeParameter } from './words.ts';

/** Bytes [from, to) of the message that an index speaks of. */
export type ReadRange = (from: number, to: number) => AsyncIterable<Buffer>;

/** Pieces of decoded text of every text part, in order; `null` marks the end of a part. */
export async function* partTexts(root: PartIndex, read: ReadRange): AsyncGenerator<string | null> {
  for (const part of leaves(root)) {
    if (part.type !== 'text' || part.bodyEnd <= part.bodyStart) continue;
    const decode = createTextDecoder(part);
    for await (const chunk of read(part.bodyStart, part.bodyEnd)) {
      const text = decode.write(chunk);
      if (text !== '') yield text;
    }
    const rest = decode.end();
    if (rest !== '') yield rest;
    yield null;
  }
}

/** The leaves of the structure: parts that hold content themselves. */
function* leaves(part: PartIndex): Generator<PartIndex> {
  if (part.parts.length === 0) yield part;
  for (const child of part.parts) yield* leaves(child);
}

export interface TextDecoding {
  write(chunk: Buffer): string;
  end(): string;
}

/** Content transfer decoding, then the part's charset. */
export function createTextDecoder(part: PartIndex): TextDecoding {
  const transfer = createDecoder(part.encoding.toLowerCase());
  const charset = (decodeParameter(part.params, 'charset') ?? 'us-ascii').toLowerCase();
  const known = charset !== 'us-ascii' && iconv.encodingExists(charset) ? charset : 'utf-8';
  const chars = known === 'utf-8' ? new StringDecoder('utf8') : iconv.getDecoder(known);
  return {
    write: (chunk) => chars.write(transfer(chunk, false)),
    end: () => chars.write(transfer(Buffer.alloc(0), true)) + (chars.end() ?? ''),
  };
}
