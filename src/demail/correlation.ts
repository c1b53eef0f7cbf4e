/** By what a confirmation or notification may be matched to a letter. The looking up is not done here. */
import type { Confirmation } from './confirmation.ts';
import type { Metadata } from './metadata.ts';

interface CorrelationKey {
  readonly by: 'private-id' | 'message-id';
  readonly value: string;
}

export interface Correlation {
  /** To be looked up in this order; the first that is known names the transaction. */
  readonly keys: readonly CorrelationKey[];
  /**
   * Header and signed XML name different private-ids. A recipient can read a private-id and put it into
   * another message, so such a match is not to be trusted without a look.
   */
  readonly conflict: boolean;
}

/**
 * Keys of a fetched message: the private-id of its header, that among the original's metadata, then the
 * original's provider message id. `confirmation` is null where the XML could not be read or there is none.
 */
export function correlate(metadata: Metadata, confirmation: Confirmation | null): Correlation {
  const privateIds = [metadata.privateId, confirmation?.originalPrivateId].filter(isGiven);
  const keys: CorrelationKey[] = [...new Set(privateIds)].map((value) => ({ by: 'private-id', value }));
  const messageId = confirmation?.originalMessageId;
  if (isGiven(messageId)) keys.push({ by: 'message-id', value: messageId });
  return { keys, conflict: new Set(privateIds).size > 1 };
}

function isGiven(value: string | null | undefined): value is string {
  return value !== null && value !== undefined && value !== '';
}
