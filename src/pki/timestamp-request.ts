/** What is asked of a time-stamp authority, and its answer taken apart (RFC 3161 2.4). */
import type { IntegrityHash } from '../demail/integrity.ts';
import {
  DerError,
  der,
  derOid,
  derSequence,
  derUnsigned,
  fieldsOf,
  readAll,
  readSingle,
  TAG,
  toDer,
} from './der.ts';
import { derDigestAlgorithm, digestLength } from './digest-algorithm.ts';

export interface TimestampRequest {
  readonly hash: IntegrityHash;
  readonly digest: Buffer;
  /** Random bytes, at least 8; the answer repeats them. */
  readonly nonce: Buffer;
  /** Object identifier of the policy that is wanted. */
  readonly policy?: string;
}

/** DER of a TimeStampReq that asks for the certificates too. @throws RangeError for a digest of another length. */
export function timestampRequest({ hash, digest, nonce, policy }: TimestampRequest): Buffer {
  if (digest.length !== digestLength[hash])
    throw new RangeError(`a ${hash} digest has ${digestLength[hash]} bytes`);
  if (nonce.length < 8) throw new RangeError('a nonce of less than 8 bytes can be guessed');
  return derSequence(
    der(TAG.integer, Buffer.from([1])),
    derSequence(derDigestAlgorithm(hash), der(TAG.octetString, digest)),
    ...(policy === undefined ? [] : [derOid(policy)]),
    derUnsigned(nonce),
    der(TAG.boolean, Buffer.from([0xff])),
  );
}

export type TimestampAnswer =
  /** `token`: the ContentInfo as it came. */
  { readonly ok: true; readonly token: Buffer } | { readonly ok: false; readonly reason: string };

const statuses = ['granted', 'granted with changes', 'rejected', 'waiting', 'revocation warning', 'revoked'];
/** PKIFailureInfo by its bits (RFC 3161 2.4.2). */
const failures: Record<number, string> = {
  0: 'the algorithm is not recognised',
  2: 'the request is not permitted',
  5: 'the data has the wrong format',
  14: 'its source of time is not available',
  15: 'the policy is not supported',
  16: 'the extension is not supported',
  17: 'additional information is not available',
  25: 'it has a failure of its own',
};

/** Reads a TimeStampResp. Total. */
export function readTimestampResponse(bytes: Buffer): TimestampAnswer {
  try {
    const fields = fieldsOf(readSingle(toDer(bytes), TAG.sequence).content);
    const info = fieldsOf(fields.take(TAG.sequence).content);
    const status = info.take(TAG.integer).content;
    const texts = info.maybe(TAG.sequence);
    const failure = info.maybe(TAG.bitString);
    const token = fields.maybe(TAG.sequence);
    fields.end();
    if (status.length === 1 && status[0]! <= 1) {
      return token === null
        ? { ok: false, reason: 'granted, but no token came' }
        : { ok: true, token: Buffer.from(token.der) };
    }
    const words = texts === null ? [] : readAll(texts.content, 16).map(({ content }) => printable(content));
    const why = [...failuresOf(failure?.content), ...words].filter((word) => word !== '').join('; ');
    const name =
      (status.length === 1 && statuses[status[0]!]) || `status 0x${status.toString('hex').slice(0, 8)}`;
    return { ok: false, reason: `${name}${why === '' ? '' : `: ${why}`}` };
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
    return { ok: false, reason: `no time-stamp response (RFC 3161): ${error.message}` };
  }
}

function failuresOf(bits: Buffer | undefined): string[] {
  if (bits === undefined) return [];
  return Object.entries(failures)
    .filter(([bit]) => ((bits[1 + (Number(bit) >> 3)] ?? 0) & (0x80 >> (Number(bit) & 7))) !== 0)
    .map(([, words]) => words);
}

/** Text of others goes into logs and errors. */
function printable(bytes: Buffer): string {
  return bytes.subarray(0, 200).toString('utf8').replace(/\p{C}/gu, ' ').trim();
}
