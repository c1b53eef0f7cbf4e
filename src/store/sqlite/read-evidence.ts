/** Reads over the log and what is derived from it: entries, timelines, facts, searches. */

import type { Entry, SubmissionEntry } from '../../evidence/entry.ts';
import type { Fact } from '../../evidence/facts.ts';
import type { LetterSummary, Reader } from '../store.ts';
import type { ReadContext } from './read-context.ts';
import { type MessageRecord, matches } from './search.ts';
import { factsOf, standingOf } from './standing-rows.ts';

type EvidenceReader = Pick<
  Reader,
  | 'tenants'
  | 'entry'
  | 'timeline'
  | 'search'
  | 'resolve'
  | 'facts'
  | 'standing'
  | 'submissionOf'
  | 'byPrivateId'
  | 'byProviderMessageId'
  | 'incidents'
>;

export function evidenceReader(context: ReadContext): EvidenceReader {
  const { sql } = context;

  const standing = (tenant: string, letter: number) => standingOf(sql, context.entry, tenant, letter);

  /** A letter's own row: all that stands of it. Others: what their entry states of that. */
  function ownFacts({ tenant, idx, letter }: MessageRecord): Fact[] {
    if (letter === null) return [];
    const facts = standing(tenant, letter);
    return letter === idx ? facts : facts.filter(({ index }) => index === idx);
  }

  function summary(row: MessageRecord, own: readonly Fact[]): LetterSummary {
    const recipients = sql(
      'SELECT address, private_id FROM message_recipient WHERE tenant = ? AND idx = ? ORDER BY rowid',
    ).all(row.tenant, row.idx) as { address: string; private_id: string | null }[];
    const addresses =
      recipients.length > 0
        ? recipients
        : [...new Set(own.map((f) => f.recipient))].map((address) => ({ address, private_id: null }));
    return {
      tenant: row.tenant,
      index: row.idx,
      time: row.time,
      kind: row.kind,
      letter: row.letter,
      messageId: row.message_id,
      sender: row.sender,
      subject: row.subject,
      verdict: row.verdict,
      recipients: addresses.map((r) => ({
        address: r.address,
        privateId: r.private_id,
        facts: own.filter((f) => f.recipient === r.address),
      })),
    };
  }

  return {
    async tenants() {
      return sql('SELECT tenant FROM checkpoint ORDER BY tenant').pluck().all() as string[];
    },

    async entry(tenant, index) {
      return context.entry(tenant, index);
    },

    async timeline(tenant, letter) {
      const indexes = sql(
        'SELECT DISTINCT idx FROM letter_entry WHERE tenant = ? AND letter = ? ORDER BY idx',
      )
        .pluck()
        .all(tenant, letter) as number[];
      const named = indexes.length === 0 ? [letter] : indexes;
      return named
        .map((index) => context.entry(tenant, index))
        .filter((entry): entry is Entry => entry !== null);
    },

    async search(query) {
      const limit = query.limit ?? 1000;
      const found: LetterSummary[] = [];
      if (limit <= 0) return found;
      for (const row of matches(context, query)) {
        // A fact that was stated may not stand any more: only the whole letter says so.
        const own = ownFacts(row);
        if (query.fact !== undefined && !own.some(({ fact }) => fact === query.fact)) continue;
        found.push(summary(row, own));
        if (found.length === limit) break;
      }
      return found;
    },

    async resolve(name, tenant) {
      const place = /^([a-z0-9][a-z0-9-]{0,62})\/(\d{1,15})$/.exec(name);
      if (place !== null) {
        if (tenant !== undefined && tenant !== place[1]) return [];
        const index = Number(place[2]);
        const row = sql('SELECT letter FROM message WHERE tenant = ? AND idx = ?').get(place[1], index) as
          | { letter: number | null }
          | undefined;
        return row === undefined ? [] : [{ tenant: place[1]!, letter: row.letter ?? index }];
      }
      const bare = name.replace(/^<|>$/g, '');
      const rows = sql(
        `SELECT DISTINCT tenant, letter FROM (
           SELECT tenant, COALESCE(letter, idx) AS letter FROM message WHERE message_id IN ($bracketed, $bare)
           UNION SELECT tenant, letter FROM private_id WHERE private_id = $name
           UNION SELECT tenant, letter FROM provider_id WHERE message_id IN ($bracketed, $bare)
         ) ORDER BY tenant, letter LIMIT 100`,
      ).all({ bracketed: `<${bare}>`, bare, name }) as { tenant: string; letter: number }[];
      return tenant === undefined ? rows : rows.filter((r) => r.tenant === tenant);
    },

    async facts(tenant, letter) {
      return factsOf(sql, tenant, letter);
    },

    async standing(tenant, letter) {
      return standing(tenant, letter);
    },

    async submissionOf(tenant, letter) {
      const entry = context.entry(tenant, letter);
      return entry?.kind === 'submission' ? (entry as Entry & SubmissionEntry) : null;
    },

    async byPrivateId(tenant, privateId) {
      return (
        (sql(
          'SELECT letter, tx AS "transaction" FROM private_id WHERE private_id = ? AND tenant = ? AND tx IS NOT NULL LIMIT 1',
        ).get(privateId, tenant) as { letter: number; transaction: number } | undefined) ?? null
      );
    },

    async byProviderMessageId(tenant, messageId) {
      return (
        (sql(
          'SELECT letter, tx AS "transaction" FROM provider_id WHERE tenant = ? AND message_id = ? AND tx IS NOT NULL LIMIT 1',
        ).get(tenant, messageId) as { letter: number; transaction: number } | undefined) ?? null
      );
    },

    async incidents(tenant) {
      return sql('SELECT incident, since, text FROM incident WHERE tenant = ? ORDER BY since').all(
        tenant,
      ) as { incident: string; since: string; text: string }[];
    },
  };
}
