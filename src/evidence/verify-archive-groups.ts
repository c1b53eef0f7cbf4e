/** Digests of the groups that stand under seals and renewals, from entries and objects as they are now. */
import { createHash, hash } from 'node:crypto';
import type { EntryFiles } from '../store/store.ts';
import type { AuditSource } from './audit.ts';
import type { ArchiveDigest } from './entry.ts';
import { objectsOf } from './objects-of.ts';
import type { ArchiveScope } from './verify-archive-rows.ts';

export interface Groups {
  /**
   * Digests of an entry's files; null where they are not to be looked at, or cannot be: that is reported elsewhere.
   * @param digests every one that will be asked for: each object is read once for all of them
   */
  entry(
    tenant: string,
    index: number,
    digests: readonly ArchiveDigest[],
  ): (digest: ArchiveDigest) => Promise<Buffer[] | null>;
  done(): void;
}

export function createGroups(source: AuditSource, { only, from, deep, onGroup }: ArchiveScope): Groups {
  const inScope = (tenant: string, index: number) =>
    (only === undefined || only === tenant) && index >= (from.get(tenant) ?? 0);

  async function objectDigests(
    tenant: string,
    object: string,
    digests: readonly ArchiveDigest[],
  ): Promise<Map<ArchiveDigest, Buffer> | null> {
    const found = source.object(tenant, object);
    if (found === null || (found.isFile && !deep)) return null;
    const hashes = digests.map((digest) => [digest, createHash(digest)] as const);
    for await (const chunk of found.read()) for (const [, computed] of hashes) computed.update(chunk);
    return new Map(hashes.map(([digest, computed]) => [digest, computed.digest()]));
  }

  return {
    done: () => onGroup?.(),
    entry(tenant, index, digests) {
      // What entries say of their objects in SHA-256 was compared with these where they were read.
      const others = digests.filter((digest) => digest !== 'sha256');
      const objects = new Map<string, Promise<Map<ArchiveDigest, Buffer> | null>>();
      let files: Promise<EntryFiles | null> | null = null;
      const objectDigest = async (object: string, digest: ArchiveDigest) => {
        const known = objects.get(object) ?? objectDigests(tenant, object, others);
        objects.set(object, known);
        return (await known)?.get(digest) ?? null;
      };
      return async (digest) => {
        if (!inScope(tenant, index)) return null;
        try {
          files ??= source.archive.entryFiles(tenant, index);
          const read = await files;
          if (read === null) return null;
          const own: Buffer[] = [hash(digest, read.bytes, 'buffer'), hash(digest, read.salt, 'buffer')];
          const named = new Map(objectsOf(read.entry).map(({ fact }) => [fact.object, fact.sha256]));
          for (const [object, sha256] of named) {
            const computed =
              digest === 'sha256' ? Buffer.from(sha256, 'hex') : await objectDigest(object, digest);
            if (computed === null) return null;
            own.push(computed);
          }
          return own;
        } catch {
          return null; // what does not decrypt is named where entries and objects are read
        }
      };
    },
  };
}
