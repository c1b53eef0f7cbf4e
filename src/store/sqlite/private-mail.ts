/** Which objects are private messages, and for whom they wait: what follows from the entries, kept for look-up. */
import type Database from 'better-sqlite3';
import type { Entry } from '../../evidence/entry.ts';
import { isPrivateEntry } from '../../evidence/private.ts';

/** The part of the write context that this needs. */
export interface PrivateMailContext {
  sql(text: string): Database.Statement;
}

/** Keeps both tables up to date with what the entry says; called with every entry that is written. */
export function followPrivateMail({ sql }: PrivateMailContext, tenant: string, entry: Entry): void {
  switch (entry.kind) {
    case 'inbound':
    case 'confirmation':
    case 'notification':
      if (!isPrivateEntry(entry)) return;
      // By object: a copy in whatever mailbox is the same private message.
      sql('INSERT OR IGNORE INTO private_message (tenant, object, idx) VALUES (?, ?, ?)').run(
        tenant,
        entry.message.object,
        entry.index,
      );
      for (const address of new Set(entry.waitsFor ?? []))
        sql('INSERT INTO waiting_private (tenant, idx, address, object) VALUES (?, ?, ?, ?)').run(
          tenant,
          entry.index,
          address,
          entry.message.object,
        );
      return;
    case 'placed':
      for (const address of entry.addresses)
        sql('DELETE FROM waiting_private WHERE tenant = ? AND idx = ? AND address = ?').run(
          tenant,
          entry.about,
          address,
        );
      return;
  }
}
