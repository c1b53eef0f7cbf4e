/** Reads over the log and what is derived from it: entries, timelines, facts, searches. */

import type { Entry, EntryKind, SubmissionEntry, Verdict } from '../../evidence/entry.ts';
import type { Fact } from '../../evidence/facts.ts';
import { keyedDigest } from '../sealing.ts';
import type { LetterSummary, Reader, SearchQuery } from '../store.ts';
import type { ReadContext } from './read-context.ts';
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

interface MessageRecord {
  tenant: string;
  idx: number;
  kind: EntryKind;
  time: string;
  letter: number | null;
  message_id: string | null;
  sender: string | null;
  subject: string | null;
  verdict: Verdict | null;
}

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
      const { where, values } = conditions(context, query);
      const page = sql(
        `SELECT m.tenant, m.idx, m.kind, m.time, m.letter, m.message_id, m.sender, m.subject, COALESCE((SELECT v.verdict FROM verdict v WHERE v.tenant = m.tenant AND v.about = m.idx ORDER BY v.idx DESC LIMIT 1), m.verdict) AS verdict FROM message m WHERE ${where} AND (m.tenant, m.idx) > (?, ?) ORDER BY m.tenant, m.idx LIMIT ?`,
      );
      const limit = query.limit ?? 1000;
      const found: LetterSummary[] = [];
      let last: readonly [string, number] = ['', -1];
      // A fact that was stated may not stand any more: only the whole letter says so, hence page by page.
      while (found.length < limit) {
        const wanted = limit - found.length;
        const rows = page.all(...values, ...last, wanted) as MessageRecord[];
        for (const row of rows) {
          const own = ownFacts(row);
          if (query.fact === undefined || own.some(({ fact }) => fact === query.fact))
            found.push(summary(row, own));
        }
        const end = rows.at(-1);
        if (end === undefined || rows.length < wanted) break;
        last = [end.tenant, end.idx];
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

/** WHERE clause of a search over `message m`. */
function conditions(context: ReadContext, query: SearchQuery): { where: string; values: unknown[] } {
  const parts: string[] = ['1'];
  const values: unknown[] = [];
  const add = (text: string, ...bound: unknown[]) => {
    parts.push(text);
    values.push(...bound);
  };
  if (query.tenant !== undefined) add('m.tenant = ?', query.tenant);
  if (query.kind !== undefined) add('m.kind = ?', query.kind);
  if (query.since !== undefined) add('m.time >= ?', query.since);
  if (query.until !== undefined) add('m.time <= ?', query.until);
  if (query.subject !== undefined) add(`m.subject LIKE ? ESCAPE '\\'`, like(query.subject));
  if (query.messageId !== undefined) {
    const bare = query.messageId.replace(/^<|>$/g, '');
    add('m.message_id IN (?, ?)', bare, `<${bare}>`);
  }
  if (query.privateId !== undefined)
    add(
      'EXISTS (SELECT 1 FROM private_id p WHERE p.private_id = ? AND p.tenant = m.tenant AND p.idx = m.idx)',
      query.privateId,
    );
  if (query.address !== undefined) {
    add(
      `(m.sender LIKE ? ESCAPE '\\' OR EXISTS (SELECT 1 FROM message_recipient r WHERE r.tenant = m.tenant AND r.idx = m.idx AND r.address LIKE ? ESCAPE '\\'))`,
      like(query.address),
      like(query.address),
    );
  }
  if (query.fileReference !== undefined)
    add(
      'EXISTS (SELECT 1 FROM file_reference f WHERE f.tenant = m.tenant AND f.reference = ? AND f.idx = m.idx)',
      query.fileReference,
    );
  if (query.fact !== undefined)
    add(
      'EXISTS (SELECT 1 FROM fact f WHERE f.tenant = m.tenant AND f.letter = m.letter AND (f.letter = m.idx OR f.idx = m.idx) AND f.fact = ?)',
      query.fact,
    );
  if (query.sha256 !== undefined) {
    // The index is keyed per tenant: one digest per tenant that is looked into.
    const tenants =
      query.tenant === undefined
        ? (context.sql('SELECT tenant FROM checkpoint').pluck().all() as string[])
        : [query.tenant];
    const digests = tenants.map((tenant) => keyedDigest(context.keys(tenant).address, query.sha256!));
    add(
      `EXISTS (SELECT 1 FROM digest d LEFT JOIN letter_entry l ON l.tenant = d.tenant AND l.idx = d.idx WHERE d.tenant = m.tenant AND (d.idx = m.idx OR l.letter = m.idx) AND d.digest IN (${digests.map(() => '?').join(', ') || 'NULL'}))`,
      ...digests,
    );
  }
  return { where: parts.join(' AND '), values };
}

function like(text: string): string {
  return `%${text.replace(/[\\%_]/g, (c) => `\\${c}`)}%`;
}
