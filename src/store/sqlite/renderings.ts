/** What is one letter in different bytes: as it was submitted, and as clients filed it. Told by fingerprints. */
import type Database from 'better-sqlite3';

type Sql = (text: string) => Database.Statement;

/** The newest letter whose submitted bytes those are; null where they are a client's rendering, or no letter. */
export function letterOf(sql: Sql, tenant: string, object: string): number | null {
  const letter = sql(
    `SELECT m.idx FROM digest d JOIN message m ON m.tenant = d.tenant AND m.idx = d.idx
     WHERE d.tenant = ? AND d.digest = ? AND m.kind = 'submission' ORDER BY m.idx DESC LIMIT 1`,
  )
    .pluck()
    .get(tenant, object) as number | undefined;
  return letter ?? null;
}

/** Do those bytes stand in the log for a message that came, and for none that the tenant submitted? */
export function isFetched(sql: Sql, tenant: string, object: string): boolean {
  const named = sql(
    `SELECT 1 FROM digest d JOIN message m ON m.tenant = d.tenant AND m.idx = d.idx
     WHERE d.tenant = ? AND d.digest = ? AND d.name IS NULL AND m.kind <> 'submission' LIMIT 1`,
  ).get(tenant, object);
  return named !== undefined && letterOf(sql, tenant, object) === null;
}

/** All objects that are the same message as this one, itself included. */
export function renderingsOf(sql: Sql, tenant: string, object: string): readonly string[] {
  const others = sql(
    `SELECT other.object FROM fingerprint this JOIN fingerprint other
       ON other.tenant = this.tenant AND other.fingerprint = this.fingerprint
     WHERE this.tenant = ? AND this.object = ? AND other.object <> this.object`,
  )
    .pluck()
    .all(tenant, object) as string[];
  return [object, ...others];
}

/** The submitted bytes, and what clients filed of the letter; not where another letter is alike: whose would it be? */
export function copiesOfLetter(sql: Sql, tenant: string, submitted: string): readonly string[] {
  const all = renderingsOf(sql, tenant, submitted);
  return all.some((object) => object !== submitted && letterOf(sql, tenant, object) !== null)
    ? [submitted]
    : all;
}
