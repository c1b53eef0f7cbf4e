/** What the malware scanner holds up: messages refused, and copies that wait for it. */
import type { RefusedEntry, ScanEntry } from '../../../evidence/entry.ts';
import type { WriteContext } from '../write-context.ts';
import { deposit } from './deposit.ts';
import { insertMessage } from './object.ts';
import { queueForward, type WireForward } from './queue-forward.ts';
import { factOf, type WireDeposit, type WireMessage } from './wire.ts';

export interface WireRefusal {
  readonly body: Omit<RefusedEntry, 'kind' | 'message'>;
  readonly message: WireMessage;
}

export function recordRefusal(
  context: WriteContext,
  tenant: string,
  { body, message }: WireRefusal,
): { index: number } {
  insertMessage(context, tenant, message);
  const entry = context.append(tenant, { kind: 'refused', ...body, message: factOf(message.object) });
  return { index: entry.index };
}

/** Copies as the table keeps them: bytes in base64. */
interface KeptCopies {
  readonly object: string;
  readonly deposits: readonly WireDeposit[];
  readonly forward: WireForward | null;
}

/** Keeps the copies of a message that is not scanned yet. */
export function hold(
  context: WriteContext,
  tenant: string,
  index: number,
  { object, deposits, forward }: KeptCopies,
): void {
  context
    .sql('INSERT INTO held (tenant, idx, object, copies, forward, next_attempt) VALUES (?, ?, ?, ?, ?, ?)')
    .run(
      tenant,
      index,
      object,
      JSON.stringify(deposits.map((d) => ({ ...d, prefix: toBase64(d.prefix) }))),
      forward === null ? null : JSON.stringify({ ...forward, prefix: toBase64(forward.prefix) }),
      context.now,
    );
}

export interface WireScan {
  readonly body: Omit<ScanEntry, 'kind' | 'delivered'>;
  readonly deposits: readonly WireDeposit[];
  readonly forward: WireForward | null;
}

export function recordScan(
  context: WriteContext,
  tenant: string,
  { body, deposits, forward }: WireScan,
): boolean {
  const { sql } = context;
  const row = sql(
    'SELECT h.object, o.size, o.structure FROM held h JOIN object o ON o.tenant = h.tenant AND o.object = h.object WHERE h.tenant = ? AND h.idx = ?',
  ).get(tenant, body.about) as { object: string; size: number; structure: string } | undefined;
  if (row === undefined) return false;
  const delivered = deposit(context, tenant, deposits, {
    object: row,
    messageId: JSON.parse(row.structure).root.envelope?.messageId?.slice(0, 998) ?? null,
  });
  context.append(tenant, { kind: 'scan', ...body, delivered });
  sql('DELETE FROM held WHERE tenant = ? AND idx = ?').run(tenant, body.about);
  if (forward !== null) queueForward(context, tenant, body.about, forward, row);
  return true;
}

export function planScan(
  context: WriteContext,
  tenant: string,
  { index, nextAttempt }: { index: number; nextAttempt: number },
): void {
  context
    .sql('UPDATE held SET next_attempt = ? WHERE tenant = ? AND idx = ?')
    .run(nextAttempt, tenant, index);
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
