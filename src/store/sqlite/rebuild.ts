/**
 * Tables that came with a later release know nothing of what earlier ones recorded: they are made anew from the
 * entries, once, when a store is brought forward.
 */
import type Database from 'better-sqlite3';
import { parseEntry } from '../../evidence/canonical.ts';
import type { Entry } from '../../evidence/entry.ts';
import type { EntryRow } from './entry-rows.ts';
import { followIntents } from './open-intents.ts';
import { followPrivateMail } from './private-mail.ts';
import type { ReadContext } from './read-context.ts';

/** Kinds that say something about a row of these tables. */
const telling = [
  ...['inbound', 'confirmation', 'notification', 'placed'],
  ...['login-intent', 'login-outcome', 'deletion-intent', 'deletion-outcome'],
];

/**
 * One transaction per tenant: after a kill the rest is done at the next start. It takes about as long as reading
 * each such entry once.
 * @throws KeyError where a tenant's key is missing: its rows are made when it is there again
 * @param warn told of entries that cannot be read; verification names them too
 */
export function rebuildTables(
  db: Database.Database,
  context: Pick<ReadContext, 'sql' | 'keys' | 'openEntry'>,
  warn: (text: string) => void,
): void {
  const tenants = db.prepare('SELECT tenant FROM rebuild ORDER BY tenant').pluck().all() as string[];
  for (const tenant of tenants) {
    // Here, so that a missing key is no matter of each entry.
    context.keys(tenant);
    db.transaction(() => {
      for (const table of ['private_message', 'waiting_private', 'open_intent'])
        db.prepare(`DELETE FROM ${table} WHERE tenant = ?`).run(tenant);
      replay(db, context, tenant, warn);
      db.prepare('DELETE FROM rebuild WHERE tenant = ?').run(tenant);
    }).immediate();
  }
}

function replay(
  db: Database.Database,
  context: Pick<ReadContext, 'sql' | 'openEntry'>,
  tenant: string,
  warn: (text: string) => void,
): void {
  const page = db.prepare(
    `SELECT idx, kind, time, commitment, key, sealed FROM entry
     WHERE tenant = ? AND idx > ? AND kind IN (${telling.map(() => '?').join(', ')}) ORDER BY idx LIMIT 1000`,
  );
  function read(row: EntryRow): Entry | null {
    try {
      return parseEntry(context.openEntry(tenant, row).bytes);
    } catch (error) {
      // One entry that cannot be read must not keep the gateway from starting.
      const what = `entry ${tenant}/${row.idx}: ${(error as Error).message}`;
      warn(`${what}: what it says of private mail and of open intents is not known`);
      return null;
    }
  }

  // By pages: the connection takes no other statement while one is iterated.
  for (let after = -1; ; ) {
    const rows = page.all(tenant, after, ...telling) as EntryRow[];
    if (rows.length === 0) return;
    after = rows.at(-1)!.idx;
    for (const row of rows) {
      const entry = read(row);
      if (entry === null) continue;
      followIntents(context, tenant, entry);
      followPrivateMail(context, tenant, entry);
    }
  }
}
