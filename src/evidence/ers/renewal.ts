/**
 * Evidence records made and renewed (RFC 4998 5.2). Nothing here asks an authority: the digests that a renewal
 * covers go into a hash tree, its root is time-stamped, and tree and token make the renewed record.
 */
import { hash } from 'node:crypto';
import type { IntegrityHash } from '../../demail/integrity.ts';
import { derDigestAlgorithm } from '../../pki/digest-algorithm.ts';
import { derToken, embedCrls } from '../../pki/timestamp-der.ts';
import { readTimestampToken, type TimestampToken } from '../../pki/timestamp-token.ts';
import {
  type ArchiveTimeStamp,
  type ArchiveTimeStampChain,
  type EvidenceRecord,
  namedDigest,
  newArchiveTimeStamp,
  printSequence,
} from './evidence-record.ts';
import { type ReducedHashTree, rootOf } from './hash-tree.ts';

/** What a new archive time-stamp is made of. */
export interface Sealed {
  readonly digest: IntegrityHash;
  /** The way from the group's own digests to the root that was time-stamped. */
  readonly reducedHashTree: ReducedHashTree;
  /** The token, BER or DER; it is kept as DER. */
  readonly token: Buffer;
}

/** The first record of a group. @throws RangeError where the token is over another root; DerError where it is none. */
export function newRecord(sealed: Sealed): EvidenceRecord {
  return {
    digestAlgorithms: [derDigestAlgorithm(sealed.digest)],
    cryptoInfos: null,
    encryptionInfo: null,
    chains: [[archiveTimeStamp(sealed)]],
  };
}

/**
 * What a time-stamp renewal covers: the digest of the newest time-stamp. It depends on the token alone, so records
 * of one seal share it. @throws RangeError where the record's digest is unknown.
 */
export function timestampRenewalDigest(record: EvidenceRecord): { digest: IntegrityHash; value: Buffer } {
  const chain = newestChain(record);
  const digest = chainDigest(chain);
  if (digest === null) throw new RangeError('the newest chain has a digest that cannot be computed');
  return { digest, value: timestampDigest(digest, chain.at(-1)!) };
}

/**
 * The record after a time-stamp renewal. The first list of the reduced tree has the digest of the time-stamp before.
 * @throws RangeError where tree, token and record do not belong together.
 */
export function renewTimestamp(record: EvidenceRecord, sealed: Sealed): EvidenceRecord {
  const { digest, value } = timestampRenewalDigest(record);
  // RFC 4998 5.2: another digest begins another chain.
  if (sealed.digest !== digest) throw new RangeError(`the chain has ${digest}, the renewal ${sealed.digest}`);
  expectFirstList(sealed.reducedHashTree, [value]);
  const chain = [...newestChain(record), archiveTimeStamp(sealed)];
  return { ...record, chains: [...record.chains.slice(0, -1), chain] };
}

/**
 * What a hash-tree renewal covers: for each document `H(H(document) ‖ H(sequence so far))`, in the order given. The
 * RFC's own figure sorts the two; verifiers do not. `documents` are digests by the new algorithm.
 */
export function hashTreeRenewalDigests(
  record: EvidenceRecord,
  digest: IntegrityHash,
  documents: readonly Uint8Array[],
): Buffer[] {
  return sequenceBound(digest, documents, record.chains);
}

/** The same over the chains that are given. */
export function sequenceBound(
  digest: IntegrityHash,
  documents: readonly Uint8Array[],
  chains: readonly ArchiveTimeStampChain[],
): Buffer[] {
  const sequence = hash(digest, printSequence(chains), 'buffer');
  return documents.map((document) => hash(digest, Buffer.concat([document, sequence]), 'buffer'));
}

/** The record after a hash-tree renewal: a new chain. @throws RangeError where tree and documents do not fit. */
export function renewHashTree(
  record: EvidenceRecord,
  sealed: Sealed,
  documents: readonly Uint8Array[],
): EvidenceRecord {
  expectFirstList(sealed.reducedHashTree, hashTreeRenewalDigests(record, sealed.digest, documents));
  const algorithm = derDigestAlgorithm(sealed.digest);
  const isNew = !record.digestAlgorithms.some((each) => each.equals(algorithm));
  return {
    ...record,
    digestAlgorithms: isNew ? [...record.digestAlgorithms, algorithm] : record.digestAlgorithms,
    chains: [...record.chains, [archiveTimeStamp(sealed)]],
  };
}

/**
 * The record with other revocation lists in its newest time-stamp, which nothing covers yet. Older ones are covered,
 * and any change to them would break the proof. @throws DerError where a list is none.
 */
export function replaceNewestCrls(record: EvidenceRecord, crls: readonly Buffer[]): EvidenceRecord {
  const chain = newestChain(record);
  const newest = chain.at(-1)!;
  const renewed = [...chain.slice(0, -1), { ...newest, timeStamp: embedCrls(newest.timeStamp, crls) }];
  return { ...record, chains: [...record.chains.slice(0, -1), renewed] };
}

/** Digest over the DER of a time-stamp: what the next one of the chain covers. */
export function timestampDigest(digest: IntegrityHash, { timeStamp }: ArchiveTimeStamp): Buffer {
  return hash(digest, timeStamp, 'buffer');
}

/** The digest of a chain: named by its first archive time-stamp, or that of its imprint. Null where it is unknown. */
export function chainDigest(chain: ArchiveTimeStampChain): IntegrityHash | null {
  return digestOfTimeStamp(chain[0]!);
}

/** The same of one archive time-stamp. */
export function digestOfTimeStamp(archived: ArchiveTimeStamp): IntegrityHash | null {
  const named = namedDigest(archived);
  if (named === 'unknown') return null;
  if (named !== null) return named;
  const read = readTimestampToken(archived.timeStamp);
  return read.ok ? read.token.imprint.hash : null;
}

function newestChain(record: EvidenceRecord): ArchiveTimeStampChain {
  const chain = record.chains.at(-1);
  if (chain === undefined || chain.length === 0) throw new RangeError('the record has no archive time-stamp');
  return chain;
}

function archiveTimeStamp({ digest, reducedHashTree, token }: Sealed): ArchiveTimeStamp {
  const { imprint, der } = stampOf(token);
  if (imprint.hash !== digest || !imprint.digest.equals(rootOf(digest, reducedHashTree))) {
    throw new RangeError('the time-stamp is over another root than that of the hash tree');
  }
  return newArchiveTimeStamp(digest, reducedHashTree, der);
}

interface Stamp {
  readonly imprint: TimestampToken['imprint'];
  readonly der: Buffer;
}

/** A token stands over millions of groups, and is taken apart once. */
const stamps = new WeakMap<Buffer, Stamp>();

function stampOf(token: Buffer): Stamp {
  const known = stamps.get(token);
  if (known !== undefined) return known;
  const read = readTimestampToken(token);
  if (!read.ok) throw new RangeError(read.reason);
  const stamp = { imprint: read.token.imprint, der: derToken(token) };
  stamps.set(token, stamp);
  return stamp;
}

function expectFirstList(tree: ReducedHashTree, expected: readonly Buffer[]): void {
  const first = [...(tree[0] ?? [])].sort(Buffer.compare);
  const wanted = [...expected].sort(Buffer.compare);
  if (first.length !== wanted.length || first.some((each, index) => !each.equals(wanted[index]!))) {
    throw new RangeError('the first list of the hash tree is not what the renewal covers');
  }
}
