/** Reads over the logs themselves: heads, tiles, proofs. All proofs cost O(log n) look-ups. */
import { openCheckpoint, readCheckpointText } from '../../evidence/checkpoint.ts';
import { consistencyProof, inclusionProof, rootAt } from '../../evidence/merkle.ts';
import { parseNote } from '../../evidence/note.ts';
import { formatProof } from '../../evidence/proof.ts';
import { createTileMemory } from '../../evidence/tile-memory.ts';
import type { LogReader } from '../logs.ts';
import type { LogHead, Reader } from '../store.ts';
import type { ReadContext } from './read-context.ts';
import { holdRows, logRows } from './tenant-logs.ts';

/** The checkpoint asked for, where it is one of this log and covers the leaf. */
function checkpointOf(
  log: { readonly origin: string; readonly size: number },
  leaf: number,
  note: string | undefined,
): { size: number; note: string } | null {
  if (note === undefined) return null;
  const { origin, size } = readCheckpointText(parseNote(note, 'checkpoint').text);
  return origin === log.origin && size > leaf && size <= log.size ? { size, note } : null;
}

export function logReader(context: ReadContext): LogReader & Pick<Reader, 'head' | 'proof'> {
  const { sql } = context;
  const memory = createTileMemory();

  /** Of one log: its newest checkpoint that witnesses cosigned. */
  function cosignedOf(tenant: string, log: number): { size: number; note: string } | null {
    return (
      (sql('SELECT size, note FROM cosigned WHERE tenant = ? AND log = ?').get(tenant, log) as
        | { size: number; note: string }
        | undefined) ?? null
    );
  }

  return {
    async logs(tenant) {
      return context.logs(tenant);
    },

    async holds(tenant) {
      return holdRows(sql, tenant);
    },

    async tile(tenant, log, level, n) {
      return context.tiles(tenant, log)(level, n);
    },

    async commitments(tenant, from, to) {
      return sql('SELECT commitment FROM entry WHERE tenant = ? AND idx >= ? AND idx < ? ORDER BY idx')
        .pluck()
        .all(tenant, from, to) as Buffer[];
    },

    async consistency(tenant, log, first, second) {
      return consistencyProof(first, second, context.tiles(tenant, log));
    },

    async rootOf(tenant, log, size) {
      return rootAt(size, context.tiles(tenant, log));
    },

    async cosigned(tenant) {
      const open = logRows(sql, tenant).at(-1);
      return open === undefined ? null : cosignedOf(tenant, open.number);
    },

    async head(tenant) {
      const log = context.logs(tenant).at(-1);
      if (log === undefined) throw new Error(`tenant ${tenant} has no log`);
      const { size, root } = openCheckpoint(log.note, ...log.keys.map(({ key }) => key));
      return { size, root, checkpoint: log.note } satisfies LogHead;
    },

    async proof(tenant, index, under) {
      const log = logRows(sql, tenant).findLast(({ base }) => base <= index);
      if (log === undefined || index < 0 || index >= log.base + log.size) return null;
      const leaf = index - log.base;
      const cosigned = cosignedOf(tenant, log.number);
      const { size, note } =
        checkpointOf(log, leaf, under) ?? (cosigned !== null && cosigned.size > leaf ? cosigned : log);
      const tiles = context.tiles(tenant, log.number);
      const subtrees = memory.of(`${tenant}/${log.number}`, tiles);
      return formatProof(leaf, inclusionProof(leaf, size, tiles, subtrees), note);
    },
  };
}
