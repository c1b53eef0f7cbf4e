/** Commands about a log itself: its key changes, it is held, closed, or cosigned. */

import { openCheckpoint } from '../../../evidence/checkpoint.ts';
import type { Actor, ClosedLog } from '../../../evidence/entry.ts';
import { closingNote, keyNote } from '../../../evidence/log-notes.ts';
import { createNoteSigner, type NoteSigner } from '../../../evidence/note.ts';
import { KeyError } from '../../key-error.ts';
import type { Hold } from '../../logs.ts';
import { doubtQueue } from '../restored-queue.ts';
import { holdRows, keyRows, keysOf, type LogRow, logRows } from '../tenant-logs.ts';
import type { WriteContext } from '../write-context.ts';
import { newSigningKey, openedBody, signingKey } from '../writer-log.ts';

export function rotateLogKey(
  context: WriteContext,
  tenant: string,
  { actor, reason, overlapMs }: { actor: Actor; reason: string; overlapMs: number },
): { key: string } {
  const log = context.log(tenant);
  const [current] = log.signers;
  if (log.held || current === undefined) throw new Error(`the log of ${tenant} is held: its key stays`);
  const { signer, key } = newSigningKey(context.options.keysDirectory, tenant, log.origin);
  const after = log.edge.size + log.pending.length;
  const until = overlapMs > 0 ? context.now + overlapMs : 0;
  const change = { origin: log.origin, index: log.base + after, previous: log.key, key };
  context.append(tenant, {
    kind: 'log-key',
    actor,
    reason,
    previous: log.key,
    key,
    ...(until > 0 ? { until: new Date(until).toISOString() } : {}),
    note: keyNote(change, current, signer),
  });
  context
    .sql('INSERT INTO log_key (tenant, log, after, key, until) VALUES (?, ?, ?, ?, ?)')
    .run(tenant, log.number, after, key, until);
  log.key = key;
  log.signers = [signer, current];
  log.overlapUntil = until;
  return { key };
}

export function holdLog(
  context: WriteContext,
  tenant: string,
  { source, reason, knownSize, knownNote }: Omit<Hold, 'since'>,
): void {
  context
    .sql(
      `INSERT INTO log_hold (tenant, source, since, reason, known_size, known_note) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET reason = excluded.reason, known_size = excluded.known_size, known_note = excluded.known_note`,
    )
    .run(tenant, source, new Date(context.now).toISOString(), reason, knownSize, knownNote);
  context.reloadLog(tenant);
  context.changes.push({ topic: 'lock', tenant });
}

export function releaseLog(context: WriteContext, tenant: string, source: string): void {
  const { changes } = context.sql('DELETE FROM log_hold WHERE tenant = ? AND source = ?').run(tenant, source);
  if (changes === 0) return;
  context.reloadLog(tenant);
  context.changes.push({ topic: 'lock', tenant });
}

