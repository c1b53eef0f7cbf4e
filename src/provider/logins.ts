/** Every login with legal effect leaves two entries: one before it is tried, one that says what came of it. */
import type { ProviderConfig } from '../config/schema.ts';
import type { Actor } from '../evidence/entry.ts';
import type { Store } from '../store/store.ts';
import { legalEffect, type Protocol } from './gate.ts';

export interface Occasion {
  readonly actor: Actor;
  readonly reason: string;
}

export type LoginRecorder = Pick<Store, 'recordLoginIntent' | 'recordLoginOutcome'>;

export interface Login {
  /** The first call counts; later ones change nothing. */
  conclude(result: 'logged-in' | 'failed' | 'unknown', detail: string): Promise<void>;
}

export const byGateway = (reason: string): Occasion => ({
  actor: { type: 'gateway', name: 'provider link' },
  reason,
});

/**
 * Resolves after the commit of the intent, so that no login can go unrecorded. Where a login has no legal effect
 * (level normal) nothing is written.
 * @throws what the store throws: then nobody may log in
 */
export async function beginLogin(
  { store, tenant }: { readonly store: LoginRecorder; readonly tenant: string },
  provider: ProviderConfig,
  protocol: Protocol,
  occasion: Occasion,
): Promise<Login> {
  if (!legalEffect(provider, protocol)) return { conclude: async () => {} };
  const { account } = provider;
  const { index } = await store.recordLoginIntent(tenant, { account, protocol, level: 'high', ...occasion });
  let concluded = false;
  return {
    async conclude(result, detail) {
      if (concluded) return;
      concluded = true;
      await store.recordLoginOutcome(tenant, { account, protocol, intent: index, result, detail });
    },
  };
}

/** Whether the provider saw a login that failed here. Only what never reached it is certain. */
export function resultOfFailure(error: unknown): 'failed' | 'unknown' {
  const { code, authenticationFailed } = error as { code?: unknown; authenticationFailed?: unknown };
  const neverReached = ['ECONNREFUSED', 'ENOTFOUND', 'EHOSTUNREACH', 'ENETUNREACH', 'EAI_AGAIN', 'EAUTH'];
  return authenticationFailed === true || neverReached.includes(String(code)) ? 'failed' : 'unknown';
}

/** Longest text about what was picked up, in characters. */
const longestList = 1_000;

/** `nothing picked up` or `picked up 4: stadt/7-9, stadt/12`. Ascending or not, neighbours are joined. */
export function pickedUpText(tenant: string, indexes: readonly number[]): string {
  if (indexes.length === 0) return 'nothing picked up';
  const runs: { first: number; last: number }[] = [];
  for (const index of [...indexes].sort((a, b) => a - b)) {
    const run = runs.at(-1);
    if (run !== undefined && run.last + 1 === index) run.last = index;
    else runs.push({ first: index, last: index });
  }
  const named = runs.map(({ first, last }) => `${tenant}/${first}${last > first ? `-${last}` : ''}`);
  const text = `picked up ${indexes.length}: ${named.join(', ')}`;
  return text.length <= longestList
    ? text
    : `${text.slice(0, text.lastIndexOf(', ', longestList))} and more, up to ${tenant}/${runs.at(-1)!.last}`;
}
