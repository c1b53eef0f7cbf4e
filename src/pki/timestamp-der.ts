/**
 * The DER of a time-stamp token, as renewals hash it, and the revocation lists inside: they stand beside what is
 * signed (RFC 5652 5.1), so they can be exchanged.
 */
import {
  contextTag,
  DerError,
  der,
  derOid,
  derSequence,
  derSetOf,
  type Element,
  fieldsOf,
  readAll,
  readOid,
  readSingle,
  TAG,
  toDer,
} from './der.ts';
import type { RevocationData } from './types.ts';

const SIGNED_DATA = '1.2.840.113549.1.7.2';
/** RFC 5940 2.1. */
const OCSP_RESPONSE = '1.3.6.1.5.5.7.16.2';
const MAX_LISTS = 64;

/** SignedData in pieces (RFC 5652 5.1), each with its tag. */
interface Parts {
  /** Version, digestAlgorithms, encapContentInfo. */
  readonly head: readonly Buffer[];
  readonly certificates: Buffer | null;
  readonly crls: Buffer | null;
  readonly signers: Buffer;
}

/**
 * The token in DER, as an archive time-stamp holds it and a renewal hashes it. Nothing signed changes.
 * @throws DerError where it is no SignedData.
 */
export function derToken(token: Buffer): Buffer {
  return print(read(token));
}

/**
 * The token, as DER, with exactly these CRLs inside; none takes out what was there. What an authority put there is
 * kept with its raw response. @throws DerError where token or list is none.
 */
export function embedCrls(token: Buffer, crls: readonly Buffer[]): Buffer {
  if (crls.length > MAX_LISTS) throw new DerError(`more than ${MAX_LISTS} lists`);
  for (const crl of crls) readSingle(crl, TAG.sequence);
  const distinct = crls.filter((crl, index) => crls.findIndex((other) => other.equals(crl)) === index);
  return print({ ...read(token), crls: distinct.length === 0 ? null : derSetOf(contextTag(1), distinct) });
}

/** The token in DER without its revocation data, and those. @throws DerError where it is no SignedData. */
export function splitToken(token: Buffer): { readonly bare: Buffer; readonly revocation: RevocationData[] } {
  const parts = read(token);
  const elements = parts.crls === null ? [] : readAll(readSingle(parts.crls).content, MAX_LISTS);
  return { bare: print({ ...parts, crls: null }), revocation: elements.flatMap(revocationData) };
}

function revocationData(element: Element): RevocationData[] {
  if (element.tag === TAG.sequence) return [{ kind: 'crl', der: element.der }];
  if (element.tag !== contextTag(1)) return [];
  const fields = fieldsOf(element.content);
  if (readOid(fields.take(TAG.oid)) !== OCSP_RESPONSE) return [];
  return [{ kind: 'ocsp', der: fields.take(TAG.sequence).der }];
}

function read(token: Buffer): Parts {
  const info = fieldsOf(readSingle(toDer(token), TAG.sequence).content);
  if (readOid(info.take(TAG.oid)) !== SIGNED_DATA) throw new DerError('no SignedData');
  const fields = fieldsOf(readSingle(info.take(contextTag(0)).content, TAG.sequence).content);
  info.end();
  const head = [fields.take(TAG.integer).der, ordered(fields.take(TAG.set)), fields.take(TAG.sequence).der];
  const certificates = fields.maybe(contextTag(0))?.der ?? null;
  const crls = fields.maybe(contextTag(1))?.der ?? null;
  const signers = ordered(fields.take(TAG.set));
  fields.end();
  return { head, certificates, crls, signers };
}

/** All verifiers must find the same DER: Bouncy Castle sorts what is tagged as a SET, and nothing else. */
function ordered(set: Element): Buffer {
  const elements = readAll(set.content, MAX_LISTS);
  return derSetOf(
    set.tag,
    elements.map((element) => element.der),
  );
}

function print({ head, certificates, crls, signers }: Parts): Buffer {
  const optional = [certificates, crls].filter((part) => part !== null);
  return derSequence(derOid(SIGNED_DATA), der(contextTag(0), derSequence(...head, ...optional, signers)));
}
