/** Entries that belong to no letter, by what they record: each group is kept for a time of its own. */
import type { EntryKind } from './entry.ts';

export const recordGroups = ['access', 'login', 'incident', 'operation'] as const;
export type RecordGroup = (typeof recordGroups)[number];

const groups = {
  access: 'access',
  'login-intent': 'login',
  'login-outcome': 'login',
  incident: 'incident',
  operation: 'operation',
} as const satisfies Partial<Record<EntryKind, RecordGroup>>;

/** The kind by which a group is looked through: an outcome of a login goes with its intent. */
export const leadingKind = {
  access: 'access',
  login: 'login-intent',
  incident: 'incident',
  operation: 'operation',
} as const satisfies Record<RecordGroup, EntryKind>;

/** Null for what belongs to a letter, and for what the log itself rests on: its keys, seals, erasures, holds. */
export function recordGroupOf(kind: string): RecordGroup | null {
  return Object.hasOwn(groups, kind) ? groups[kind as keyof typeof groups] : null;
}
