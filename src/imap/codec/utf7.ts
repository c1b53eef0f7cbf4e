/** Modified UTF-7 for mailbox names (RFC 3501 5.1.3). One spelling per name: decode accepts only what encode writes. */

/** Unicode → modified UTF-7. Unpaired surrogates become U+FFFD. */
export function encodeUtf7(name: string): string {
  let out = '';
  let shifted = '';
  for (const char of name.toWellFormed()) {
    if (char >= ' ' && char <= '~') {
      out += flush(shifted);
      shifted = '';
      out += char === '&' ? '&-' : char;
    } else shifted += char;
  }
  return out + flush(shifted);
}

/** Modified UTF-7 → Unicode; null where it is not the canonical spelling of any name. */
export function decodeUtf7(text: string): string | null {
  let out = '';
  let at = 0;
  while (at < text.length) {
    const char = text[at]!;
    if (char < ' ' || char > '~') return null;
    if (char !== '&') {
      out += char;
      at++;
      continue;
    }
    const end = text.indexOf('-', at);
    if (end < 0) return null;
    const run = end === at + 1 ? '&' : decodeRun(text.slice(at + 1, end));
    if (run === null) return null;
    out += run;
    at = end + 1;
  }
  return encodeUtf7(out) === text ? out : null;
}

function flush(shifted: string): string {
  if (shifted === '') return '';
  const bytes = Buffer.from(shifted, 'utf16le').swap16();
  return `&${bytes.toString('base64').replaceAll('/', ',').replaceAll('=', '')}-`;
}

function decodeRun(run: string): string | null {
  if (!/^[A-Za-z0-9+,]+$/.test(run)) return null;
  const bytes = Buffer.from(run.replaceAll(',', '/'), 'base64');
  if (bytes.length === 0 || bytes.length % 2 !== 0) return null;
  const name = bytes.swap16().toString('utf16le');
  return name.isWellFormed() ? name : null;
}
