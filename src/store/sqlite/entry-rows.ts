/** Entries as they lie in their rows: encrypted, each under a key of its own. */
import { parseEntry, SALT_LENGTH } from '../../evidence/canonical.ts';
import type { Entry } from '../../evidence/entry.ts';
import type { TenantKeys } from '../keys.ts';
import { openChunk, unwrapKey } from '../sealing.ts';
import { CorruptObject } from '../store.ts';

export interface EntryRow {
  readonly idx: number;
  /** Empty, as `time`, where the entry was erased. */
  readonly kind: string;
  readonly time: string;
  readonly commitment: Buffer;
  readonly key: Buffer;
  readonly sealed: Buffer;
}

export const ENTRY_BY_INDEX =
  'SELECT idx, kind, time, commitment, key, sealed FROM entry WHERE tenant = ? AND idx = ?';

/** Is the content gone? Index and commitment are all that such a row has. */
export function isErased(row: Pick<EntryRow, 'sealed'>): boolean {
  return row.sealed.length === 0;
}

/** Additional data of an entry's encryption: binds it to its place. */
export function entryContext(tenant: string, index: number): string {
  return `entry/${tenant}/${index}`;
}

/** Salt and canonical bytes. @throws CorruptObject naming the entry */
export function openEntryRow(
  keys: TenantKeys,
  row: Pick<EntryRow, 'idx' | 'key' | 'sealed'>,
): { salt: Buffer; bytes: Buffer } {
  const name = entryContext(keys.tenant, row.idx);
  try {
    const key = unwrapKey(keys.wraps, row.key, name);
    const plain = openChunk(key, Buffer.from(name), 0, true, row.sealed);
    if (plain.length < SALT_LENGTH) throw new Error('entry is shorter than its salt');
    return { salt: plain.subarray(0, SALT_LENGTH), bytes: plain.subarray(SALT_LENGTH) };
  } catch (cause) {
    throw new CorruptObject(`entry ${keys.tenant}/${row.idx}`, cause);
  }
}

/** The entry; null for no row, and for one that was erased. @throws CorruptObject */
export function entryOfRow(keys: () => TenantKeys, row: EntryRow | undefined): Entry | null {
  return row === undefined || isErased(row) ? null : parseEntry(openEntryRow(keys(), row).bytes);
}
