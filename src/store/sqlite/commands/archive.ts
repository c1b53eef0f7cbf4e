/** Seals and renewals: one tree and one timestamp over the logs of all tenants. */
import { createHash } from 'node:crypto';
import type { ArchiveRecord } from '../../store.ts';
import type { WriteContext } from '../write-context.ts';

export function recordArchiveTimestamp(
  context: WriteContext,
  _tenant: string,
  record: ArchiveRecord,
): { id: number } {
  for (const { id: covered } of record.covers) {
    if (context.sql('SELECT final FROM archive_timestamp WHERE id = ?').pluck().get(covered) !== 1)
      throw new Error(`archive timestamp ${covered} is not final yet: it must not be covered`);
  }
  const id = insertArchiveTimestamp(context, record);
  announce(context, id, record);
  return { id };
}

/** Its rows, without a word in any log. @returns its number */
export function insertArchiveTimestamp({ sql }: Pick<WriteContext, 'sql'>, record: ArchiveRecord): number {
  const id = sql('SELECT COALESCE(MAX(id), 0) + 1 FROM archive_timestamp').pluck().get() as number;
  sql(
    'INSERT INTO archive_timestamp (id, kind, digest, gen_time, authority, leaves, token, response, final) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
  ).run(
    id,
    record.kind,
    record.digest,
    record.genTime,
    record.authority,
    record.leaves,
    record.token,
    record.response,
    record.final ? 1 : 0,
  );
  for (const { level, n, hashes } of record.tiles)
    sql('INSERT INTO archive_tile (id, level, n, hashes) VALUES (?, ?, ?, ?)').run(id, level, n, hashes);
  for (const { tenant, from, to, position, checkpoint } of record.ranges)
    sql(
      'INSERT INTO archive_range (id, tenant, from_idx, to_idx, position, note) VALUES (?, ?, ?, ?, ?, ?)',
    ).run(id, tenant, from, to, position, checkpoint);
  for (const { id: covered, position } of record.covers)
    sql('INSERT INTO archive_cover (id, covers, position) VALUES (?, ?, ?)').run(id, covered, position);
  for (const { tenant, size, position } of record.leafLists)
    sql('INSERT INTO archive_leaves (id, tenant, size, position) VALUES (?, ?, ?, ?)').run(
      id,
      tenant,
      size,
      position,
    );
  for (const { tenant, index, reason } of record.excluded)
    sql('INSERT INTO archive_excluded (id, tenant, idx, reason) VALUES (?, ?, ?, ?)').run(
      id,
      tenant,
      index,
      reason,
    );
  return id;
}

/** The entry in each log that is covered. */
function announce(context: WriteContext, id: number, record: ArchiveRecord): void {
  const { digest, genTime, authority, token } = record;
  const common = {
    archiveTimestamp: id,
    digest,
    genTime,
    authority,
    token: { sha256: createHash('sha256').update(token).digest('hex'), size: token.length },
  };
  if (record.kind === 'seal') {
    for (const { tenant, from, to } of record.ranges) {
      const excluded = excludedOf(record, tenant);
      context.append(tenant, {
        kind: 'sealed',
        ...common,
        from,
        to,
        ...(excluded.length > 0 && { excluded }),
      });
    }
    return;
  }
  const covers = record.covers.map((cover) => cover.id);
  for (const tenant of tenantsUnder(context, covers)) {
    context.append(tenant, {
      kind: 'renewed',
      ...common,
      method: record.kind === 'timestamp-renewal' ? 'timestamp' : 'hash-tree',
      covers,
      excluded: excludedOf(record, tenant),
    });
  }
}

function excludedOf({ excluded }: ArchiveRecord, tenant: string) {
  return excluded.filter((one) => one.tenant === tenant).map(({ index, reason }) => ({ index, reason }));
}

/** Tenants with entries under these archive timestamps, also through renewals between. */
function tenantsUnder(context: WriteContext, ids: readonly number[]): string[] {
  return context
    .sql(
      `WITH RECURSIVE under (id) AS (
         SELECT value FROM json_each(?) UNION SELECT c.covers FROM archive_cover c JOIN under u ON c.id = u.id
       ) SELECT DISTINCT tenant FROM archive_range WHERE id IN (SELECT id FROM under) ORDER BY tenant`,
    )
    .pluck()
    .all(JSON.stringify(ids)) as string[];
}

export function finishArchiveToken(
  context: WriteContext,
  _tenant: string,
  { id, token }: { id: number; token: Buffer },
): void {
  const { changes } = context
    .sql(
      'UPDATE archive_timestamp SET token = ?, final = 1 WHERE id = ? AND NOT EXISTS (SELECT 1 FROM archive_cover WHERE covers = ?)',
    )
    .run(token, id, id);
  if (changes !== 1) throw new Error(`archive timestamp ${id} is covered already, or does not exist`);
}
