/** A tenant's logs in the database, and the keys that sign them. Used by writer, reader and verification. */
import type { KeyPeriod } from '../../evidence/log-keys.ts';
import { verifierKey } from '../../evidence/note.ts';
import { secretExists } from '../key-files.ts';
import { logKeyFile, readLogKey } from '../keys.ts';
import type { Hold, LogInfo } from '../logs.ts';

type Sql = (text: string) => {
  get(...values: unknown[]): unknown;
  all(...values: unknown[]): unknown[];
};

export type LogRow = Omit<LogInfo, 'keys'>;

/** Logs in order, the open one last; its note is empty until its first commit. */
export function logRows(sql: Sql, tenant: string): LogRow[] {
  const rows = sql(
    `SELECT log AS number, origin, base, size, note, 1 AS closed FROM closed_log WHERE tenant = $tenant
     UNION ALL SELECT log, origin, base, size, note, 0 FROM checkpoint WHERE tenant = $tenant ORDER BY 1`,
  ).all({ tenant }) as (Omit<LogRow, 'closed'> & { closed: number })[];
  return rows.map((row) => ({ ...row, closed: row.closed === 1 }));
}

/** Keys that have rows: all but the first of a tenant's first log, where that was opened here. */
export function keyRows(sql: Sql, tenant: string, log: number): (KeyPeriod & { readonly until: number })[] {
  return sql('SELECT after, key, until FROM log_key WHERE tenant = ? AND log = ? ORDER BY after').all(
    tenant,
    log,
  ) as (KeyPeriod & { readonly until: number })[];
}

/**
 * All keys of a log, oldest first.
 * @param opened verifier key that the log's first entry names: asked where the file of the first key is gone.
 */
export function keysOf(
  sql: Sql,
  directory: string,
  tenant: string,
  { number, origin }: LogRow,
  opened: () => string,
): KeyPeriod[] {
  const rows = keyRows(sql, tenant, number).map(({ after, key }) => ({ after, key }));
  if (number > 1 || rows[0]?.after === -1) return rows;
  const file = logKeyFile(directory, tenant, null);
  const first = secretExists(file) ? verifierKey(origin, readLogKey(file).publicKey) : opened();
  return [{ after: -1, key: first }, ...rows];
}

export function holdRows(sql: Sql, tenant: string): Hold[] {
  return sql(
    'SELECT source, since, reason, known_size AS knownSize, known_note AS knownNote FROM log_hold WHERE tenant = ? ORDER BY since, source',
  ).all(tenant) as Hold[];
}
