/**
 * Dispatch options from what an unchanged mail client already has. Layers in falling order: the norm's own
 * headers (applications alone), tags in the subject, the client's controls, the tenant's defaults. A layer
 * speaks only of the options it names, yes or no; about the others the next layer decides.
 */
import { type DispatchOption, dispatchOptions, type OptionSource } from '../evidence/entry.ts';
import { findField, type HeaderField } from '../mime/header.ts';
import { decodeWords } from '../mime/words.ts';
import { optionHeaders } from './options.ts';
import { readSubjectTags } from './subject-tags.ts';

export interface OptionSettings {
  readonly default: readonly DispatchOption[];
  /** A read receipt asks for a retrieval confirmation, which makes the De-Mail private. */
  readonly fromReadReceipt: boolean;
  /** High importance makes the De-Mail authoritative. */
  readonly fromImportance: boolean;
}

export interface ControlsInput {
  readonly fields: readonly HeaderField[];
  /** Some recipient was given with NOTIFY=SUCCESS (RFC 3461 4.1). */
  readonly deliveryReceipt: boolean;
  readonly role: 'staff' | 'application';
  readonly settings: OptionSettings;
}

export interface Choice {
  readonly option: DispatchOption;
  readonly by: OptionSource;
  /** The words of the control, as they stood there. */
  readonly value?: string;
}

export interface Controls {
  /** Options that are chosen, in the order of `dispatchOptions`, each with the control that decided. */
  readonly chosen: readonly Choice[];
  readonly fileReference?: string;
  /** Option headers that are not honoured because the sender is no application. */
  readonly ignored: readonly HeaderField[];
  /** A word in a `[De-Mail: …]` tag that is no option: to go on without it would send something else. */
  readonly unknownWord?: string;
}

type Said = { readonly says: boolean; readonly value?: string };
type Layer = { readonly by: OptionSource; readonly of: ReadonlyMap<DispatchOption, Said> };

const MAX_REFERENCE = 200;
const optionHeaderNames: ReadonlySet<string> = new Set(
  Object.values(optionHeaders).map((name) => name.toLowerCase()),
);

/** Total and pure. Only the topmost field of a name counts. */
export function readControls({ fields, deliveryReceipt, role, settings }: ControlsInput): Controls {
  const subject = decodeWords(findField(fields, 'subject')?.value ?? '');
  const tags = readSubjectTags(subject);
  const layers: Layer[] = [
    { by: 'header', of: role === 'application' ? fromHeaders(fields) : new Map() },
    {
      by: 'subject-tag',
      of: new Map(tags.options.map(({ option, says, word }) => [option, { says, value: word }])),
    },
    ...clientLayers(fields, deliveryReceipt, settings),
    { by: 'default', of: new Map(settings.default.map((option) => [option, { says: true }])) },
  ];
  const chosen = dispatchOptions.flatMap((option): Choice[] => {
    const layer = layers.find(({ of }) => of.has(option));
    const said = layer?.of.get(option);
    if (layer === undefined || !said?.says) return [];
    return [{ option, by: layer.by, ...(said.value !== undefined && { value: said.value.slice(0, 200) }) }];
  });
  const reference =
    clean(decodeWords(findField(fields, 'x-aktenzeichen')?.value ?? '')) || clean(tags.fileReference ?? '');
  return {
    chosen: withImplied(chosen),
    ...(reference !== '' && { fileReference: reference }),
    ignored: role === 'application' ? [] : fields.filter(({ lower }) => optionHeaderNames.has(lower)),
    ...(tags.unknownWord !== undefined && { unknownWord: tags.unknownWord }),
  };
}

/** TR-01201 FU 3.3: a De-Mail with a retrieval confirmation is private, whatever anybody says. */
export function withImplied(chosen: readonly Choice[]): readonly Choice[] {
  const has = (option: DispatchOption) => chosen.some((choice) => choice.option === option);
  return has('retrieval') && !has('private') ? [...chosen, { option: 'private', by: 'implied' }] : chosen;
}

/** Values are case-sensitive: `yes` alone means yes (TR-01201 IO 3.1). */
function fromHeaders(fields: readonly HeaderField[]): ReadonlyMap<DispatchOption, Said> {
  return new Map(
    dispatchOptions.flatMap((option) => {
      const value = findField(fields, optionHeaders[option].toLowerCase())?.value;
      return value === undefined ? [] : [[option, { says: value === 'yes', value }] as const];
    }),
  );
}

function clientLayers(
  fields: readonly HeaderField[],
  deliveryReceipt: boolean,
  settings: OptionSettings,
): Layer[] {
  const value = (lower: string) => findField(fields, lower)?.value;
  const yes = (by: OptionSource, option: DispatchOption, words: string | undefined): Layer[] =>
    words === undefined ? [] : [{ by, of: new Map([[option, { says: true, value: words }]]) }];
  // RFC 4021 2.1.55: Sensitivity is one of these three, or absent for normal mail.
  const sensitivity = value('sensitivity');
  const isSensitive = /^(personal|private|company-confidential)$/i.test(sensitivity ?? '');
  const importance = value('importance') ?? value('x-priority');
  const isHigh =
    /^high$/i.test(value('importance') ?? '') || /^[12]\b/.test(value('x-priority')?.trim() ?? '');
  return [
    ...yes('delivery-receipt', 'receipt', deliveryReceipt ? 'NOTIFY=SUCCESS' : value('return-receipt-to')),
    ...yes('sensitivity', 'private', isSensitive ? sensitivity : undefined),
    ...yes(
      'read-receipt',
      'retrieval',
      settings.fromReadReceipt ? value('disposition-notification-to') : undefined,
    ),
    ...yes('importance', 'authoritative', settings.fromImportance && isHigh ? importance : undefined),
  ];
}

function clean(text: string): string {
  return text
    .replace(/\p{Cc}/gu, ' ')
    .trim()
    .slice(0, MAX_REFERENCE);
}
