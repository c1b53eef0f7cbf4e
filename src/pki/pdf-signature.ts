/** Recognises signatures inside a PDF (ISO 32000-1 12.8): who signed, not whether it holds. */
import { readSignedData } from './cms-structure.ts';

const MAX_SIGNATURES = 16;
/** The hexadecimal string of a signature, with its padding. */
const MAX_CONTENTS = 256 * 1024;

export interface PdfSignature {
  /** Distinguished name on one line; null where the signature is no CMS or brings no certificate. */
  readonly signer: string | null;
  /** Whether all of the file but the signature itself is covered: what was added afterwards is not. */
  readonly whole: boolean;
}

/** The signatures of a PDF, in the order of the file; none where it is no PDF. Total and linear. */
export function findPdfSignatures(pdf: Buffer): PdfSignature[] {
  if (!pdf.subarray(0, 1024).includes('%PDF-')) return [];
  const found: PdfSignature[] = [];
  for (let at = pdf.indexOf('/ByteRange'); at !== -1; at = pdf.indexOf('/ByteRange', at + 1)) {
    if (found.length === MAX_SIGNATURES) break;
    const range =
      /^\/ByteRange\s{0,20}\[\s{0,20}(\d{1,10})\s{1,20}(\d{1,10})\s{1,20}(\d{1,10})\s{1,20}(\d{1,10})\s{0,100}\]/.exec(
        pdf.toString('latin1', at, at + 260),
      );
    if (range === null) continue;
    const [start, length, second, rest] = range.slice(1).map(Number) as [number, number, number, number];
    const end = start + length;
    // Between the two ranges stands the signature alone: <hex>.
    if (end >= second || second > pdf.length || second - end > MAX_CONTENTS) continue;
    const hex = /^<([0-9A-Fa-f\s]*)>$/.exec(pdf.toString('latin1', end, second))?.[1];
    if (hex === undefined) continue;
    found.push({ signer: signerOf(hex), whole: start === 0 && second + rest === pdf.length });
  }
  return found;
}

function signerOf(hex: string): string | null {
  const padded = Buffer.from(hex.replace(/\s+/g, ''), 'hex');
  const read = readSignedData(padded.subarray(0, derLength(padded)));
  const subject = read.ok ? read.data.signers[0]?.certificate?.subject : undefined;
  return subject?.split('\n').join(', ').slice(0, 500) ?? null;
}

/** Length of the DER element at the start: the room left for a signature is filled up with zeros. */
function derLength(bytes: Buffer): number {
  const first = bytes[1] ?? 0;
  if (first < 0x80) return 2 + first;
  const count = first & 0x7f;
  if (count === 0 || count > 4 || bytes.length < 2 + count) return bytes.length;
  return 2 + count + bytes.readUIntBE(2, count);
}
