/** Search text of a tenant: on, off, filled. A derivative: no entries. */
import type { WriteContext } from '../write-context.ts';

export interface WireSearchText {
  readonly object: string;
  readonly filter: Uint8Array;
  readonly sealed: Uint8Array | null;
}

/** Rows that one commit takes away: other commits wait no longer than for these. */
const DROP_STEP = 200;

export function openSearchText({ sql }: WriteContext, tenant: string, edition: number): void {
  sql(`INSERT OR IGNORE INTO search_tenant (tenant, edition, filled) VALUES (?, ?, '')`).run(tenant, edition);
}

export function dropSearchText({ sql }: WriteContext, tenant: string): boolean {
  sql('DELETE FROM search_tenant WHERE tenant = ?').run(tenant);
  let left = DROP_STEP;
  for (const [table, key] of [
    ['search_queue', 'object'],
    ['search_filter', 'id'],
  ] as const)
    left -= sql(
      `DELETE FROM ${table} WHERE tenant = $tenant AND ${key} IN (SELECT ${key} FROM ${table} WHERE tenant = $tenant LIMIT $left)`,
    ).run({ tenant, left }).changes;
  return left > 0;
}

export function recordSearchTexts(
  { sql }: WriteContext,
  tenant: string,
  {
    texts,
    done,
    filled,
  }: {
    readonly texts: readonly WireSearchText[];
    readonly done: readonly string[];
    readonly filled?: string | null | undefined;
  },
): void {
  // Switched off meanwhile.
  if (sql('SELECT 1 FROM search_tenant WHERE tenant = ?').get(tenant) === undefined) return;
  for (const { object, filter, sealed } of texts) {
    // Only what lies in a mailbox still, and did not turn out to be private.
    const { lastInsertRowid, changes } = sql(
      `INSERT OR IGNORE INTO search_filter (tenant, object, filter) SELECT $tenant, $object, $filter
       WHERE EXISTS (SELECT 1 FROM mail WHERE tenant = $tenant AND object = $object)
         AND NOT EXISTS (SELECT 1 FROM private_message WHERE tenant = $tenant AND object = $object)`,
    ).run({ tenant, object, filter });
    if (changes > 0 && sealed !== null)
      sql('INSERT INTO search_text (id, sealed) VALUES (?, ?)').run(lastInsertRowid, sealed);
  }
  for (const object of done)
    sql('DELETE FROM search_queue WHERE tenant = ? AND object = ?').run(tenant, object);
  if (filled !== undefined) sql('UPDATE search_tenant SET filled = ? WHERE tenant = ?').run(filled, tenant);
}
