/**
 * The evidence record of a group, put together from the trees and tokens that the store keeps: its seal, and every
 * renewal since (RFC 4998 5.2). Nothing of it is stored for the group itself.
 */
import type { ArchiveTimestamp, Reader } from '../store/store.ts';
import type { ArchiveDigest } from './entry.ts';
import { type EvidenceRecord, printEvidenceRecord } from './ers/evidence-record.ts';
import { hashTreeReducer } from './ers/hash-tree.ts';
import { nodeReducer } from './ers/partial-tree.ts';
import {
  hashTreeRenewalDigests,
  newRecord,
  renewHashTree,
  renewTimestamp,
  type Sealed,
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
  | 'archiveNode'
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

/** The entry's seal left it out: no record of it can be made, now or later. */
export class ExcludedEntry extends Error {
  /** Number of the seal. */
  readonly seal: number;

  constructor(place: string, seal: number, reason: string) {
    super(`archive timestamp ${seal} left entry ${place} out, because it did not verify then: ${reason}`);
    this.name = 'ExcludedEntry';
    this.seal = seal;
  }
}

export interface EvidenceRecords {
  /**
   * DER of the record of an entry.
   * @returns null for an entry under no seal yet, or one that was erased
   * @throws ExcludedEntry where its seal left it out
   * @throws Error naming what does not fit: a changed entry, object, tree or token
   */
  ofEntry(tenant: string, index: number): Promise<Buffer | null>;
  /** DER of the record of a tenant's checkpoint under a seal. @throws as ofEntry */
  ofCheckpoint(seal: number, tenant: string): Promise<{ record: Buffer; checkpoint: string } | null>;
}

/** Records of many entries: seals and renewals are read once for all, and nothing may change meanwhile. */
export function evidenceRecords(reader: ArchiveReader): EvidenceRecords {
  let read: Promise<{ maker: RecordMaker; leftOut: Map<string, Set<number>> }> | null = null;
  const archive = () => {
    read ??= archiveIndex(reader).then(async (timestamps) => ({
      maker: createRecordMaker(reader, timestamps),
      leftOut: await exclusions(reader, timestamps.values()),
    }));
    return read;
  };
  return {
    async ofEntry(tenant, index) {
      const place = await reader.sealOf(tenant, index);
      if (place === null || (await reader.entryFiles(tenant, index)) === null) return null;
      const left = (await reader.archiveExcluded(place.id)).find(
        (one) => one.tenant === tenant && one.index === index,
      );
      if (left !== undefined) throw new ExcludedEntry(`${tenant}/${index}`, place.id, left.reason);
      const { maker, leftOut } = await archive();
      const record = await maker.recordAt(
        place,
        async (digest) => (await entryGroup(reader, tenant, index, digest))?.map((d) => d.digest) ?? null,
        leftOut.get(`${tenant}/${index}`),
      );
      return printEvidenceRecord(record);
    },
    async ofCheckpoint(seal, tenant) {
      const range = (await reader.archiveRanges(seal)).find((one) => one.tenant === tenant);
      if (range === undefined) return null;
      const { checkpoint, position, from, to } = range;
      const { maker } = await archive();
      const record = await maker.recordAt({ id: seal, position: position + to - from }, async (digest) =>
        checkpointGroup(checkpoint, digest).map((d) => d.digest),
      );
      return { record: printEvidenceRecord(record), checkpoint };
    },
  };
}

/** One record of an entry. @throws as `EvidenceRecords.ofEntry` */
export async function recordOfEntry(
  reader: ArchiveReader,
  tenant: string,
  index: number,
): Promise<Buffer | null> {
  return await evidenceRecords(reader).ofEntry(tenant, index);
}

/** One record of a checkpoint. @throws as `EvidenceRecords.ofEntry` */
export async function recordOfCheckpoint(
  reader: ArchiveReader,
  seal: number,
  tenant: string,
): Promise<{ record: Buffer; checkpoint: string } | null> {
  return await evidenceRecords(reader).ofCheckpoint(seal, tenant);
}

/** `tenant/index` of each entry that a hash-tree renewal left out, because it did not verify then: which ones did. */
export async function exclusions(
  reader: Pick<ArchiveReader, 'archiveExcluded'>,
  timestamps: Iterable<ArchiveTimestamp>,
): Promise<Map<string, Set<number>>> {
  const found = new Map<string, Set<number>>();
  for (const { id, kind } of timestamps) {
    if (kind !== 'hash-tree-renewal') continue;
    for (const { tenant, index } of await reader.archiveExcluded(id)) {
      const name = `${tenant}/${index}`;
      found.set(name, (found.get(name) ?? new Set()).add(id));
    }
  }
  return found;
}

export interface RecordMaker {
  /**
   * The record of the group at `position` of a seal.
   * @param excluded hash-tree renewals that left the group out
   * @param until leaves out this archive timestamp and all after it: what it is to cover
   * @throws Error naming what does not fit
   */
  recordAt(
    place: { readonly id: number; readonly position: number },
    documents: Documents,
    excluded?: ReadonlySet<number>,
    until?: number,
  ): Promise<EvidenceRecord>;
}

/**
 * Puts records together. What it read of seals and renewals it keeps, so that groups one after another cost their own
 * digests and the way up: nothing may change meanwhile.
 */
export function createRecordMaker(
  reader: ArchiveReader,
  index: ReadonlyMap<number, ArchiveTimestamp>,
): RecordMaker {
  const archived = (id: number) => {
    const one = index.get(id);
    if (one === undefined) throw new Error(`archive timestamp ${id} is missing`);
    return one;
  };
  const tokenOf = recent(async (id) => {
    const stored = await reader.archiveToken(id);
    if (stored === null) throw new Error(`archive timestamp ${id} is missing`);
    return stored.token;
  });
  const renewalsOf = recent((id) => reader.renewalsOf(id));
  const reducerOf = recent((id) => {
    const { digest, leaves, partial } = archived(id);
    if (partial) return nodeReducer({ digest, leaves }, (level, n) => reader.archiveNode(id, level, n));
    return hashTreeReducer(digest, leaves, (level, n) => reader.archiveTile(id, level, n));
  });

  async function sealed(id: number, position: number, digests: readonly Buffer[]): Promise<Sealed> {
    const token = await tokenOf(id);
    return {
      digest: archived(id).digest,
      reducedHashTree: await reducerOf(id)(position, digests),
      token,
    };
  }

  /** Timestamp renewals of `from`, and of those, up to the archive timestamp `before`. */
  async function followTokens(record: EvidenceRecord, from: number, before: number): Promise<EvidenceRecord> {
    let renewed = record;
    let newest = from;
    for (;;) {
      const next = (await renewalsOf(newest)).find(
        ({ kind, id }) => kind === 'timestamp-renewal' && id < before,
      );
      if (next === undefined) return renewed;
      const { value } = timestampRenewalDigest(renewed);
      renewed = renewTimestamp(renewed, await sealed(next.id, next.position, [value]));
      newest = next.id;
    }
  }

  return {
    async recordAt(
      { id: seal, position },
      documents,
      excluded = new Set(),
      until = Number.POSITIVE_INFINITY,
    ) {
      const own = async (id: number) => {
        const digests = await documents(archived(id).digest);
        if (digests === null) throw new Error('its documents are gone');
        return digests;
      };
      let record = newRecord(await sealed(seal, position, await own(seal)));
      const trees = (await renewalsOf(seal)).filter(
        ({ kind, id }) => kind === 'hash-tree-renewal' && id < until && !excluded.has(id),
      );
      let newest = seal;
      for (const tree of trees) {
        record = await followTokens(record, newest, tree.id);
        const digests = await own(tree.id);
        const bound = hashTreeRenewalDigests(record, archived(tree.id).digest, digests);
        record = renewHashTree(record, await sealed(tree.id, tree.position + position, bound), digests);
        newest = tree.id;
      }
      return await followTokens(record, newest, until);
    },
  };
}

/** Seals and renewals that one record goes through: more are read again. */
const MOST_KEPT = 64;

/** Remembers what was made last. */
function recent<T>(make: (id: number) => T): (id: number) => T {
  const known = new Map<number, T>();
  return (id) => {
    const found = known.get(id) ?? make(id);
    known.delete(id);
    known.set(id, found);
    if (known.size > MOST_KEPT) known.delete(known.keys().next().value!);
    return found;
  };
}
