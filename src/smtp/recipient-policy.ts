/** Whom a mail, and what is said about it, may go to: De-Mail addresses alone (TR-01201 GS 10: no leak to the internet). */
import type { TenantConfig } from '../config/schema.ts';
import type { Directory } from '../directory/directory.ts';
import type { ErrorCode } from '../errors.ts';
import { parseAddressList } from '../mime/address.ts';
import type { HeaderField } from '../mime/header.ts';
import type { ContentError } from './content-policy.ts';

/** The recipient in the form that is kept (lower case, TR-01201 ACM), or why not. Pure. */
export function checkRecipient(directory: Directory, address: string): { address: string } | ErrorCode {
  const lower = address.toLowerCase();
  return directory.isDemailAddress(lower) ? { address: lower } : 'recipient-outside-demail';
}

/**
 * Confirmations go to Reply-To (TR-01201 IO 3.5): nobody sees those that this tenant's account does not fetch. An
 * internal address counts where it has a De-Mail form, in which it is handed over. Pure.
 */
export function checkReplyTo(
  directory: Directory,
  tenant: TenantConfig,
  fields: readonly HeaderField[],
): ContentError | undefined {
  for (const field of fields.filter(({ lower }) => lower === 'reply-to')) {
    const addresses = parseAddressList(field.value).map((mailbox) => mailbox.address);
    const outside = addresses.find((address) => {
      const demail = directory.toDemail(tenant, address) ?? address;
      return !directory.isDemailAddress(demail) || directory.tenantOfAddress(demail) !== tenant;
    });
    // Without an address, or with one that cannot be read, nobody knows where they would go.
    if (addresses.length === 0) return { code: 'reply-to-outside-demail', detail: '-' };
    if (outside !== undefined) return { code: 'reply-to-outside-demail', detail: outside.slice(0, 100) };
  }
  return undefined;
}
