/** Placing a private message that waits. */
import type { PlacedEntry } from '../../../evidence/entry.ts';
import type { MessageIndex } from '../../../mime/types.ts';
import type { WriteContext } from '../write-context.ts';
import { deposit } from './deposit.ts';
import { queueForward, type WireForward } from './queue-forward.ts';
import type { WireDeposit } from './wire.ts';

export interface WirePlaced {
  readonly body: Omit<PlacedEntry, 'kind' | 'delivered' | 'forwarded'>;
  readonly deposits: readonly WireDeposit[];
  readonly forward: WireForward | null;
}

export function placeWaiting(
  context: WriteContext,
  tenant: string,
  { body, deposits, forward }: WirePlaced,
): boolean {
  const { sql } = context;
  const waiting = sql(
    `SELECT h.address, o.object, o.size, o.structure FROM waiting_private h
     JOIN object o ON o.tenant = h.tenant AND o.object = h.object WHERE h.tenant = ? AND h.idx = ?`,
  ).all(tenant, body.about) as { address: string; object: string; size: number; structure: string }[];
  const addresses = body.addresses.filter((wanted) => waiting.some(({ address }) => address === wanted));
  const [first] = waiting;
  if (first === undefined || addresses.length === 0) return false;
  const index = JSON.parse(first.structure) as MessageIndex;
  const message = { object: first, messageId: index.root.envelope?.messageId?.slice(0, 998) ?? null };
  const delivered = deposit(context, tenant, deposits, message);
  const entry = context.append(tenant, {
    kind: 'placed',
    ...body,
    addresses,
    delivered,
    forwarded: forward?.recipients ?? [],
  });
  if (forward !== null) {
    const busy = sql('SELECT 1 FROM forward WHERE tenant = ? AND letter = ?').get(tenant, body.about);
    // One forwarding per entry: while an earlier one is under way, this one goes by its own.
    queueForward(context, tenant, busy === undefined ? body.about : entry.index, forward, first);
  }
  return true;
}
