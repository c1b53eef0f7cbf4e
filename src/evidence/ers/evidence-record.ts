/**
 * Evidence records as RFC 4998 writes them, read and written. What is read comes out again byte for byte: renewals
 * hash these bytes. Time-stamps, attributes and algorithms are kept as DER.
 */
import type { IntegrityHash } from '../../demail/integrity.ts';
import {
  contextTag,
  DerError,
  der,
  derSequence,
  type Element,
  fieldsOf,
  readAll,
  readSingle,
  TAG,
} from '../../pki/der.ts';
import { derDigestAlgorithm, readAlgorithmOid, readDigestAlgorithm } from '../../pki/digest-algorithm.ts';
import type { ReducedHashTree } from './hash-tree.ts';

/** RFC 4998 4.1. */
export interface ArchiveTimeStamp {
  /** AlgorithmIdentifier; null: the one of the time-stamp's imprint counts. */
  readonly digestAlgorithm: Buffer | null;
  /** Attributes as they stand, with their tag. */
  readonly attributes: Buffer | null;
  /** Null: the time-stamp is over the digest itself. */
  readonly reducedHashTree: ReducedHashTree | null;
  /** ContentInfo of the time-stamp token. */
  readonly timeStamp: Buffer;
}

/** Archive time-stamps of one digest algorithm, the oldest first (RFC 4998 5.1). */
export type ArchiveTimeStampChain = readonly ArchiveTimeStamp[];

/** RFC 4998 3.1. */
export interface EvidenceRecord {
  /** AlgorithmIdentifiers. */
  readonly digestAlgorithms: readonly Buffer[];
  /** Attributes with data for verifying, each with its tag. */
  readonly cryptoInfos: readonly Buffer[] | null;
  /** As it stands, with its tag. */
  readonly encryptionInfo: Buffer | null;
  readonly chains: readonly ArchiveTimeStampChain[];
}

export type RecordResult =
  | { readonly ok: true; readonly record: EvidenceRecord }
  | { readonly ok: false; readonly reason: string };

/** A token with its certificates and lists has some ten KiB; a record has one for each renewal. */
export const MAX_RECORD_BYTES = 32 * 1024 * 1024;
const MAX_CHAINS = 64;
const MAX_TIME_STAMPS = 256;
/** A binary tree over 2^64 groups has fewer. */
const MAX_LISTS = 128;
const MAX_DIGESTS = 10_000;
const MAX_ALGORITHMS = 64;
const MAX_ATTRIBUTES = 1_000;

const tags = {
  cryptoInfos: contextTag(0),
  encryptionInfo: contextTag(1),
  digestAlgorithm: contextTag(0),
  attributes: contextTag(1),
  reducedHashTree: contextTag(2),
} as const;

const VERSION_1 = der(TAG.integer, Buffer.from([1]));

/** Reads DER. Total, bounded by `MAX_RECORD_BYTES`; what it accepts, `printEvidenceRecord` gives back unchanged. */
export function parseEvidenceRecord(bytes: Buffer): RecordResult {
  if (bytes.length > MAX_RECORD_BYTES) {
    return { ok: false, reason: `no evidence record: more than ${MAX_RECORD_BYTES} bytes` };
  }
  try {
    return { ok: true, record: readRecord(bytes) };
  } catch (error) {
    if (!(error instanceof DerError)) throw error;
    return { ok: false, reason: `no evidence record (RFC 4998): ${error.message}` };
  }
}

function readRecord(bytes: Buffer): EvidenceRecord {
  const fields = fieldsOf(readSingle(bytes, TAG.sequence).content);
  if (!fields.take(TAG.integer).der.equals(VERSION_1)) throw new DerError('its version is not 1');
  const digestAlgorithms = listOf(fields.take(TAG.sequence), MAX_ALGORITHMS).map(algorithm);
  const cryptoInfos = fields.maybe(tags.cryptoInfos);
  const encryptionInfo = fields.maybe(tags.encryptionInfo);
  const chains = listOf(fields.take(TAG.sequence), MAX_CHAINS).map((chain) =>
    listOf(typed(chain, TAG.sequence), MAX_TIME_STAMPS).map(archiveTimeStamp),
  );
  fields.end();
  return {
    digestAlgorithms,
    cryptoInfos:
      cryptoInfos === null
        ? null
        : listOf(cryptoInfos, MAX_ATTRIBUTES).map((attribute) => typed(attribute, TAG.sequence).der),
    encryptionInfo: encryptionInfo?.der ?? null,
    chains,
  };
}

