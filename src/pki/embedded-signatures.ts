/** Signatures that a sender put into a message: S/MIME, .p7s beside a file, signed PDF. */
import { createHash } from 'node:crypto';
import type { IntegrityHash } from '../demail/integrity.ts';
import type { EmbeddedSignature } from '../evidence/entry.ts';
import { createDecoder } from '../mime/digest.ts';
import type { MessageIndex, PartIndex } from '../mime/types.ts';
import { decodeParameter } from '../mime/words.ts';
import { type CmsReport, verifyCms } from './cms.ts';
import { findPdfSignatures } from './pdf-signature.ts';

/** Most bytes of one CMS part that are held in memory, encoded; what is larger is named and not opened. */
const MAX_PART_BYTES = 24 * 1024 * 1024;
/** Parts looked at in one message: each may be read to its end. */
const MAX_CANDIDATES = 100;
/** Signatures looked at in one message: more is no letter. */
const MAX_SIGNATURES = 20;

/** Bytes of the message from `start` up to, not including, `end`, in pieces. */
export type RangeReader = (start: number, end: number) => AsyncIterable<Uint8Array>;

export interface FoundSignature {
  readonly kind: EmbeddedSignature['kind'];
  /** IMAP number of the part that holds the signature. */
  readonly part: string;
  /** Lower-case hex SHA-256 of that part decoded (of a PDF: the file); as it stands where it is too large. */
  readonly sha256: string;
  /** Distinguished name on one line; null where it could not be found out. */
  readonly signer: string | null;
  /** Null for PDF, which is recognised only, and for parts too large to be opened. */
  readonly report: CmsReport | null;
  /** The CMS structure as it came; null where it was not opened or is none. */
  readonly cms: Buffer | null;
}

interface Placed {
  readonly part: PartIndex;
  readonly number: string;
  /** The parts beside it. */
  readonly siblings: readonly PartIndex[];
  readonly parent: PartIndex | null;
}

/** Whether the message has parts that can hold a signature at all; nothing is read for that. */
export function mayHoldSignatures(index: MessageIndex): boolean {
  for (const placed of leaves(index.root, '', null)) if (kindOf(placed) !== null) return true;
  return false;
}

/**
 * Finds the signatures of a message and verifies those in CMS against what they were put beside. Whether the
 * signers are trusted is for the caller to find out. Only CMS structures are held in memory, one at a time; signed
 * content and PDF files are streamed, of any size. Rejects only where reading does.
 */
export async function findSignatures(index: MessageIndex, read: RangeReader): Promise<FoundSignature[]> {
  const found: FoundSignature[] = [];
  let candidates = 0;
  for (const placed of leaves(index.root, '', null)) {
    const kind = kindOf(placed);
    if (kind === null) continue;
    candidates += 1;
    if (found.length === MAX_SIGNATURES || candidates > MAX_CANDIDATES) break;
    const { part, number } = placed;
    if (kind === 'pdf') found.push(...(await pdfSignatures(placed, read, MAX_SIGNATURES - found.length)));
    else if (part.bodyEnd - part.bodyStart > MAX_PART_BYTES) {
      const sha256 = (await digestOf(rawOf(part, read), 'sha256')).toString('hex');
      found.push({ kind, part: number, sha256, signer: null, report: null, cms: null });
    } else found.push(await cmsSignature(kind, placed, read));
  }
  return found;
}

async function cmsSignature(
  kind: EmbeddedSignature['kind'],
  placed: Placed,
  read: RangeReader,
): Promise<FoundSignature> {
  const pieces: Buffer[] = [];
  for await (const piece of contentOf(placed.part, read)) pieces.push(piece);
  const cms = Buffer.concat(pieces);
  const report = await verifyCms({ cms, contentDigest: (hash) => signedDigest(kind, placed, hash, read) });
  return {
    kind,
    part: placed.number,
    sha256: createHash('sha256').update(cms).digest('hex'),
    signer: report.signers[0]?.subject ?? null,
    report,
    cms,
  };
}

