/** Rotation of a tenant's key: wrapped keys are wrapped anew, in batches between which mail goes on. */
import type { Actor } from '../../../evidence/entry.ts';
import { rewrapKey } from '../../sealing.ts';
import { entryContext } from '../entry-rows.ts';
import { objectContext } from '../objects.ts';
import type { WriteContext } from '../write-context.ts';

export interface RewrapProgress {
  /** Row ids that are done, of entries and of objects. */
  readonly entries: number;
  readonly objects: number;
  readonly done: boolean;
  /** Rows whose key opens under neither key: they were corrupt before. */
  readonly corrupt: readonly string[];
}

/** Takes over the keys as they lie in the folder now. */
export function takeKeys(context: WriteContext, tenant: string): void {
  context.reloadKeys(tenant);
}

/** One batch, from where the last one ended. */
export function rewrapKeys(
  context: WriteContext,
  tenant: string,
  { after, limit }: { after: { entries: number; objects: number }; limit: number },
): RewrapProgress {
  const { sql } = context;
  const { keys } = context.log(tenant);
  const corrupt: string[] = [];
  const rewrap = (place: string, key: Buffer, name: string, store: (fresh: Buffer) => void) => {
    if (key.length === 0) return; // erased
    try {
      const fresh = rewrapKey(keys.wraps, key, name);
      if (fresh !== null) store(fresh);
    } catch {
      corrupt.push(place);
    }
  };
  const entries = sql(
    'SELECT rowid, idx, key FROM entry WHERE tenant = ? AND rowid > ? ORDER BY rowid LIMIT ?',
  ).all(tenant, after.entries, limit) as { rowid: number; idx: number; key: Buffer }[];
  for (const { rowid, idx, key } of entries) {
    rewrap(`entry ${idx}`, key, entryContext(tenant, idx), (fresh) =>
      sql('UPDATE entry SET key = ? WHERE rowid = ?').run(fresh, rowid),
    );
  }
  const objects = sql(
    'SELECT rowid, object, uid, key FROM object WHERE tenant = ? AND rowid > ? ORDER BY rowid LIMIT ?',
  ).all(tenant, after.objects, limit) as { rowid: number; object: string; uid: Buffer; key: Buffer }[];
  for (const { rowid, object, uid, key } of objects) {
    rewrap(`object ${object}`, key, objectContext(tenant, uid), (fresh) =>
      sql('UPDATE object SET key = ? WHERE rowid = ?').run(fresh, rowid),
    );
  }
  return {
    entries: entries.at(-1)?.rowid ?? after.entries,
    objects: objects.at(-1)?.rowid ?? after.objects,
    done: entries.length < limit && objects.length < limit,
    corrupt,
  };
}

/** The entry that says who rotated the key; the key in use from here on has this id. */
export function recordRotation(
  context: WriteContext,
  tenant: string,
  { actor, reason }: { actor: Actor; reason: string },
): void {
  context.append(tenant, {
    kind: 'operation',
    actor,
    action: 'rotate-key',
    subject: `tenant key ${context.log(tenant).keys.wrapId}`,
    reason,
  });
}
