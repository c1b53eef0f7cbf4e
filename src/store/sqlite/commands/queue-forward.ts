/** Copies for the tenant's own server. */
import type { WriteContext } from '../write-context.ts';

export interface WireForward {
  readonly recipients: readonly string[];
  readonly prefix: Uint8Array;
}

export function queueForward(
  context: WriteContext,
  tenant: string,
  index: number,
  forward: WireForward,
  object: { readonly object: string; readonly size: number },
): void {
  context
    .sql(
      `INSERT INTO forward (tenant, letter, recipients, prefix, object, size, state, attempts, accepted_at, next_attempt, last_reply) VALUES (?, ?, ?, ?, ?, ?, 'queued', 0, ?, ?, NULL)`,
    )
    .run(
      tenant,
      index,
      JSON.stringify(forward.recipients),
      Buffer.from(forward.prefix),
      object.object,
      forward.prefix.length + object.size,
      context.now,
      context.now,
    );
  context.changes.push({ topic: 'forward', tenant });
}
