/**
 * Search over the messages of the store: the condition that finds the fewest rows by an index names candidates, page by
 * page in the order of the log; the other conditions are asked of those alone. No search reads what it does not need,
 * except by a part of the subject.
 */
import type { EntryKind, Verdict } from '../../evidence/entry.ts';
import { keyedDigest } from '../sealing.ts';
import type { SearchQuery } from '../store.ts';
import type { ReadContext } from './read-context.ts';
import { domainOf } from './schema.ts';

export interface MessageRecord {
  readonly tenant: string;
  readonly idx: number;
  readonly kind: EntryKind;
  readonly time: string;
  readonly letter: number | null;
  readonly message_id: string | null;
  readonly sender: string | null;
  readonly subject: string | null;
  readonly verdict: Verdict | null;
}

/** SQL that is true of `message m`, with its values. */
interface Condition {
  readonly text: string;
  readonly values: readonly unknown[];
}

/** Entries (after, to] that may match: at most `count`, ascending. */
type Candidates = (after: number, to: number, count: number) => number[];

/** Pages grow: the first answers quickly, later ones carry little overhead. */
const smallestPage = 100;
const largestPage = 16_384;

const row = `SELECT m.tenant, m.idx, m.kind, m.time, m.letter, m.message_id, m.sender, m.subject,
    COALESCE((SELECT v.verdict FROM verdict v WHERE v.tenant = m.tenant AND v.about = m.idx ORDER BY v.idx DESC LIMIT 1), m.verdict) AS verdict
  FROM message m`;

/** Messages that match, by tenant and in the order of its log. */
export function* matches(context: ReadContext, query: SearchQuery): Generator<MessageRecord> {
  const tenants =
    query.tenant === undefined
      ? (context.sql('SELECT tenant FROM checkpoint ORDER BY tenant').pluck().all() as string[])
      : [query.tenant];
  for (const tenant of tenants) yield* matchesOf(context, tenant, query);
}

function* matchesOf(context: ReadContext, tenant: string, query: SearchQuery): Generator<MessageRecord> {
  const window = windowOf(context, tenant, query);
  if (window === null) return;
  const { candidates, conditions } = plan(context, tenant, query);
  const filter = context.sql(
    `${row} WHERE m.tenant = ? AND m.idx IN (SELECT value FROM json_each(?)) AND ${['1', ...conditions.map(({ text }) => text)].join(' AND ')} ORDER BY m.idx`,
  );
  const values = conditions.flatMap((condition) => condition.values);
  let after = window.first - 1;
  for (let count = smallestPage; ; count = Math.min(count * 2, largestPage)) {
    const page = candidates(after, window.last, count);
    yield* filter.all(tenant, JSON.stringify(page), ...values) as MessageRecord[];
    if (page.length < count) return;
    after = page.at(-1)!;
  }
}

/**
 * The entries between which the asked-for days lie. By days, not by looking for a time in the log: a clock that was set
 * back makes a window wider, and hides nothing.
 */
function windowOf(
  { sql }: ReadContext,
  tenant: string,
  { since, until }: SearchQuery,
): { first: number; last: number } | null {
  if (since === undefined && until === undefined) return { first: 0, last: Number.MAX_SAFE_INTEGER };
  const found = sql(
    'SELECT MIN(first) AS first, MAX(last) AS last FROM message_day WHERE tenant = ? AND day >= ? AND day <= ?',
  ).get(tenant, since?.slice(0, 10) ?? '', until?.slice(0, 10) ?? '~') as {
    first: number | null;
    last: number | null;
  };
  return found.first === null || found.last === null ? null : { first: found.first, last: found.last };
}