function archiveTimeStamp(element: Element): ArchiveTimeStamp {
  const fields = fieldsOf(typed(element, TAG.sequence).content);
  const digestAlgorithm = fields.maybe(tags.digestAlgorithm);
  const attributes = fields.maybe(tags.attributes);
  const tree = fields.maybe(tags.reducedHashTree);
  const timeStamp = fields.take(TAG.sequence).der;
  fields.end();
  if (digestAlgorithm !== null) readAlgorithmOid(digestAlgorithm.content);
  return {
    digestAlgorithm: digestAlgorithm === null ? null : derSequence(digestAlgorithm.content),
    attributes: attributes?.der ?? null,
    reducedHashTree:
      tree === null
        ? null
        : listOf(tree, MAX_LISTS).map((list) =>
            listOf(typed(list, TAG.sequence), MAX_DIGESTS).map(
              (digest) => typed(digest, TAG.octetString).content,
            ),
          ),
    timeStamp,
  };
}

function algorithm(element: Element): Buffer {
  readAlgorithmOid(typed(element, TAG.sequence).content);
  return element.der;
}

function typed(element: Element, tag: number): Element {
  if (element.tag !== tag) throw new DerError(`tag 0x${element.tag.toString(16)} where none such belongs`);
  return element;
}

/** Elements of a SEQUENCE SIZE (1..MAX). */
function listOf(element: Element, most: number): Element[] {
  const elements = readAll(element.content, most);
  if (elements.length === 0) throw new DerError('an empty list');
  return elements;
}

/** DER of the record. */
export function printEvidenceRecord(record: EvidenceRecord): Buffer {
  return derSequence(
    VERSION_1,
    derSequence(...record.digestAlgorithms),
    ...(record.cryptoInfos === null ? [] : [der(tags.cryptoInfos, ...record.cryptoInfos)]),
    ...(record.encryptionInfo === null ? [] : [record.encryptionInfo]),
    printSequence(record.chains),
  );
}

/** DER of an ArchiveTimeStampSequence: what a hash-tree renewal covers (RFC 4998 5.2). */
export function printSequence(chains: readonly ArchiveTimeStampChain[]): Buffer {
  return derSequence(...chains.map((chain) => derSequence(...chain.map(printArchiveTimeStamp))));
}

function printArchiveTimeStamp({
  digestAlgorithm,
  attributes,
  reducedHashTree,
  timeStamp,
}: ArchiveTimeStamp) {
  return derSequence(
    ...(digestAlgorithm === null ? [] : [der(tags.digestAlgorithm, readSingle(digestAlgorithm).content)]),
    ...(attributes === null ? [] : [attributes]),
    ...(reducedHashTree === null
      ? []
      : [
          der(
            tags.reducedHashTree,
            ...reducedHashTree.map((list) => derSequence(...list.map((each) => der(TAG.octetString, each)))),
          ),
        ]),
    timeStamp,
  );
}

/** An archive time-stamp of ours: digest and reduced tree are always named. `timeStamp` is DER. */
export function newArchiveTimeStamp(
  digest: IntegrityHash,
  reducedHashTree: ReducedHashTree,
  timeStamp: Buffer,
): ArchiveTimeStamp {
  return { digestAlgorithm: derDigestAlgorithm(digest), attributes: null, reducedHashTree, timeStamp };
}

/** The digest that an archive time-stamp names, `null` where it names none, `unknown` where it is another than SHA-2. */
export function namedDigest(archiveTimeStamp: ArchiveTimeStamp): IntegrityHash | 'unknown' | null {
  const { digestAlgorithm } = archiveTimeStamp;
  if (digestAlgorithm === null) return null;
  return readDigestAlgorithm(readSingle(digestAlgorithm)) ?? 'unknown';
}
