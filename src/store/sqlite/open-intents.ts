/** Which intents (a login, a deletion at the provider) have no outcome yet: what follows from the entries. */
import type Database from 'better-sqlite3';
import type { Entry } from '../../evidence/entry.ts';

/** Keeps the table up to date with what the entry says; called with every entry that is written. */
export function followIntents(
  { sql }: { sql(text: string): Database.Statement },
  tenant: string,
  entry: Entry,
): void {
  switch (entry.kind) {
    case 'login-intent':
    case 'deletion-intent':
      sql('INSERT INTO open_intent (tenant, idx) VALUES (?, ?)').run(tenant, entry.index);
      return;
    case 'login-outcome':
    case 'deletion-outcome':
      sql('DELETE FROM open_intent WHERE tenant = ? AND idx = ?').run(tenant, entry.intent);
      return;
  }
}
