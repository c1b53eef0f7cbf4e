/** Which dispatch options a letter gets, or by which rule of tenant, user or norm it cannot have them. */
import type { TenantConfig, UserConfig } from '../config/schema.ts';
import { type Choice, type Controls, readControls, withImplied } from '../demail/client-controls.ts';
import { needsLevelHigh } from '../demail/options.ts';
import { type DispatchOption, dispatchOptions } from '../evidence/entry.ts';
import type { HeaderField } from '../mime/header.ts';
import type { ContentError } from './content-policy.ts';
import { optionText } from './texts.ts';

export interface Asking {
  readonly fields: readonly HeaderField[];
  readonly tenant: TenantConfig;
  /** Undefined for a relay. */
  readonly user: UserConfig | undefined;
  readonly role: 'staff' | 'application';
  /** De-Mail address that the letter is sent from. */
  readonly sender: string;
  /** A delivery receipt was asked for by NOTIFY=SUCCESS. */
  readonly deliveryReceipt: boolean;
}

export interface ChosenOptions {
  readonly options: readonly DispatchOption[];
  readonly optionSources: readonly Choice[];
  readonly fileReference?: string;
  readonly ignored: Controls['ignored'];
}

/** The options of a letter, or why it cannot have them. Pure. */
export function chooseOptions(asking: Asking): ChosenOptions | ContentError {
  const { tenant, user, sender } = asking;
  const controls = readControls({ ...asking, settings: tenant.options });
  if (controls.unknownWord !== undefined) return { code: 'option-unknown', detail: controls.unknownWord };
  const permitted = user?.permittedOptions ?? tenant.options.permitted;
  const pseudonym = isPseudonym(sender);
  // A default that this sender may not use is no reason to refuse what they did not ask for.
  const chosen = withImplied(
    controls.chosen.filter(
      ({ option, by }) =>
        by !== 'default' ||
        ((user?.permittedOptions ?? [option]).includes(option) && !(pseudonym && option === 'authoritative')),
    ),
  );
  for (const { option, by } of chosen) {
    if (by !== 'implied' && !permitted.includes(option))
      return { code: 'option-not-permitted', detail: optionText(option, by) };
    if (needsLevelHigh(option) && tenant.provider.authLevel !== 'high') {
      return { code: 'option-needs-high', detail: optionText(option, by) };
    }
    if (option === 'authoritative' && pseudonym)
      return { code: 'option-pseudonym', detail: optionText(option, by) };
  }
  return {
    options: dispatchOptions.filter((option) => chosen.some((choice) => choice.option === option)),
    optionSources: chosen,
    ...(controls.fileReference !== undefined && { fileReference: controls.fileReference }),
    ignored: controls.ignored,
  };
}

/** TR-01201 FU 3.3: pseudonym addresses begin with `pn_`. */
function isPseudonym(address: string): boolean {
  return /^pn_/i.test(address);
}
