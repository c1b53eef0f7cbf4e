/**
 * The original's header as a confirmation repeats it, hashed again: what binds a confirmation to its letter
 * (TR-01201 IO 3.5.1 table 24: OriginalHeader was the basis of the hash).
 */
import {
  coveredFields,
  createIntegrityCheck,
  type IntegrityValue,
  parseIntegrity,
} from '../demail/integrity.ts';
import { findField, type HeaderField, parseHeader } from '../mime/header.ts';
import type { Metadate } from './xml-acknowledgement.ts';

const INTEGRITY = 'x-de-mail-integrity';

export type OriginalHash =
  | {
      readonly ok: true;
      /** `a=`, `h=`, `bh=` and `b=` of the original's integrity header. */
      readonly value: IntegrityValue;
      /** The header hash recomputed by that algorithm. */
      readonly headerHash: Buffer;
      /** What was hashed, for verifying a signature in `b=`. */
      readonly signedBytes: Buffer;
      /** Hash only: does `b=` hold that hash? Null where `b=` is a signature. */
      readonly fits: boolean | null;
      /** DER of the original's X-de-mail-signature-certificate, or null. */
      readonly certificate: Buffer | null;
      /** The original's fields that the hash covers, line ends restored. */
      readonly covered: readonly HeaderField[];
    }
  | { readonly ok: false; readonly reason: string };

/**
 * Computes the header hash of the original from the OriginalHeader values of its confirmation. XML parsing
 * turns CRLF into LF, so line ends are restored. `hash` is the element Hash; it must be the integrity header
 * that the metadata repeat, or stands in for it where they do not. Total.
 */
export function originalHeaderHash(metadata: readonly Metadate[], hash: string): OriginalHash {
  const parsed = parseIntegrity(unfolded(hash));
  if (!parsed.ok) return { ok: false, reason: `Hash cannot be read: ${parsed.reason}` };
  const fields = metadata.flatMap(restored);
  const repeated = findField(fields, INTEGRITY);
  if (repeated === undefined)
    fields.push(...restored({ originalHeader: `X-de-mail-integrity: ${hash.trim()}` }));
  else if (unspaced(repeated.value) !== unspaced(hash)) {
    return { ok: false, reason: "Hash differs from the original's integrity header among the metadata" };
  }
  const integrity = createIntegrityCheck(fields);
  if (integrity === null || 'unreadable' in integrity) {
    return { ok: false, reason: `the original's integrity header cannot be read` };
  }
  const { value, signedBytes, headerHash, headerHashFits, certificate } = integrity.finish();
  const covered = coveredFields(fields, value);
  return { ok: true, value, headerHash, signedBytes, fits: headerHashFits, certificate, covered };
}

/** One header field from its OriginalHeader; nothing where the text is not exactly one field. */
function restored({ originalHeader }: Pick<Metadate, 'originalHeader'>): HeaderField[] {
  const text = originalHeader.replace(/\r?\n/g, '\r\n').replace(/(?:\r\n)+$/, '');
  const fields = parseHeader(Buffer.from(`${text}\r\n`, 'utf8'));
  // Two fields in one metadate would let its name vouch for the second one.
  return fields.length === 1 && fields[0]!.name !== '' ? [...fields] : [];
}

function unfolded(text: string): string {
  return text.replace(/\r?\n/g, '');
}

function unspaced(text: string): string {
  return text.replace(/[\t\r\n ]+/g, '');
}
