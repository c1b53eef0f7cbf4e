/**
 * Lists that triggers keep for searching, compared with the rows that they list, and rows of logs that there are not.
 * In SQL, since a list of all addresses may be longer than memory; the rows it is compared with follow from the entries.
 */
import type Database from 'better-sqlite3';
import type { Finding } from '../../evidence/audit.ts';

/** Each query gives a place and a problem. */
const queries = [
  // The list compares without case; each side is one look-up in an index per row.
  `SELECT 'address ' || address, 'no message has it' FROM address a WHERE tenant = $tenant
     AND NOT EXISTS (SELECT 1 FROM message INDEXED BY message_sender
       WHERE tenant = a.tenant AND sender = a.address COLLATE NOCASE AND sender IS NOT NULL)
     AND NOT EXISTS (SELECT 1 FROM message_recipient INDEXED BY message_recipient_1
       WHERE tenant = a.tenant AND address = a.address COLLATE NOCASE)`,
  `SELECT 'address ' || address, 'it is not listed; entry ' || MIN(idx) || ' has it' FROM (
     SELECT tenant, address, idx FROM message_recipient WHERE tenant = $tenant
     UNION ALL SELECT tenant, sender, idx FROM message WHERE tenant = $tenant AND sender IS NOT NULL) r
   WHERE NOT EXISTS (SELECT 1 FROM address a WHERE a.tenant = r.tenant AND a.address = r.address)
   GROUP BY address`,
  // A day keeps the ends that it had when a message at its end was erased.
  `WITH own AS (SELECT substr(time, 1, 10) AS day, MIN(idx) AS first, MAX(idx) AS last FROM message
       WHERE tenant = $tenant GROUP BY 1),
     listed AS (SELECT day, first, last FROM message_day WHERE tenant = $tenant),
     gone AS (SELECT entry FROM erased WHERE tenant = $tenant)
   SELECT 'message_day ' || l.day, 'column first says ' || l.first || ', its messages ' || COALESCE(o.first, 'nothing')
     FROM listed l LEFT JOIN own o USING (day)
     WHERE l.first IS NOT o.first AND NOT (l.first < COALESCE(o.first, l.first + 1) AND l.first IN gone)
   UNION ALL SELECT 'message_day ' || l.day, 'column last says ' || l.last || ', its messages ' || COALESCE(o.last, 'nothing')
     FROM listed l LEFT JOIN own o USING (day)
     WHERE l.last IS NOT o.last AND NOT (l.last > COALESCE(o.last, l.last - 1) AND l.last IN gone)
   UNION ALL SELECT 'message_day ' || day, 'missing: entries ' || first || ' to ' || last || ' are of that day' FROM own
     WHERE day NOT IN (SELECT day FROM listed)`,
  `WITH known AS (SELECT log FROM checkpoint WHERE tenant = $tenant UNION SELECT log FROM closed_log WHERE tenant = $tenant)
   SELECT 'tile ' || level || '/' || n, 'column log says ' || log || ': there is no such log' FROM tile
     WHERE tenant = $tenant AND log NOT IN known
   UNION ALL SELECT 'log key ' || key, 'column log says ' || log || ': there is no such log' FROM log_key
     WHERE tenant = $tenant AND log NOT IN known
   UNION ALL SELECT 'checkpoint with cosignatures', 'column log says ' || log || ': there is no such log' FROM cosigned
     WHERE tenant = $tenant AND log NOT IN known`,
] as const;

/** What is wrong with the lists of a tenant. */
export function* listingProblems(db: Database.Database, tenant: string): Iterable<Omit<Finding, 'tenant'>> {
  for (const query of queries) {
    const rows = db.prepare(query).raw().iterate({ tenant }) as Iterable<[string, string]>;
    for (const [place, problem] of rows) yield { place, problem };
  }
}
