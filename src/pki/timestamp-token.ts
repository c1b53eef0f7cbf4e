/** Time-stamp tokens taken apart (RFC 3161 2.4.2), with nothing believed yet. */
import { hash } from 'node:crypto';
import type { IntegrityHash } from '../demail/integrity.ts';
import { type CmsSignedData, readSignedData } from './cms-structure.ts';
import {
  contextTag,
  DerError,
  type Element,
  fieldsOf,
  readAll,
  readGeneralizedTime,
  readOid,
  readSingle,
  TAG,
} from './der.ts';
import { digestLength, readDigestAlgorithm } from './digest-algorithm.ts';
import { splitToken } from './timestamp-der.ts';
import type { RevocationData } from './types.ts';

/** With certificates and large lists inside. */
export const MAX_TOKEN_BYTES = 16 * 1024 * 1024;

export const TST_INFO = '1.2.840.113549.1.9.16.1.4';

export interface TimestampToken {
  readonly genTime: Date;
  readonly imprint: { readonly hash: IntegrityHash; readonly digest: Buffer };
  /** Object identifier of the policy that the authority issued under. */
  readonly policy: string;
  /** Lower-case hex. */
  readonly serial: string;
  /** As it was sent, an INTEGER with its tag; null where there is none. */
  readonly nonce: Buffer | null;
  readonly cms: CmsSignedData;
  /** The token in DER without the revocation data, which nobody signed: reading large lists costs more than the rest. */
  readonly bare: Buffer;
  /** CRLs and OCSP responses inside the token. */
  readonly revocation: readonly RevocationData[];
}

export type TokenResult =
  | { readonly ok: true; readonly token: TimestampToken }
  | { readonly ok: false; readonly reason: string };

/** Every record of a seal brings the same token. */
const known = new Map<string, TokenResult>();
const MOST_KNOWN = 64;

/** Reads a token, BER or DER. Total, bounded by `MAX_TOKEN_BYTES`. */
export function readTimestampToken(bytes: Buffer): TokenResult {
  if (bytes.length > MAX_TOKEN_BYTES) return refuse(`more than ${MAX_TOKEN_BYTES} bytes`);
  const sha256 = hash('sha256', bytes);
  // A copy: what is kept must not keep a whole record alive.
  const result = known.get(sha256) ?? read(Buffer.from(bytes));
  known.delete(sha256);
  known.set(sha256, result);
  if (known.size > MOST_KNOWN) known.delete(known.keys().next().value!);
  return result;
}

function read(bytes: Buffer): TokenResult {
  try {
    const { bare, revocation } = splitToken(bytes);
    const cms = readSignedData(bare);
    if (!cms.ok) return refuse(cms.reason);
    if (cms.data.contentType !== TST_INFO || cms.data.content === null) {
      return refuse(`what is signed is no time-stamp but ${cms.data.contentType}`);
    }
    return { ok: true, token: { ...readInfo(cms.data.content), bare, cms: cms.data, revocation } };
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
    return refuse(error.message);
  }
}

function refuse(reason: string): TokenResult {
  return { ok: false, reason: `no time-stamp token (RFC 3161): ${reason}` };
}

function readInfo(content: Buffer): Omit<TimestampToken, 'cms' | 'bare' | 'revocation'> {
  const fields = fieldsOf(readSingle(content, TAG.sequence).content);
  if (!fields.take(TAG.integer).content.equals(Buffer.from([1]))) throw new DerError('its version is not 1');
  const policy = readOid(fields.take(TAG.oid));
  const imprint = readImprint(fields.take(TAG.sequence));
  const serial = fields.take(TAG.integer).content.toString('hex');
  const genTime = readGeneralizedTime(fields.take(TAG.generalizedTime));
  fields.maybe(TAG.sequence); // accuracy
  fields.maybe(TAG.boolean); // ordering
  const nonce = fields.maybe(TAG.integer)?.der ?? null;
  fields.maybe(contextTag(0)); // tsa
  const extensions = fields.maybe(contextTag(1));
  fields.end();
  if (extensions !== null) readAll(extensions.content, 64).forEach(refuseCritical);
  return { genTime, imprint, policy, serial, nonce };
}

/** RFC 3161 2.4.2: the extensions are those of RFC 5280; a critical one that is not understood forbids the use. */
function refuseCritical(extension: Element): void {
  const fields = fieldsOf(extension.content);
  const oid = readOid(fields.take(TAG.oid));
  if ((fields.maybe(TAG.boolean)?.content[0] ?? 0) !== 0) throw new DerError(`a critical extension (${oid})`);
}

/** MessageImprint (RFC 3161 2.4.1). @throws DerError where the digest is none of the SHA-2 family. */
function readImprint(element: Element): TimestampToken['imprint'] {
  const fields = fieldsOf(element.content);
  const algorithm = readDigestAlgorithm(fields.take(TAG.sequence));
  const digest = fields.take(TAG.octetString).content;
  fields.end();
  if (algorithm === null)
    throw new DerError('its imprint has a digest other than SHA-256, SHA-384 and SHA-512');
  if (digest.length !== digestLength[algorithm]) throw new DerError(`its imprint has ${digest.length} bytes`);
  return { hash: algorithm, digest };
}
