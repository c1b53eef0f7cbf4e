/** Whom a mail may go to: De-Mail addresses, and nobody else (TR-01201 GS 10: no leak to the internet). */
import type { Directory } from '../directory/directory.ts';
import type { ErrorCode } from '../errors.ts';

/** The recipient in the form that is kept (lower case, TR-01201 ACM), or why not. Pure. */
export function checkRecipient(directory: Directory, address: string): { address: string } | ErrorCode {
  const lower = address.toLowerCase();
  return directory.isDemailAddress(lower) ? { address: lower } : 'recipient-outside-demail';
}