/** What names the candidates, and what is left to be asked of them. */
function plan(
  context: ReadContext,
  tenant: string,
  query: SearchQuery,
): { candidates: Candidates; conditions: Condition[] } {
  const conditions: Condition[] = [];
  let candidates: Candidates | null = null;
  const add = (text: string, ...values: unknown[]) => conditions.push({ text, values });
  /** From the condition that finds the fewest to the one that finds the most: the first that is asked for counts. */
  const source = (text: string, ...values: unknown[]) => {
    if (candidates !== null) return false;
    candidates = (after, to, count) =>
      context
        .sql(`${text} AND idx > ? AND idx <= ? ORDER BY idx LIMIT ?`)
        .pluck()
        .all(...values, after, to, count) as number[];
    return true;
  };

  if (query.messageId !== undefined) {
    const bare = query.messageId.replace(/^<|>$/g, '');
    source(
      'SELECT idx FROM message INDEXED BY message_1 WHERE tenant = ? AND message_id IN (?, ?)',
      tenant,
      bare,
      `<${bare}>`,
    );
  }
  if (query.privateId !== undefined) {
    const of = 'private_id WHERE private_id = ? AND tenant = ?';
    if (!source(`SELECT DISTINCT idx FROM ${of}`, query.privateId, tenant))
      add(`m.idx IN (SELECT idx FROM ${of})`, query.privateId, tenant);
  }
  if (query.sha256 !== undefined) {
    const digest = keyedDigest(context.keys(tenant).address, query.sha256);
    // Also the letter of an entry that saw the file, as of a hand-over.
    const of = `(SELECT idx FROM digest WHERE tenant = ? AND digest = ? UNION
      SELECT l.letter FROM digest d CROSS JOIN letter_entry l INDEXED BY letter_entry_1 ON l.tenant = d.tenant AND l.idx = d.idx WHERE d.tenant = ? AND d.digest = ?)`;
    if (!source(`SELECT idx FROM ${of} WHERE 1`, tenant, digest, tenant, digest))
      add(`m.idx IN (SELECT idx FROM ${of})`, tenant, digest, tenant, digest);
  }
  if (query.fileReference !== undefined) {
    const of = 'file_reference WHERE tenant = ? AND reference = ?';
    if (!source(`SELECT idx FROM ${of}`, tenant, query.fileReference))
      add(`m.idx IN (SELECT idx FROM ${of})`, tenant, query.fileReference);
  }
  if (query.address !== undefined) {
    const { condition, named } = addressed(context, tenant, query.address);
    if (candidates === null) candidates = named;
    else conditions.push(condition);
  }
  if (query.kind !== undefined) {
    if (
      !source(
        'SELECT idx FROM message INDEXED BY message_kind WHERE tenant = ? AND kind = ?',
        tenant,
        query.kind,
      )
    )
      add('m.kind = ?', query.kind);
  }
  source('SELECT idx FROM message INDEXED BY message_0 WHERE tenant = ?', tenant);

  if (query.since !== undefined) add('m.time >= ?', query.since);
  if (query.until !== undefined) add('m.time <= ?', query.until);
  if (query.subject !== undefined) add(`m.subject LIKE ? ESCAPE '\\'`, like(query.subject));
  if (query.fact !== undefined)
    add(
      'EXISTS (SELECT 1 FROM fact f WHERE f.tenant = m.tenant AND f.letter = m.letter AND (f.letter = m.idx OR f.idx = m.idx) AND f.fact = ?)',
      query.fact,
    );
  return { candidates: candidates!, conditions };
}

/**
 * Letters from or to an address. One that occurs in whole is searched as such; `@domain` finds all of a domain that
 * occurs; anything else is a part, looked for in the list of all addresses that occur.
 */
function addressed(
  { sql }: ReadContext,
  tenant: string,
  text: string,
): { condition: Condition; named: Candidates } {
  const whole = sql('SELECT 1 FROM address WHERE tenant = ? AND address = ?').get(tenant, text) !== undefined;
  const domain = text.startsWith('@') ? text.slice(1).toLowerCase() : null;
  const exact = (columns: (column: string) => string, value: string, indexes: readonly [string, string]) => {
    const page = sql(
      `SELECT idx FROM (SELECT idx FROM message INDEXED BY ${indexes[0]}
         WHERE tenant = $tenant AND ${columns('sender')} = $value AND sender IS NOT NULL AND idx > $after AND idx <= $to ORDER BY idx LIMIT $count)
       UNION SELECT idx FROM (SELECT DISTINCT idx FROM message_recipient INDEXED BY ${indexes[1]}
         WHERE tenant = $tenant AND ${columns('address')} = $value AND idx > $after AND idx <= $to ORDER BY idx LIMIT $count)
       ORDER BY 1 LIMIT $count`,
    ).pluck();
    return {
      condition: {
        text: `(${columns('m.sender')} = ? OR EXISTS (SELECT 1 FROM message_recipient r WHERE r.tenant = m.tenant AND r.idx = m.idx AND ${columns('r.address')} = ?))`,
        values: [value, value],
      },
      named: (after: number, to: number, count: number) =>
        page.all({ tenant, value, after, to, count }) as number[],
    };
  };
  const ofAddress = (address: string) =>
    exact((column) => `${column} COLLATE NOCASE`, address, ['message_sender', 'message_recipient_1']);
  if (whole) return ofAddress(text);
  if (domain !== null) {
    const ofDomain = exact(domainOf, domain, ['message_sender_domain', 'message_recipient_domain']);
    if (ofDomain.named(-1, Number.MAX_SAFE_INTEGER, 1).length > 0) return ofDomain;
  }
  const part = like(text);
  const addresses = sql(`SELECT address FROM address WHERE tenant = ? AND address LIKE ? ESCAPE '\\'`)
    .pluck()
    .all(tenant, part) as string[];
  return {
    condition: {
      text: `(m.sender LIKE ? ESCAPE '\\' OR EXISTS (SELECT 1 FROM message_recipient r WHERE r.tenant = m.tenant AND r.idx = m.idx AND r.address LIKE ? ESCAPE '\\'))`,
      values: [part, part],
    },
    named: (after, to, count) => {
      let first = new Set<number>();
      for (const address of addresses) {
        for (const index of ofAddress(address).named(after, to, count)) first.add(index);
        if (first.size > 8 * count) first = new Set(lowest(first, count));
      }
      return lowest(first, count);
    },
  };
}

function lowest(indexes: ReadonlySet<number>, count: number): number[] {
  return [...indexes].sort((a, b) => a - b).slice(0, count);
}

function like(text: string): string {
  return `%${text.replace(/[\\%_]/g, (c) => `\\${c}`)}%`;
}
