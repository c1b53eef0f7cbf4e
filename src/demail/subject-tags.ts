/** Tags in a subject: `[De-Mail: persönlich, absenderbestätigt]`, `[Abholbestätigung]`, `[Az: 12/2026]`. */
import type { DispatchOption } from '../evidence/entry.ts';
import { findField, type HeaderField } from '../mime/header.ts';
import { decodeWords, encodeWords } from '../mime/words.ts';

export interface SubjectTags {
  readonly options: readonly {
    readonly option: DispatchOption;
    readonly says: boolean;
    readonly word: string;
  }[];
  readonly fileReference?: string;
  /** First word of a `[De-Mail: …]` tag that names no option, or contradicts an earlier one. */
  readonly unknownWord?: string;
  /** The subject without option tags; the file reference stays, so that answers carry it too. */
  readonly subject: string;
}

/** After `plain`. German as the client's own words have it, English for those who think in it. */
const words: ReadonlyMap<string, DispatchOption> = new Map([
  ['versandbestaetigung', 'dispatch'],
  ['dispatch', 'dispatch'],
  ['eingangsbestaetigung', 'receipt'],
  ['zugangsbestaetigung', 'receipt'],
  ['receipt', 'receipt'],
  ['abholbestaetigung', 'retrieval'],
  ['retrieval', 'retrieval'],
  ['absenderbestaetigt', 'authoritative'],
  ['absenderbestaetigung', 'authoritative'],
  ['authoritative', 'authoritative'],
  ['persoenlich', 'private'],
  ['private', 'private'],
]);

/** No brackets inside, and short: linear on any subject. */
const bracket = /\[([^[\]]{1,200})\]/g;
const prefix = /^\s*de-?mail\s*:/i;
const reference = /^\s*(?:az|aktenzeichen)\s*[:.]\s*(\S.*)$/i;

/** Total. `subject` is decoded (RFC 2047). */
export function readSubjectTags(subject: string): SubjectTags {
  const found = new Map<DispatchOption, { says: boolean; word: string }>();
  let fileReference: string | undefined;
  let unknownWord: string | undefined;
  const rest = subject.replace(bracket, (whole, content: string) => {
    const az = reference.exec(content);
    if (az !== null) {
      fileReference ??= az[1]!.trim();
      return whole;
    }
    const named = prefix.exec(content);
    const list = content
      .slice(named?.[0].length ?? 0)
      .split(/[,;]/)
      .map((word) => word.trim());
    const read = list.filter((word) => word !== '').map((word) => ({ word, ...readWord(word) }));
    // Brackets of other people's making stay: without the prefix every word must be an option.
    if (named === null && (read.length === 0 || read.some(({ option }) => option === undefined)))
      return whole;
    for (const { word, option, says } of read) {
      const before = option === undefined ? undefined : found.get(option);
      if (option === undefined || (before !== undefined && before.says !== says)) unknownWord ??= word;
      else if (before === undefined) found.set(option, { says, word });
    }
    return '';
  });
  return {
    options: [...found].map(([option, said]) => ({ option, ...said })),
    ...(fileReference !== undefined && { fileReference }),
    ...(unknownWord !== undefined && { unknownWord }),
    subject: rest === subject ? subject : rest.replace(/ {2,}/g, ' ').trim(),
  };
}

/**
 * The value of the Subject as it is sent, where tags have to come out of it; undefined where it stays. Encoded
 * anew as a whole: a tag may lie across encoded words.
 */
export function subjectAsSent(
  fields: readonly HeaderField[],
): { field: HeaderField; value: string } | undefined {
  const field = findField(fields, 'subject');
  if (field === undefined) return undefined;
  const decoded = decodeWords(field.value);
  const { subject } = readSubjectTags(decoded);
  return subject === decoded ? undefined : { field, value: encodeWords(subject.replace(/\p{Cc}/gu, ' ')) };
}

/** `keine Eingangsbestätigung`, `ohne …` and `nicht …` say no. */
function readWord(word: string): { option: DispatchOption | undefined; says: boolean } {
  const [, no, rest] = /^(?:(keine?|ohne|nicht|no|not)\s+)?(.*)$/is.exec(word)!;
  return { option: words.get(plain(rest!)), says: no === undefined };
}

function plain(word: string): string {
  return word
    .normalize('NFC')
    .toLowerCase()
    .replace(/ä/g, 'ae')
    .replace(/ö/g, 'oe')
    .replace(/ü/g, 'ue')
    .replace(/ß/g, 'ss')
    .trim();
}
