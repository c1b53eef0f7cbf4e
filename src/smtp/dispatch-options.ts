/**
 * Which dispatch options a letter gets: what the client set in the norm's own headers, else the tenant's
 * defaults; checked against what tenant and user may use and against the account's level.
 */

import type { TenantConfig, UserConfig } from '../config/schema.ts';
import { needsLevelHigh, readOptions, saysOption } from '../demail/options.ts';
import type { ErrorCode } from '../errors.ts';
import { type DispatchOption, dispatchOptions } from '../evidence/entry.ts';
import type { HeaderField } from '../mime/header.ts';

/**
 * The options of a letter, or why it cannot have them. A header says yes or no for its own option alone. Pure.
 */
export function chooseOptions(
  fields: readonly HeaderField[],
  tenant: TenantConfig,
  user: UserConfig | undefined,
): { readonly options: readonly DispatchOption[] } | { readonly code: ErrorCode; readonly detail: string } {
  const asked = readOptions(fields);
  const chosen = new Set(
    dispatchOptions.filter((option) => {
      if (saysOption(fields, option)) return asked.includes(option);
      // A default that this user may not use is no reason to refuse what they did not ask for.
      return tenant.options.default.includes(option) && (user?.permittedOptions ?? [option]).includes(option);
    }),
  );
  for (const option of chosen) {
    const permitted = user?.permittedOptions ?? tenant.options.permitted;
    if (!permitted.includes(option)) return { code: 'option-not-permitted', detail: option };
    if (needsLevelHigh(option) && tenant.provider.authLevel !== 'high') {
      return { code: 'option-needs-high', detail: option };
    }
  }
  // TR-01201 FU 3.3: a mail with a retrieval confirmation is private.
  if (chosen.has('retrieval')) chosen.add('private');
  return { options: dispatchOptions.filter((option) => chosen.has(option)) };
}
