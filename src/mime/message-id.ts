/**
 * The single msg-id that a value is, or null: nothing else may stand in the fields that thread messages. Others write
 * the value, so it may hold anything.
 */
export function messageIdOf(value: string | null | undefined): string | null {
  // With its field name within a line of RFC 5322 2.1.1.
  return /^<[!-;=?-~]{1,900}>$/.exec(value?.trim() ?? '')?.[0] ?? null;
}
