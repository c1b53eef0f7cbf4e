/**
 * What stands under a seal: groups of documents (RFC 4998 4.2). An entry's group are its files: the entry, its salt,
 * which keeps a document's bare digest out of other people's records, and each object that it names. A checkpoint is
 * a group of its own, so that one time-stamp anchors the logs as well.
 */
import { createHash, hash } from 'node:crypto';
import type { Reader } from '../store/store.ts';
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
  const files = await reader.entryFiles(tenant, index);
  if (files === null) return null;
  const documents: GroupDocument[] = [
    { name: 'entry.json', digest: hash(digest, files.bytes, 'buffer') },
    { name: 'salt.bin', digest: hash(digest, files.salt, 'buffer') },
  ];
  const seen = new Set<string>();
  for (const { fact } of objectsOf(files.entry)) {
    if (seen.has(fact.object)) continue;
    seen.add(fact.object);
    const said = Buffer.from(fact.sha256, 'hex');
    documents.push({
      name: fact.object,
      digest:
        digest === 'sha256' && !deep ? said : await objectDigest(reader, tenant, fact.object, digest, said),
    });
  }
  return documents;
}

async function objectDigest(
  reader: GroupReader,
  tenant: string,
  object: string,
  digest: ArchiveDigest,
  sha256: Buffer,
): Promise<Buffer> {
  const opened = await reader.object(tenant, object);
  if (opened === null) throw new Error(`object ${object} is missing`);
  const own = createHash('sha256');
  const wanted = createHash(digest);
  for await (const chunk of opened.read()) {
    own.update(chunk);
    wanted.update(chunk);
  }
  if (!own.digest().equals(sha256)) throw new Error(`object ${object} is not what the entry says`);
  return wanted.digest();
}

/** The group of a checkpoint: the note as it was signed. */
export function checkpointGroup(note: string, digest: ArchiveDigest): GroupDocument[] {
  return [{ name: 'checkpoint', digest: hash(digest, note, 'buffer') }];
}
