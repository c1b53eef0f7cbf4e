/** Evidence records for tests: sealed among neighbours and renewed, with a time-stamp authority that is at hand. */
import { hash, randomBytes } from 'node:crypto';
import type { IntegrityHash } from '../../../demail/integrity.ts';
import type { EvidenceRecord } from '../evidence-record.ts';
import { createHashTree } from '../hash-tree.ts';
import {
  hashTreeRenewalDigests,
  newRecord,
  renewHashTree,
  renewTimestamp,
  type Sealed,
  timestampRenewalDigest,
} from '../renewal.ts';

/** Time-stamps a digest: the token, ready to be covered. */
export type Stamp = (digest: IntegrityHash, value: Buffer) => Promise<Buffer>;

/** Among how many other groups a group is sealed. */
const NEIGHBOURS = 6;

async function seal(digest: IntegrityHash, own: readonly Buffer[], stamp: Stamp): Promise<Sealed> {
  const builder = createHashTree(digest);
  const other = () =>
    builder.add([hash(digest, randomBytes(8), 'buffer'), hash(digest, randomBytes(8), 'buffer')]);
  for (let index = 0; index < NEIGHBOURS / 2; index++) other();
  const place = builder.add(own);
  for (let index = 0; index < NEIGHBOURS / 2; index++) other();
  const tree = builder.finish();
  return { digest, reducedHashTree: tree.reduce(place, own), token: await stamp(digest, tree.root) };
}

export async function sealDocuments(
  documents: readonly Buffer[],
  digest: IntegrityHash,
  stamp: Stamp,
): Promise<EvidenceRecord> {
  const own = documents.map((each) => hash(digest, each, 'buffer'));
  return newRecord(await seal(digest, own, stamp));
}

export async function renewTokenOf(record: EvidenceRecord, stamp: Stamp): Promise<EvidenceRecord> {
  const { digest, value } = timestampRenewalDigest(record);
  return renewTimestamp(record, await seal(digest, [value], stamp));
}

export async function renewTreeOf(
  record: EvidenceRecord,
  documents: readonly Buffer[],
  digest: IntegrityHash,
  stamp: Stamp,
): Promise<EvidenceRecord> {
  const own = documents.map((each) => hash(digest, each, 'buffer'));
  const bound = hashTreeRenewalDigests(record, digest, own);
  return renewHashTree(record, await seal(digest, bound, stamp), own);
}
