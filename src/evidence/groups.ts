/**
 * What stands under a seal: groups of documents (RFC 4998 4.2). An entry's group are its files: the entry, its salt,
 * which keeps a document's bare digest out of other people's records, and each object that it names. A checkpoint is
 * a group of its own, so that one time-stamp anchors the logs as well.
 */
import { createHash, hash } from 'node:crypto';
import type { ArchiveTimestamp, Reader, SealRange } from '../store/store.ts';
import type { ArchiveDigest } from './entry.ts';
import { objectsOf } from './objects-of.ts';

export type GroupReader = Pick<Reader, 'entryFiles' | 'object'>;

/** A document of a group and its digest. */
export interface GroupDocument {
  /** `entry.json`, `salt.bin`, or the address of an object. */
  readonly name: string;
  readonly digest: Buffer;
}

/**
 * Digests of an entry's files.
 * @param deep read each object again also where the entry says its digest; other digests than SHA-256 always do
 * @returns null for an entry that was erased
 * @throws Error naming what does not verify: such an entry must not be covered as if it did
 */
export async function entryGroup(
  reader: GroupReader,
  tenant: string,
  index: number,
  digest: ArchiveDigest,
  deep = false,
): Promise<GroupDocument[] | null> {
  return (await entryGroups(reader, tenant, index, [digest], deep))?.get(digest) ?? null;
}

/** The same under several digests, for which each object is read once. */
export async function entryGroups(
  reader: GroupReader,
  tenant: string,
  index: number,
  digests: readonly ArchiveDigest[],
  deep = false,
): Promise<Map<ArchiveDigest, GroupDocument[]> | null> {
  const files = await reader.entryFiles(tenant, index);
  if (files === null) return null;
  const groups = new Map<ArchiveDigest, GroupDocument[]>();
  for (const digest of digests)
    groups.set(digest, [
      { name: 'entry.json', digest: hash(digest, files.bytes, 'buffer') },
      { name: 'salt.bin', digest: hash(digest, files.salt, 'buffer') },
    ]);
  const isRead = deep || digests.some((digest) => digest !== 'sha256');
  const seen = new Set<string>();
  for (const { fact } of objectsOf(files.entry)) {
    if (seen.has(fact.object)) continue;
    seen.add(fact.object);
    const said = Buffer.from(fact.sha256, 'hex');
    const read = isRead ? await objectDigests(reader, tenant, fact.object, digests, said) : null;
    for (const [digest, group] of groups)
      group.push({ name: fact.object, digest: read?.get(digest) ?? said });
  }
  return groups;
}

async function objectDigests(
  reader: GroupReader,
  tenant: string,
  object: string,
  digests: readonly ArchiveDigest[],
  sha256: Buffer,
): Promise<Map<ArchiveDigest, Buffer>> {
  const opened = await reader.object(tenant, object);
  if (opened === null) throw new Error(`object ${object} is missing`);
  const hashes = new Map([...new Set<ArchiveDigest>(['sha256', ...digests])].map((d) => [d, createHash(d)]));
  for await (const chunk of opened.read()) for (const computed of hashes.values()) computed.update(chunk);
  const computed = new Map([...hashes].map(([digest, one]) => [digest, one.digest()]));
  if (!computed.get('sha256')!.equals(sha256)) throw new Error(`object ${object} is not what the entry says`);
  return computed;
}

/** The group of a checkpoint: the note as it was signed. */
export function checkpointGroup(note: string, digest: ArchiveDigest): GroupDocument[] {
  return [{ name: 'checkpoint', digest: hash(digest, note, 'buffer') }];
}

/** The groups of a seal's tree that the store holds: all, or those of the tenant that it came with. */
export function heldGroups(
  { partial, leaves }: ArchiveTimestamp,
  ranges: readonly SealRange[],
): { readonly first: number; readonly count: number } {
  if (!partial) return { first: 0, count: leaves };
  return {
    first: ranges[0]?.position ?? 0,
    count: ranges.reduce((sum, { from, to }) => sum + to - from + 1, 0),
  };
}
