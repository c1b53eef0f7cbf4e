/** Evidence records for tests: sealed among neighbours and renewed, with a time-stamp authority that is at hand. */
import { hash, randomBytes } from 'node:crypto';
import type { IntegrityHash } from '../../../demail/integrity.ts';
import type { EvidenceRecord } from '../evidence-record.ts';
import { createHashTree, hashTreeReducer } from '../hash-tree.ts';
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
  const tiles = new Map<string, Buffer>();
  const builder = createHashTree(digest, ({ level, n, hashes }) => tiles.set(`${level}/${n}`, hashes));
  const other = () =>
    builder.add([hash(digest, randomBytes(8), 'buffer'), hash(digest, randomBytes(8), 'buffer')]);
  for (let index = 0; index < NEIGHBOURS / 2; index++) other();
  const position = builder.add(own);
  for (let index = 0; index < NEIGHBOURS / 2; index++) other();
  const { root, leaves } = builder.finish();
  const readTile = (level: number, n: number) => tiles.get(`${level}/${n}`)!;
  const reducedHashTree = await hashTreeReducer(digest, leaves, readTile)(position, own);
  return { digest, reducedHashTree, token: await stamp(digest, root) };
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
