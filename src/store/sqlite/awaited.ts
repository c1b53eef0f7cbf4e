/** Which confirmations and Sent copies are still awaited, followed entry by entry. */
import type Database from 'better-sqlite3';
import type { Entry, HandoverOutcomeEntry, HandoverSettledEntry } from '../../evidence/entry.ts';
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

/** Added to `told` (0 waiting, 1 told) while an answer stands: such a row waits for nothing, unless it is disputed. */
const ANSWERED = 2;

const one = 'tenant = ? AND letter = ? AND recipient = ? AND confirmation = ?';

/**
 * What a disputed entry had said, where no other confirmation that holds says the same. Read once per dispute:
 * the verdicts are looked through whole.
 */
const saidByItAlone = `
  WITH origin AS (
    SELECT f.fact, COALESCE((SELECT v.about FROM verdict v WHERE v.tenant = f.tenant AND v.idx = f.idx), f.idx) AS said
    FROM fact f WHERE f.tenant = $tenant AND f.letter = $letter AND f.recipient = $recipient
      AND f.fact IN ('dispatched', 'received', 'retrieved'))
  SELECT DISTINCT o.fact FROM origin o WHERE o.said = $about AND NOT EXISTS (
    SELECT 1 FROM origin p WHERE p.fact = o.fact AND NOT EXISTS (
      SELECT 1 FROM verdict v WHERE v.tenant = $tenant AND v.about = p.said AND v.verdict = 'invalid'))`;

/**
 * Follows an entry's facts: what was asked for is awaited from the hand-over on, until it comes, and again where what
 * came turns out invalid. A confirmation may come before our own outcome is recorded: then nothing is awaited.
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
  followSentCopy(context, tenant, entry);
  for (const { letter, recipient, fact } of factsOf(entry)) {
    const answered = answeredBy[fact];
    if (answered !== undefined)
      sql(`UPDATE awaited SET told = told + ${ANSWERED} WHERE ${one} AND told < ${ANSWERED}`).run(
        tenant,
        letter,
        recipient,
        answered,
      );
    else if (fact === 'disputed' && entry.kind === 'verdict') {
      const about = { tenant, letter, recipient, about: entry.about };
      for (const said of sql(saidByItAlone).pluck().all(about) as FactName[])
        sql(`UPDATE awaited SET told = told - ${ANSWERED} WHERE ${one} AND told >= ${ANSWERED}`).run(
          tenant,
          letter,
          recipient,
          answeredBy[said],
        );
    } else if (fact === 'handed-over')
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

/**
 * The provider's Sent copy of what was handed over. Its row names the transaction where others name a recipient. Kept
 * for every tenant: whether an account has a Sent folder may be configured later.
 */
function followSentCopy({ sql, now }: AwaitedContext, tenant: string, entry: Entry): void {
  if (entry.kind === 'sent-copy' && entry.letter !== null) {
    const { letter, transaction } = entry;
    // The copy may come before our own outcome is recorded.
    if (transaction !== null)
      sql(
        "INSERT INTO awaited (tenant, letter, recipient, confirmation, told) VALUES (?, ?, ?, 'sent-copy', ?) ON CONFLICT DO UPDATE SET told = excluded.told",
      ).run(tenant, letter, String(transaction), ANSWERED);
  } else if (saysHandedOver(entry))
    sql(
      "INSERT OR IGNORE INTO awaited (tenant, letter, recipient, confirmation, since) VALUES (?, ?, ?, 'sent-copy', ?)",
    ).run(tenant, entry.letter, String(entry.transaction), now);
}

function saysHandedOver(entry: Entry): entry is Entry & (HandoverOutcomeEntry | HandoverSettledEntry) {
  if (entry.kind === 'handover-settled') return entry.decision === 'handed-over';
  return entry.kind === 'handover-outcome' && entry.result !== 'in-doubt'
    ? entry.recipients.some(({ result }) => result === 'accepted')
    : false;
}