export function closeLog(
  context: WriteContext,
  tenant: string,
  { actor, reason }: { actor: Actor; reason: string },
): { origin: string; key: string } {
  const { sql, options } = context;
  const holds = holdRows(sql, tenant);
  if (holds.length === 0)
    throw new Error(`the log of ${tenant} is not held: there is nothing that closing it would mend`);
  const old = logRows(sql, tenant).at(-1) ?? lostLog(holds, `${options.originPrefix}/${tenant}`);
  const keys = keysOf(sql, options.keysDirectory, tenant, old, () => '').map(({ key }) => key);
  const lastKey = keys.at(-1)!;
  const number = old.number + 1;
  const last =
    (sql('SELECT MAX(idx) FROM entry WHERE tenant = ?').pluck().get(tenant) as number | null) ?? -1;
  const knownSize = Math.max(old.size, ...holds.map((hold) => hold.knownSize));
  const base = last + 1;
  // An origin that was ever used, here or in what was lost, is not used again.
  const end = Math.max(base, ...holds.map((hold) => endOf(hold, old, tenant)));
  const first = old.number === 1 ? old.origin : old.origin.replace(/\.\d+$/, '');
  const origin = `${first}.${end}`;
  const { signer, key } = newSigningKey(options.keysDirectory, tenant, origin);
  const root = rootSaid(old.note, keys);
  const oldSigner = signerOf(context, tenant, old.origin, old.number);
  const predecessor: ClosedLog = {
    origin: old.origin,
    key: lastKey,
    base: old.base,
    size: old.size,
    root,
    known: holds.map((hold) => ({
      source: hold.source,
      reason: hold.reason,
      size: hold.knownSize,
      checkpoint: hold.knownNote,
    })),
    actor,
    reason,
    note:
      oldSigner === null
        ? null
        : closingNote(
            { origin: old.origin, size: old.size, root, knownSize, successor: key, reason },
            oldSigner,
          ),
  };
  sql('INSERT INTO closed_log (tenant, log, origin, base, size, note) VALUES (?, ?, ?, ?, ?, ?)').run(
    tenant,
    old.number,
    old.origin,
    old.base,
    old.size,
    old.note,
  );
  sql(
    `INSERT INTO checkpoint (tenant, log, origin, base, size, note) VALUES (?, ?, ?, ?, 0, '')
     ON CONFLICT DO UPDATE SET log = excluded.log, origin = excluded.origin, base = excluded.base, size = 0, note = ''`,
  ).run(tenant, number, origin, base);
  sql('INSERT INTO log_key (tenant, log, after, key, until) VALUES (?, ?, -1, ?, 0)').run(
    tenant,
    number,
    key,
  );
  sql('DELETE FROM log_hold WHERE tenant = ?').run(tenant);
  context.reloadLog(tenant);
  const log = context.log(tenant);
  log.signers = [signer];
  context.append(tenant, { ...openedBody(log), predecessor } as Parameters<typeof context.append>[1]);
  for (let index = base + 1; index < Math.min(end, base + MOST_LOST); index++)
    context.append(tenant, { kind: 'lost', origin: old.origin });
  doubtQueue(
    context,
    tenant,
    `the log before was closed by ${actor.name}: whether this was sent already stands in entries that are lost`,
  );
  context.changes.push({ topic: 'lock', tenant }, { topic: 'outbox', tenant });
  return { origin, key };
}

/** So many lost entries get a place of their own, so that their names never mean anything else. */
const MOST_LOST = 100_000;

/** The index up to which the log was seen elsewhere. A later log, which this database may not know, begins at
 * the number in its origin at the latest. */
function endOf({ knownSize, knownNote }: Hold, old: LogRow, tenant: string): number {
  const origin = knownNote?.slice(0, knownNote.indexOf('\n')) ?? old.origin;
  const base = new RegExp(`/${tenant}\\.(\\d{1,15})$`).exec(origin)?.[1];
  return (origin === old.origin || base === undefined ? old.base : Number(base)) + knownSize;
}

/** Stands for the log of a database that has none of it any more. */
function lostLog(holds: readonly Hold[], origin: string): LogRow {
  const note = holds.find(({ knownNote }) => knownNote !== null)?.knownNote ?? `${origin}\n`;
  return { number: 1, origin: note.slice(0, note.indexOf('\n')), base: 0, size: 0, note: '', closed: true };
}

/** Root that the database's own checkpoint states; empty where not even that can be read. */
function rootSaid(note: string, keys: readonly string[]): string {
  try {
    return openCheckpoint(note, ...keys).root.toString('base64');
  } catch {
    return '';
  }
}

function signerOf(context: WriteContext, tenant: string, origin: string, log: number): NoteSigner | null {
  try {
    const named = keyRows(context.sql, tenant, log).at(-1)?.key ?? null;
    return createNoteSigner(
      origin,
      signingKey(context.options.keysDirectory, tenant, origin, named).privateKey,
    );
  } catch (error) {
    if (error instanceof KeyError) return null;
    throw error;
  }
}

export function recordCosigned(
  context: WriteContext,
  tenant: string,
  { log, size, note }: { log: number; size: number; note: string },
): void {
  context
    .sql(
      `INSERT INTO cosigned (tenant, log, size, note) VALUES (?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET size = excluded.size, note = excluded.note WHERE excluded.size >= cosigned.size`,
    )
    .run(tenant, log, size, note);
}
