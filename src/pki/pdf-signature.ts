/** Recognises signatures inside a PDF (ISO 32000-1 12.8): who signed, not whether it holds. */
import { readSignedData } from './cms-structure.ts';

const MAX_SIGNATURES = 16;
/** The hexadecimal string of a signature, with its padding. */
const MAX_CONTENTS = 256 * 1024;
/** `/ByteRange`, four numbers of up to ten digits, and space. */
const MAX_MARK = 260;
const MARK = '/ByteRange';

/** A PDF in pieces, from its first byte on; each call reads it again. */
export type PdfReader = () => AsyncIterable<Buffer>;

export interface PdfSignature {
  /** Distinguished name on one line; null where the signature is no CMS or brings no certificate. */
  readonly signer: string | null;
  /** Whether all of the file but the signature itself is covered: what was added afterwards is not. */
  readonly whole: boolean;
  /** The CMS structure; null where what stands there is none. */
  readonly cms: Buffer | null;
}

interface Range {
  readonly start: number;
  /** Where the signature begins and ends: `<hex>`. */
  readonly gap: readonly [number, number];
  readonly end: number;
}

/**
 * The signatures of a PDF, in the order of the file; none where it is no PDF. Total, linear, and in memory that
 * does not grow with the file: it is read once for the marks, and once more where there are any.
 */
export async function findPdfSignatures(read: PdfReader): Promise<PdfSignature[]> {
  const { ranges, size } = await findRanges(read());
  const inside = ranges.filter(({ gap: [, to] }) => to <= size).slice(0, MAX_SIGNATURES);
  const contents = inside.length === 0 ? [] : await readGaps(read(), inside);
  return inside.flatMap(({ start, end }, i) => {
    const hex = /^<([0-9A-Fa-f\s]*)>$/.exec(contents[i]!.toString('latin1'))?.[1];
    if (hex === undefined) return [];
    return [{ ...signatureOf(hex), whole: start === 0 && end === size }];
  });
}

/** Every /ByteRange that can be one, up to a few more than are looked at. */
async function findRanges(pieces: AsyncIterable<Buffer>): Promise<{ ranges: Range[]; size: number }> {
  const ranges: Range[] = [];
  let size = 0;
  let tail: Buffer = Buffer.alloc(0);
  const look = (bytes: Buffer, last: boolean) => {
    // What could be cut by the end of the piece waits for the next one.
    const end = last ? bytes.length : bytes.length - MAX_MARK;
    let at = bytes.indexOf(MARK);
    for (; at !== -1 && at < end && ranges.length < 4 * MAX_SIGNATURES; at = bytes.indexOf(MARK, at + 1)) {
      const range = rangeOf(bytes.toString('latin1', at, at + MAX_MARK));
      if (range !== null) ranges.push(range);
    }
    tail = Buffer.from(bytes.subarray(Math.max(0, end)));
  };
  for await (const piece of pieces) {
    const bytes = tail.length > 0 ? Buffer.concat([tail, piece]) : piece;
    if (size < 1024 && size + piece.length >= 1024 && !isPdf(bytes)) return { ranges: [], size: 0 };
    size += piece.length;
    // The first bytes say whether it is one; they are kept until there are enough of them.
    if (size < 1024) tail = bytes;
    else look(bytes, false);
  }
  if (size < 1024 && !isPdf(tail)) return { ranges: [], size: 0 };
  look(tail, true);
  return { ranges, size };
}

function isPdf(start: Buffer): boolean {
  return start.subarray(0, 1024).includes('%PDF-');
}

function rangeOf(text: string): Range | null {
  const found =
    /^\/ByteRange\s{0,20}\[\s{0,20}(\d{1,10})\s{1,20}(\d{1,10})\s{1,20}(\d{1,10})\s{1,20}(\d{1,10})\s{0,100}\]/.exec(
      text,
    );
  if (found === null) return null;
  const [start, length, second, rest] = found.slice(1).map(Number) as [number, number, number, number];
  const from = start + length;
  // Between the two ranges stands the signature alone: <hex>.
  if (from >= second || second - from > MAX_CONTENTS) return null;
  return { start, gap: [from, second], end: second + rest };
}

async function readGaps(pieces: AsyncIterable<Buffer>, ranges: readonly Range[]): Promise<Buffer[]> {
  const parts: Buffer[][] = ranges.map(() => []);
  const last = Math.max(...ranges.map(({ gap: [, to] }) => to));
  let at = 0;
  for await (const piece of pieces) {
    for (const [i, { gap }] of ranges.entries()) {
      const from = Math.max(gap[0] - at, 0);
      const to = Math.min(gap[1] - at, piece.length);
      if (from < to) parts[i]!.push(Buffer.from(piece.subarray(from, to)));
    }
    at += piece.length;
    if (at >= last) break;
  }
  return parts.map((list) => Buffer.concat(list));
}

function signatureOf(hex: string): Pick<PdfSignature, 'signer' | 'cms'> {
  const padded = Buffer.from(hex.replace(/\s+/g, ''), 'hex');
  const cms = padded.subarray(0, derLength(padded));
  const read = readSignedData(cms);
  if (!read.ok) return { signer: null, cms: null };
  const subject = read.data.signers[0]?.certificate?.subject;
  return { signer: subject?.split('\n').join(', ').slice(0, 500) ?? null, cms };
}

/** Length of the DER element at the start: the room left for a signature is filled up with zeros. */
function derLength(bytes: Buffer): number {
  const first = bytes[1] ?? 0;
  if (first < 0x80) return 2 + first;
  const count = first & 0x7f;
  if (count === 0 || count > 4 || bytes.length < 2 + count) return bytes.length;
  return 2 + count + bytes.readUIntBE(2, count);
}
