/** Reads over seals and renewals, and the files that they cover. */
import { parseEntry } from '../../evidence/canonical.ts';
import type { ArchiveDigest } from '../../evidence/entry.ts';
import { leafHash } from '../../evidence/merkle.ts';
import { digestLength } from '../../pki/digest-algorithm.ts';
import { type ArchiveKind, type ArchiveRows, CorruptObject, type Reader } from '../store.ts';
import { ENTRY_BY_INDEX, type EntryRow, isErased } from './entry-rows.ts';
import type { ReadContext } from './read-context.ts';

type ArchiveReader = ArchiveRows &
  Pick<Reader, 'entryFiles' | 'entryCount' | 'leafHashes' | 'unsealed' | 'archiveToken' | 'sealOf'>;

/** Leaves at a time: snapshots stay short. */
const RUN = 4096;

interface StoredRun {
  readonly first: number;
  readonly hashes: Buffer;
  /** Bytes of a node. */
  readonly width: number;
}

/** Runs of some 8 KiB. */
const MOST_RUNS = 256;

interface TimestampRow {
  id: number;
  kind: ArchiveKind;
  digest: ArchiveDigest;
  genTime: string;
  authority: string;
  leaves: number;
  final: number;
  partial: number;
}

export function archiveReader(context: ReadContext): ArchiveReader {
  const { sql } = context;
  /** Rows never change: the last one of each level is kept, for the ways of groups one after another. */
  const runs = new Map<string, StoredRun>();
  return {
    async entryFiles(tenant, index) {
      const row = sql(ENTRY_BY_INDEX).get(tenant, index) as EntryRow | undefined;
      if (row === undefined || isErased(row)) return null;
      const { salt, bytes } = context.openEntry(tenant, row);
      return { entry: parseEntry(bytes), bytes, salt };
    },

    async entryCount(tenant) {
      return sql('SELECT COALESCE(MAX(idx) + 1, 0) FROM entry WHERE tenant = ?')
        .pluck()
        .get(tenant) as number;
    },

    async *leafHashes(tenant, size) {
      for (let from = 0; from < size; from += RUN) {
        const commitments = sql(
          'SELECT commitment FROM entry WHERE tenant = ? AND idx >= ? AND idx < ? ORDER BY idx',
        )
          .pluck()
          .all(tenant, from, Math.min(size, from + RUN)) as Buffer[];
        if (commitments.length < Math.min(RUN, size - from))
          throw new CorruptObject(`entries ${from} to ${from + RUN - 1} of ${tenant}: some are missing`);
        yield Buffer.concat(commitments.map(leafHash));
      }
    },

    async unsealed() {
      const heads = sql(
        `SELECT c.tenant, c.base + c.size AS "to", c.note AS checkpoint,
           COALESCE((SELECT MAX(to_idx) FROM archive_range r WHERE r.tenant = c.tenant), 0) AS "from"
         FROM checkpoint c ORDER BY c.tenant`,
      ).all() as { tenant: string; from: number; to: number; checkpoint: string }[];
      return heads
        .filter(({ from, to }) => to > from)
        .map((head) => ({
          ...head,
          // What was erased has no time any more.
          oldest: sql(
            "SELECT time FROM entry WHERE tenant = ? AND idx >= ? AND time <> '' ORDER BY idx LIMIT 1",
          )
            .pluck()
            .get(head.tenant, head.from) as string,
          worthSealing:
            sql(
              "SELECT 1 FROM entry WHERE tenant = ? AND idx >= ? AND kind NOT IN ('sealed', 'renewed') LIMIT 1",
            ).get(head.tenant, head.from) !== undefined,
        }));
    },

    async archiveTimestamps() {
      const rows = sql(
        `SELECT id, kind, digest, gen_time AS genTime, authority, leaves, final,
           EXISTS (SELECT 1 FROM archive_node n WHERE n.id = a.id) AS partial FROM archive_timestamp a ORDER BY id`,
      ).all() as TimestampRow[];
      return rows.map((row) => ({ ...row, final: row.final === 1, partial: row.partial === 1 }));
    },

    async archiveToken(id) {
      return (
        (sql('SELECT token, response FROM archive_timestamp WHERE id = ?').get(id) as
          | { token: Buffer; response: Buffer }
          | undefined) ?? null
      );
    },

    async archiveRanges(id) {
      return sql(
        'SELECT tenant, from_idx AS "from", to_idx AS "to", position, note AS checkpoint FROM archive_range WHERE id = ? ORDER BY position',
      ).all(id) as { tenant: string; from: number; to: number; position: number; checkpoint: string }[];
    },

    async renewalsOf(id) {
      return sql(
        'SELECT c.id, a.kind, c.position FROM archive_cover c JOIN archive_timestamp a ON a.id = c.id WHERE c.covers = ? ORDER BY c.id',
      ).all(id) as { id: number; kind: ArchiveKind; position: number }[];
    },

    async archiveCovers() {
      return sql(
        'SELECT c.id, a.kind, c.covers FROM archive_cover c JOIN archive_timestamp a ON a.id = c.id ORDER BY c.id, c.covers',
      ).all() as { id: number; kind: ArchiveKind; covers: number }[];
    },

    async archiveLeafLists(id) {
      return sql('SELECT tenant, size, position FROM archive_leaves WHERE id = ? ORDER BY position').all(
        id,
      ) as { tenant: string; size: number; position: number }[];
    },

    async archiveExcluded(id) {
      return sql(
        'SELECT tenant, idx AS "index", reason FROM archive_excluded WHERE id = ? ORDER BY tenant, idx',
      ).all(id) as { tenant: string; index: number; reason: string }[];
    },

    async archiveTile(id, level, n) {
      return (
        (sql('SELECT hashes FROM archive_tile WHERE id = ? AND level = ? AND n = ?')
          .pluck()
          .get(id, level, n) as Buffer | undefined) ?? Buffer.alloc(0)
      );
    },

    async archiveNode(id, level, n) {
      const within = ({ first, hashes, width }: StoredRun) =>
        n >= first && (n - first) * width < hashes.length
          ? hashes.subarray((n - first) * width, (n - first + 1) * width)
          : null;
      const kept = runs.get(`${id}/${level}`);
      const known = kept === undefined ? null : within(kept);
      if (known !== null) return known;
      const row = sql(
        `SELECT r.first, r.hashes, a.digest FROM archive_node r JOIN archive_timestamp a ON a.id = r.id
         WHERE r.id = ? AND r.level = ? AND r.first <= ? ORDER BY r.first DESC LIMIT 1`,
      ).get(id, level, n) as { first: number; hashes: Buffer; digest: ArchiveDigest } | undefined;
      if (row === undefined) return null;
      const run = { ...row, width: digestLength[row.digest] };
      if (runs.size >= MOST_RUNS) runs.clear();
      runs.set(`${id}/${level}`, run);
      return within(run);
    },

    async sealOf(tenant, index) {
      const row = sql(
        'SELECT id, from_idx AS "from", to_idx AS "to", position FROM archive_range WHERE tenant = ? AND from_idx <= ? ORDER BY from_idx DESC LIMIT 1',
      ).get(tenant, index) as { id: number; from: number; to: number; position: number } | undefined;
      return row === undefined || index >= row.to
        ? null
        : { id: row.id, position: row.position + index - row.from };
    },
  };
}
