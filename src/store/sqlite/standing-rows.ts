/** Facts of a letter out of their rows, and those of them that stand by now. */
import type Database from 'better-sqlite3';
import type { Entry } from '../../evidence/entry.ts';
import type { Fact, FactName } from '../../evidence/facts.ts';
import { judgedFacts, type LaterVerdict, standingFacts } from '../../evidence/standing.ts';

type Sql = (text: string) => Database.Statement;

interface FactRow {
  letter: number;
  recipient: string;
  fact: FactName;
  idx: number;
  time: string;
  detail: string | null;
}

export function factsOf(sql: Sql, tenant: string, letter: number): Fact[] {
  const rows = sql(
    'SELECT letter, recipient, fact, idx, time, detail FROM fact WHERE tenant = ? AND letter = ? ORDER BY idx',
  ).all(tenant, letter) as FactRow[];
  return rows.map(({ idx, ...row }) => ({ ...row, index: idx }));
}

/** @param entryAt opens an entry: a verdict says in its entry what it is about */
export function standingOf(
  sql: Sql,
  entryAt: (tenant: string, index: number) => Entry | null,
  tenant: string,
  letter: number,
): Fact[] {
  const facts = factsOf(sql, tenant, letter);
  const about = new Set(facts.filter(({ fact }) => judgedFacts.has(fact)).map(({ index }) => index));
  for (const index of [...about]) {
    const kind = sql('SELECT kind FROM entry WHERE tenant = ? AND idx = ?').pluck().get(tenant, index);
    const entry = kind === 'verdict' ? entryAt(tenant, index) : null;
    if (entry?.kind === 'verdict') about.add(entry.about);
  }
  const later = 'SELECT idx AS "index", about, verdict FROM verdict WHERE tenant = ? AND about = ?';
  return standingFacts(
    facts,
    [...about].flatMap((index) => sql(later).all(tenant, index) as LaterVerdict[]),
  );
}
