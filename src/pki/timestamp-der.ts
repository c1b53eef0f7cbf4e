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
/** BSI TR-ESOR-ERS A3.4-7: the response without its frame. */
const OCSP_BASIC = '1.3.6.1.5.5.7.48.1.1';
const MAX_ELEMENTS = 64;

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

/** What a token is verified with: nobody signed it, so it can be put in later. DER. */
export interface ValidationData {
  /** Added to those that are there. */
  readonly certificates: readonly Buffer[];
  /** In the place of all revocation data that is there. What an authority put in is kept with its raw response. */
  readonly crls: readonly Buffer[];
}

/** The token, as DER, with that data inside. @throws DerError where token, certificate or list is none. */
export function embedValidationData(token: Buffer, { certificates, crls }: ValidationData): Buffer {
  if (crls.length > MAX_ELEMENTS) throw new DerError(`more than ${MAX_ELEMENTS} lists`);
  for (const each of [...certificates, ...crls]) readSingle(each, TAG.sequence);
  const parts = read(token);
  const known =
    parts.certificates === null ? [] : readAll(readSingle(parts.certificates).content, MAX_ELEMENTS);
  const all = distinct([...known.map((each) => each.der), ...certificates]);
  return print({
    ...parts,
    certificates: all.length === 0 ? null : derSetOf(contextTag(0), all),
    crls: crls.length === 0 ? null : derSetOf(contextTag(1), distinct(crls)),
  });
}

/** The token, as DER, with exactly these CRLs inside. @throws DerError where token or list is none. */
export function embedCrls(token: Buffer, crls: readonly Buffer[]): Buffer {
  return embedValidationData(token, { certificates: [], crls });
}

function distinct(list: readonly Buffer[]): Buffer[] {
  return list.filter((each, index) => list.findIndex((other) => other.equals(each)) === index);
}

/** The token in DER without its revocation data, and those. @throws DerError where it is no SignedData. */
export function splitToken(token: Buffer): { readonly bare: Buffer; readonly revocation: RevocationData[] } {
  const parts = read(token);
  const elements = parts.crls === null ? [] : readAll(readSingle(parts.crls).content, MAX_ELEMENTS);
  return { bare: print({ ...parts, crls: null }), revocation: elements.flatMap(revocationData) };
}

function revocationData(element: Element): RevocationData[] {
  if (element.tag === TAG.sequence) return [{ kind: 'crl', der: element.der }];
  if (element.tag !== contextTag(1)) return [];
  const fields = fieldsOf(element.content);
  const format = readOid(fields.take(TAG.oid));
  if (format !== OCSP_RESPONSE && format !== OCSP_BASIC) return [];
  const response = fields.take(TAG.sequence).der;
  return [{ kind: 'ocsp', der: format === OCSP_RESPONSE ? response : successful(response) }];
}

/** OCSPResponse around a BasicOCSPResponse (RFC 6960 4.2.1). */
function successful(basic: Buffer): Buffer {
  const bytes = derSequence(derOid(OCSP_BASIC), der(TAG.octetString, basic));
  return derSequence(der(TAG.enumerated, Buffer.from([0])), der(contextTag(0), bytes));
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
  const elements = readAll(set.content, MAX_ELEMENTS);
  return derSetOf(
    set.tag,
    elements.map((element) => element.der),
  );
}

function print({ head, certificates, crls, signers }: Parts): Buffer {
  const optional = [certificates, crls].filter((part) => part !== null);
  return derSequence(derOid(SIGNED_DATA), der(contextTag(0), derSequence(...head, ...optional, signers)));
}
