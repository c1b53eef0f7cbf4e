/**
 * The evidence record of a group, put together from the trees and tokens that the store keeps: its seal, and every
 * renewal since (RFC 4998 5.2). Nothing of it is stored for the group itself.
 */
import type { ArchiveTimestamp, Reader } from '../store/store.ts';
import type { ArchiveDigest } from './entry.ts';
import { type EvidenceRecord, printEvidenceRecord } from './ers/evidence-record.ts';
import { reduceHashTree } from './ers/hash-tree.ts';
import {
  hashTreeRenewalDigests,
  newRecord,
  renewHashTree,
  renewTimestamp,
  timestampRenewalDigest,
} from './ers/renewal.ts';
import { checkpointGroup, entryGroup } from './groups.ts';

export type ArchiveReader = Pick<
  Reader,
  | 'archiveTimestamps'
  | 'archiveToken'
  | 'archiveRanges'
  | 'renewalsOf'
  | 'archiveTile'
  | 'archiveExcluded'
  | 'sealOf'
  | 'entryFiles'
  | 'object'
>;

/** Digests of a group's documents; null where they are gone. */
export type Documents = (digest: ArchiveDigest) => Promise<Buffer[] | null>;

/** Seals and renewals by number, read once for many records. */
export async function archiveIndex(reader: ArchiveReader): Promise<Map<number, ArchiveTimestamp>> {
  return new Map((await reader.archiveTimestamps()).map((one) => [one.id, one]));
}

/**
 * DER of the record of an entry.
 * @returns null for an entry under no seal yet, or one that was erased
 * @throws Error naming what does not fit: a changed entry, object, tree or token
 */
export async function recordOfEntry(
  reader: ArchiveReader,
  tenant: string,
  index: number,
): Promise<Buffer | null> {
  const place = await reader.sealOf(tenant, index);
  if (place === null || (await reader.entryFiles(tenant, index)) === null) return null;
  const timestamps = await archiveIndex(reader);
  const record = await recordAt(
    reader,
    timestamps,
    place,
    async (digest) => (await entryGroup(reader, tenant, index, digest))?.map((d) => d.digest) ?? null,
    await exclusions(reader, timestamps, tenant, index),
  );
  return printEvidenceRecord(record);
}

/** DER of the record of a tenant's checkpoint under a seal. @throws as recordOfEntry */
export async function recordOfCheckpoint(
  reader: ArchiveReader,
  seal: number,
  tenant: string,
): Promise<{ record: Buffer; checkpoint: string } | null> {
  const range = (await reader.archiveRanges(seal)).find((one) => one.tenant === tenant);
  if (range === undefined) return null;
  const { checkpoint, position, from, to } = range;
  const record = await recordAt(
    reader,
    await archiveIndex(reader),
    { id: seal, position: position + to - from },
    async (digest) => checkpointGroup(checkpoint, digest).map((d) => d.digest),
  );
  return { record: printEvidenceRecord(record), checkpoint };
}

/** Hash-tree renewals that left the entry out, because it did not verify then. */
async function exclusions(
  reader: ArchiveReader,
  timestamps: ReadonlyMap<number, ArchiveTimestamp>,
  tenant: string,
  index: number,
): Promise<ReadonlySet<number>> {
  const found = new Set<number>();
  for (const { id, kind } of timestamps.values()) {
    if (kind !== 'hash-tree-renewal') continue;
    const excluded = await reader.archiveExcluded(id);
    if (excluded.some((one) => one.tenant === tenant && one.index === index)) found.add(id);
  }
  return found;
}

/**
 * The record of the group at `position` of a seal.
 * @param until leaves out this archive timestamp and all after it: what it is to cover
 */
export async function recordAt(
  reader: ArchiveReader,
  index: ReadonlyMap<number, ArchiveTimestamp>,
  { id: seal, position }: { readonly id: number; readonly position: number },
  documents: Documents,
  excluded: ReadonlySet<number> = new Set(),
  until = Number.POSITIVE_INFINITY,
): Promise<EvidenceRecord> {
  const sealed = async (id: number, at: number, digests: readonly Buffer[]) => {
    const archived = index.get(id);
    const token = await reader.archiveToken(id);
    if (archived === undefined || token === null) throw new Error(`archive timestamp ${id} is missing`);
    const { digest, leaves } = archived;
    const reducedHashTree = await reduceHashTree({
      digest,
      leaves,
      position: at,
      digests,
      readTile: (level, n) => reader.archiveTile(id, level, n),
    });
    return { digest, reducedHashTree, token: token.token };
  };
  const own = async (id: number) => {
    const digests = await documents(index.get(id)!.digest);
    if (digests === null) throw new Error('its documents are gone');
    return digests;
  };
  if (!index.has(seal)) throw new Error(`archive timestamp ${seal} is missing`);
  let record = newRecord(await sealed(seal, position, await own(seal)));
  const trees = (await reader.renewalsOf(seal)).filter(
    ({ kind, id }) => kind === 'hash-tree-renewal' && id < until && !excluded.has(id),
  );
  let newest = seal;
  for (const tree of [...trees, null]) {
    record = await followTokens(reader, record, newest, Math.min(tree?.id ?? until, until), sealed);
    if (tree === null) break;
    const digests = await own(tree.id);
    const bound = hashTreeRenewalDigests(record, index.get(tree.id)!.digest, digests);
    record = renewHashTree(record, await sealed(tree.id, tree.position + position, bound), digests);
    newest = tree.id;
  }
  return record;
}

/** Timestamp renewals of `from`, and of those, up to the archive timestamp `before`. */
async function followTokens(
  reader: ArchiveReader,
  record: EvidenceRecord,
  from: number,
  before: number,
  sealed: (
    id: number,
    at: number,
    digests: readonly Buffer[],
  ) => Promise<Parameters<typeof renewTimestamp>[1]>,
): Promise<EvidenceRecord> {
  let renewed = record;
  let newest = from;
  for (;;) {
    const next = (await reader.renewalsOf(newest)).find(
      ({ kind, id }) => kind === 'timestamp-renewal' && id < before,
    );
    if (next === undefined) return renewed;
    const { value } = timestampRenewalDigest(renewed);
    renewed = renewTimestamp(renewed, await sealed(next.id, next.position, [value]));
    newest = next.id;
  }
}
