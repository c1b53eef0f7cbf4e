/** What persons order of retention while the gateway runs. Erasure on demand takes two of them, each with a password. */
import type { TenantConfig } from '../config/schema.ts';
import type { ControlRequest } from '../control.ts';
import type { Authenticator } from '../directory/directory.ts';
import type { Actor } from '../evidence/entry.ts';
import type { Store } from '../store/store.ts';
import type { RetentionSchedule } from './retention-schedule.ts';

export type RetentionOrder = Extract<ControlRequest, { command: `retention-${string}` }>;

export interface OrderDeps {
  readonly store: Store;
  readonly authenticator: Authenticator;
  readonly schedule: RetentionSchedule;
}

/** @throws GatewayError where the password is wrong; Error that says what stands against it */
export async function obeyRetention(
  { store, authenticator, schedule }: OrderDeps,
  order: RetentionOrder,
): Promise<unknown> {
  switch (order.command) {
    case 'retention-run':
      return await schedule.runNow();
    case 'retention-hold': {
      const { tenant, held, actor, reason, letter, fileReference } = order;
      const what = holdTarget(letter, fileReference);
      return { changed: await store.holdLetters(tenant, { held, actor, reason, ...what }) };
    }
    case 'retention-propose': {
      const { tenant, letter, legalBasis, copies, reason } = order;
      const actor = await approver(authenticator, order);
      return await store.proposeErasure(tenant, { letter, actor, legalBasis, copies, reason });
    }
    case 'retention-approve': {
      const { tenant, proposal } = order;
      return await store.approveErasure(tenant, { proposal, actor: await approver(authenticator, order) });
    }
    case 'retention-withdraw': {
      const { tenant, proposal, actor, reason } = order;
      return { changed: await store.withdrawErasure(tenant, { proposal, actor, reason }) };
    }
  }
}

/** Exactly one of them. @throws Error otherwise */
export function holdTarget(
  letter: number | undefined,
  fileReference: string | undefined,
): { readonly letter: number } | { readonly fileReference: string } {
  if (letter !== undefined && fileReference === undefined) return { letter };
  if (letter === undefined && fileReference !== undefined) return { fileReference };
  throw new Error('a hold is for one letter, or for one file reference');
}

async function approver(
  authenticator: Authenticator,
  { tenant, login, password }: { tenant: string; login: string; password: string },
): Promise<Actor> {
  const principal = await authenticator.login(login, password, 'control socket');
  if (!mayErase(principal.tenant, tenant, principal.user.login))
    throw new Error(`retention.approvers of ${tenant} does not name ${principal.user.login}`);
  return { type: 'user', name: principal.user.login };
}

function mayErase({ id, retention }: TenantConfig, tenant: string, login: string): boolean {
  return id === tenant && retention.approvers.includes(login);
}
