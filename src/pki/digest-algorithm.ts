/** Digests by their object identifiers (RFC 5754). */
import type { IntegrityHash } from '../demail/integrity.ts';
import { derOid, derSequence, type Element, fieldsOf, readOid, TAG } from './der.ts';

/** SHA-1 occurs in the certificate references of older time-stamp authorities; nothing else is read with it. */
export const SHA1 = '1.3.14.3.2.26';

export const digestOids: Readonly<Record<IntegrityHash, string>> = {
  sha256: '2.16.840.1.101.3.4.2.1',
  sha384: '2.16.840.1.101.3.4.2.2',
  sha512: '2.16.840.1.101.3.4.2.3',
};

/** Bytes of a digest. */
export const digestLength: Readonly<Record<IntegrityHash, number>> = { sha256: 32, sha384: 48, sha512: 64 };

/** AlgorithmIdentifier without parameters, as RFC 5754 2 wants it written. */
export function derDigestAlgorithm(hash: IntegrityHash): Buffer {
  return derSequence(derOid(digestOids[hash]));
}

/** The object identifier of an AlgorithmIdentifier (the content of its SEQUENCE). @throws DerError where it is none. */
export function readAlgorithmOid(content: Buffer): string {
  const fields = fieldsOf(content);
  const oid = readOid(fields.take(TAG.oid));
  fields.any();
  fields.end();
  return oid;
}

/** The digest that an AlgorithmIdentifier names, or null where it is none of those. @throws DerError. */
export function readDigestAlgorithm(element: Pick<Element, 'content'>): IntegrityHash | null {
  return digestOf(readAlgorithmOid(element.content));
}

export function digestOf(oid: string): IntegrityHash | null {
  const names = Object.keys(digestOids) as IntegrityHash[];
  return names.find((name) => digestOids[name] === oid) ?? null;
}
