/** Which confirmations are still awaited, followed entry by entry. */
import type Database from 'better-sqlite3';
import type { Entry } from '../../evidence/entry.ts';
import { type FactName, factsOf } from '../../evidence/facts.ts';

/** The part of the write context that this needs. */
export interface AwaitedContext {
  /** Epoch milliseconds. */
  readonly now: number;
  sql(text: string): Database.Statement;
}

/** Which confirmation a fact ends the wait for. */
const answeredBy: Partial<Record<FactName, string>> = {
  dispatched: 'dispatch',
  received: 'receipt',
  retrieved: 'retrieval',
};
/** A recipient that never got the letter confirms nothing. */
const endings: readonly FactName[] = ['refused', 'expired', 'abandoned'];

/**
 * Follows an entry's facts: what was asked for is awaited from the hand-over on, until it comes. A confirmation
 * may come before our own outcome is recorded: then nothing is awaited any more.
 */
export function followAwaited(context: AwaitedContext, tenant: string, entry: Entry): void {
  const { sql } = context;
  if (entry.kind === 'submission') {
    const confirmations = entry.options.filter(
      (option) => option === 'dispatch' || option === 'receipt' || option === 'retrieval',
    );
    for (const recipient of new Set(entry.transactions.flatMap((t) => [...t.to, ...t.cc, ...t.bcc]))) {
      for (const confirmation of confirmations) {
        sql(
          'INSERT OR IGNORE INTO awaited (tenant, letter, recipient, confirmation) VALUES (?, ?, ?, ?)',
        ).run(tenant, entry.index, recipient, confirmation);
      }
    }
    return;
  }
  for (const { letter, recipient, fact } of factsOf(entry)) {
    const answered = answeredBy[fact];
    if (answered !== undefined)
      sql('DELETE FROM awaited WHERE tenant = ? AND letter = ? AND recipient = ? AND confirmation = ?').run(
        tenant,
        letter,
        recipient,
        answered,
      );
    else if (fact === 'handed-over')
      sql(
        'UPDATE awaited SET since = ? WHERE tenant = ? AND letter = ? AND recipient = ? AND since IS NULL',
      ).run(context.now, tenant, letter, recipient);
    else if (endings.includes(fact))
      sql('DELETE FROM awaited WHERE tenant = ? AND letter = ? AND recipient = ?').run(
        tenant,
        letter,
        recipient,
      );
  }
}