async function pdfSignatures(
  { part, number }: Placed,
  read: RangeReader,
  most: number,
): Promise<FoundSignature[]> {
  const signatures = (await findPdfSignatures(() => contentOf(part, read))).slice(0, most);
  if (signatures.length === 0) return [];
  const sha256 = (await digestOf(contentOf(part, read), 'sha256')).toString('hex');
  return signatures.map(({ signer, cms }) => ({
    kind: 'pdf',
    part: number,
    sha256,
    signer,
    report: null,
    cms,
  }));
}

function kindOf({ part, parent, siblings }: Placed): EmbeddedSignature['kind'] | null {
  const type = `${part.type}/${part.subtype}`;
  if (/^application\/(x-)?pkcs7-signature$/.test(type) || nameOf(part).endsWith('.p7s')) {
    const smime = parent !== null && parent.subtype === 'signed' && siblings[1] === part;
    return smime ? 'smime-signed' : 'p7s';
  }
  if (/^application\/(x-)?pkcs7-mime$/.test(type)) {
    const smimeType = part.params.find(([name]) => name === 'smime-type')?.[1].toLowerCase();
    // Encrypted mail has the same media type.
    return smimeType === undefined || smimeType === 'signed-data' ? 'smime-opaque' : null;
  }
  return type === 'application/pdf' || nameOf(part).endsWith('.pdf') ? 'pdf' : null;
}

/** What a detached signature speaks of: RFC 1847 2.1 the first part as it stands, else the file beside it. */
async function signedDigest(
  kind: EmbeddedSignature['kind'],
  { part, siblings }: Placed,
  hash: IntegrityHash,
  read: RangeReader,
): Promise<Buffer | null> {
  if (kind === 'smime-signed') {
    const content = siblings[0]!;
    return digestOf(read(content.headerStart, content.bodyEnd), hash);
  }
  const name = nameOf(part).replace(/\.p7s$/, '');
  const others = siblings.filter((other) => other !== part && other.parts.length === 0);
  const named = others.find((other) => nameOf(other) !== '' && nameOf(other) === name);
  const files = others.filter((other) => nameOf(other) !== '' && !nameOf(other).endsWith('.p7s'));
  const file = named ?? (files.length === 1 ? files[0] : undefined);
  return file === undefined ? null : digestOf(contentOf(file, read), hash);
}

function* leaves(part: PartIndex, number: string, parent: PartIndex | null): Generator<Placed> {
  const siblings = parent?.parts ?? [part];
  if (part.type === 'multipart') {
    for (const [i, child] of part.parts.entries()) {
      yield* leaves(child, number === '' ? `${i + 1}` : `${number}.${i + 1}`, part);
    }
  } else if (part.parts[0] !== undefined) {
    // RFC 3501 6.4.5: the parts of an enclosed message are numbered below the message.
    yield* leaves(part.parts[0], number === '' ? '1' : number, null);
  } else {
    const single = parent === null;
    yield { part, number: single ? (number === '' ? '1' : `${number}.1`) : number, siblings, parent };
  }
}

function nameOf(part: PartIndex): string {
  const disposition = part.disposition?.params ?? [];
  return (
    decodeParameter(disposition, 'filename') ??
    decodeParameter(part.params, 'name') ??
    ''
  ).toLowerCase();
}

function rawOf(part: PartIndex, read: RangeReader): AsyncIterable<Uint8Array> {
  return read(part.bodyStart, part.bodyEnd);
}

/** The part after content transfer decoding, in pieces. */
async function* contentOf(part: PartIndex, read: RangeReader): AsyncGenerator<Buffer> {
  const decode = createDecoder(part.encoding);
  for await (const chunk of rawOf(part, read)) {
    yield decode(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength), false);
  }
  yield decode(Buffer.alloc(0), true);
}

async function digestOf(pieces: AsyncIterable<Uint8Array>, hash: IntegrityHash): Promise<Buffer> {
  const digest = createHash(hash);
  for await (const piece of pieces) digest.update(piece);
  return digest.digest();
}
