/** Words in the characters that every SMTP client reads. */

const written: Readonly<Record<string, string>> = {
  ä: 'ae',
  ö: 'oe',
  ü: 'ue',
  Ä: 'Ae',
  Ö: 'Oe',
  Ü: 'Ue',
  ß: 'ss',
  ẞ: 'SS',
  '„': '"',
  '“': '"',
  '”': '"',
  '’': "'",
  '–': '-',
};

/**
 * Printable ASCII on one line: a reply must not hold anything else for a client that did not ask for SMTPUTF8
 * (RFC 6531 3.5, 3.7.4.1), which this listener does not offer. Total; what has no such form becomes `?`.
 */
export function toAscii(text: string): string {
  return text
    .normalize('NFC')
    .replace(/[äöüÄÖÜßẞ„“”’–]/g, (character) => written[character]!)
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .replace(/[^ -~]/gu, '?');
}
