/** Looking is itself recorded: by the running gateway, or, where none runs, by the command. */
import type { AccessEntry } from '../evidence/entry.ts';
import { openCommandStore } from './command-store.ts';
import type { Context } from './context.ts';
import { connectToGateway } from './control.ts';
import { operator } from './operator.ts';
import type { StorePlace } from './place.ts';
import { openReader } from './reader.ts';

export async function recordAccess(
  context: Context,
  place: StorePlace,
  tenants: readonly string[],
  action: AccessEntry['action'],
  query: string,
): Promise<void> {
  const access = { actor: operator(), action, query: query.slice(0, 2000) };
  using gateway = await connectToGateway(place.data);
  const store = gateway === null ? await openCommandStore(place) : null;
  try {
    for (const tenant of tenants) {
      // Evidence can be looked at while its log is held, and only then without a trace.
      if (await isHeld(place, tenant)) context.warn(`${tenant}: not recorded, its log is held`);
      else if (gateway !== null) await gateway.ask({ command: 'record-access', tenant, access });
      else await store?.recordAccess(tenant, access);
    }
  } finally {
    await store?.[Symbol.asyncDispose]();
  }
}

async function isHeld({ paths }: StorePlace, tenant: string): Promise<boolean> {
  using reader = openReader(paths);
  return (await reader.holds(tenant)).length > 0;
}
