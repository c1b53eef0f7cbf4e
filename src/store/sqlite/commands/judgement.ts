/** Verdicts, silence, logins, openings and locks: what is known and done about messages after they came. */
import type {
  Actor,
  DeletionIntentEntry,
  DeletionOutcomeEntry,
  LoginIntentEntry,
  LoginOutcomeEntry,
  OpenedMailEntry,
  OverdueEntry,
  VerdictEntry,
} from '../../../evidence/entry.ts';
import type { WriteContext } from '../write-context.ts';
import { insertObject } from './object.ts';
import { factOf, type WireObject } from './wire.ts';

export interface WireVerdict {
  readonly body: Omit<VerdictEntry, 'kind' | 'material'>;
  readonly material: readonly {
    readonly type: 'certificate' | 'crl' | 'ocsp';
    readonly object: WireObject;
  }[];
  readonly nextAttempt: number | null;
}

export function recordVerdict(
  context: WriteContext,
  tenant: string,
  { body, material, nextAttempt }: WireVerdict,
): { index: number } {
  for (const { object } of material) insertObject(context, tenant, object, null);
  const entry = context.append(tenant, {
    kind: 'verdict',
    ...body,
    material: material.map(({ type, object }) => ({ type, ...factOf(object) })),
  });
  planReverification(context, tenant, { about: body.about, nextAttempt });
  return { index: entry.index };
}

export function planReverification(
  context: WriteContext,
  tenant: string,
  { about, nextAttempt }: { about: number; nextAttempt: number | null },
): void {
  if (nextAttempt === null)
    context.sql('DELETE FROM reverify WHERE tenant = ? AND idx = ?').run(tenant, about);
  else
    context
      .sql(
        'INSERT INTO reverify (tenant, idx, next_attempt) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET next_attempt = excluded.next_attempt',
      )
      .run(tenant, about, nextAttempt);
}

export function recordOverdue(
  context: WriteContext,
  tenant: string,
  body: Omit<OverdueEntry, 'kind'>,
): boolean {
  const { sql } = context;
  const silent = body.recipients.filter(
    (recipient) =>
      sql(
        'UPDATE awaited SET told = 1 WHERE tenant = ? AND letter = ? AND recipient = ? AND confirmation = ? AND told = 0',
      ).run(tenant, body.letter, recipient, body.confirmation).changes === 1,
  );
  if (silent.length === 0) return false;
  context.append(tenant, { kind: 'overdue', ...body, recipients: silent });
  return true;
}

export function recordLoginIntent(
  context: WriteContext,
  tenant: string,
  body: Omit<LoginIntentEntry, 'kind'>,
): { index: number } {
  return { index: context.append(tenant, { kind: 'login-intent', ...body }).index };
}

export function recordLoginOutcome(
  context: WriteContext,
  tenant: string,
  body: Omit<LoginOutcomeEntry, 'kind'>,
): void {
  context.append(tenant, { kind: 'login-outcome', ...body });
}

export function recordDeletionIntent(
  context: WriteContext,
  tenant: string,
  body: Omit<DeletionIntentEntry, 'kind'>,
): { index: number } {
  return { index: context.append(tenant, { kind: 'deletion-intent', ...body }).index };
}

export function recordDeletionOutcome(
  context: WriteContext,
  tenant: string,
  body: Omit<DeletionOutcomeEntry, 'kind'>,
): void {
  context.append(tenant, { kind: 'deletion-outcome', ...body });
}

export function recordOpened(
  context: WriteContext,
  tenant: string,
  body: Omit<OpenedMailEntry, 'kind'>,
): void {
  context.append(tenant, { kind: 'opened', ...body });
}

export function setLock(
  context: WriteContext,
  tenant: string,
  {
    locked,
    actor,
    reason,
    scope,
  }: { locked: boolean; actor: Actor; reason: string; scope?: string | undefined },
): boolean {
  const { sql } = context;
  const isLocked = sql('SELECT 1 FROM tenant_lock WHERE tenant = ?').get(tenant) !== undefined;
  if (isLocked === locked) return false;
  const entry = context.append(tenant, {
    kind: 'operation',
    actor,
    action: locked ? 'lock' : 'unlock',
    subject: scope === undefined ? tenant : `${tenant}, ${scope}`,
    reason,
  });
  if (locked)
    sql('INSERT INTO tenant_lock (tenant, since, reason, actor) VALUES (?, ?, ?, ?)').run(
      tenant,
      entry.time,
      reason,
      actor.name,
    );
  else sql('DELETE FROM tenant_lock WHERE tenant = ?').run(tenant);
  context.changes.push({ topic: 'lock', tenant });
  return true;
}
