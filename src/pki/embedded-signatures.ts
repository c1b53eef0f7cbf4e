/** Signatures that a sender put into a message: S/MIME, .p7s beside a file, signed PDF. */
import { createHash } from 'node:crypto';
import type { IntegrityHash } from '../demail/integrity.ts';
import type { EmbeddedSignature } from '../evidence/entry.ts';
import { decodeContent } from '../mime/digest.ts';
import type { MessageIndex, PartIndex } from '../mime/types.ts';
import { decodeParameter } from '../mime/words.ts';
import { type CmsReport, verifyCms } from './cms.ts';
import { findPdfSignatures } from './pdf-signature.ts';

/** Most bytes of one part that are held in memory; what is larger is named and not opened. */
const MAX_PART_BYTES = 24 * 1024 * 1024;
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
}

interface Placed {
  readonly part: PartIndex;
  readonly number: string;
  /** The parts beside it. */
  readonly siblings: readonly PartIndex[];
  readonly parent: PartIndex | null;
}

/**
 * Finds the signatures of a message and verifies those in CMS against what they were put beside. Whether the
 * signers are trusted is for the caller to find out. Content of multipart/signed is streamed, of any size.
 * Rejects only where reading does.
 */
export async function findSignatures(index: MessageIndex, read: RangeReader): Promise<FoundSignature[]> {
  const found: FoundSignature[] = [];
  for (const placed of leaves(index.root, '', null)) {
    const kind = kindOf(placed);
    if (kind === null) continue;
    if (found.length === MAX_SIGNATURES) break;
    const { part, number } = placed;
    if (part.bodyEnd - part.bodyStart > MAX_PART_BYTES) {
      // A PDF of that size may as well be unsigned.
      if (kind === 'pdf') continue;
      found.push({ kind, part: number, sha256: await digestRaw(part, read), signer: null, report: null });
      continue;
    }
    const bytes = await contentOf(part, read);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    if (kind === 'pdf') {
      for (const { signer } of findPdfSignatures(bytes).slice(0, MAX_SIGNATURES - found.length)) {
        found.push({ kind, part: number, sha256, signer, report: null });
      }
      continue;
    }
    const report = await verifyCms({
      cms: bytes,
      contentDigest: (hash) => signedDigest(kind, placed, hash, read),
    });
    const signer = report.signers[0]?.subject ?? null;
    found.push({ kind, part: number, sha256, signer, report });
  }
  return found;
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
    return digestRange(content.headerStart, content.bodyEnd, hash, read);
  }
  const name = nameOf(part).replace(/\.p7s$/, '');
  const others = siblings.filter((other) => other !== part && other.parts.length === 0);
  const named = others.find((other) => nameOf(other) !== '' && nameOf(other) === name);
  const files = others.filter((other) => nameOf(other) !== '' && !nameOf(other).endsWith('.p7s'));
  const file = named ?? (files.length === 1 ? files[0] : undefined);
  if (file === undefined || file.bodyEnd - file.bodyStart > MAX_PART_BYTES) return null;
  return createHash(hash)
    .update(await contentOf(file, read))
    .digest();
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

async function contentOf(part: PartIndex, read: RangeReader): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of read(part.bodyStart, part.bodyEnd)) chunks.push(chunk);
  return decodeContent(Buffer.concat(chunks), part.encoding);
}

async function digestRaw(part: PartIndex, read: RangeReader): Promise<string> {
  return (await digestRange(part.bodyStart, part.bodyEnd, 'sha256', read)).toString('hex');
}

async function digestRange(
  start: number,
  end: number,
  hash: IntegrityHash,
  read: RangeReader,
): Promise<Buffer> {
  const digest = createHash(hash);
  for await (const chunk of read(start, end)) digest.update(chunk);
  return digest.digest();
}
