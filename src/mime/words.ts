/** Encoded words (RFC 2047) and encoded parameters (RFC 2231): text in headers beyond ASCII. */
import iconv from 'iconv-lite';

/** Longest value that is decoded; what is longer comes back as it is. */
const MAX_VALUE = 64 * 1024;

const word = /=\?([!#-'*+\-.\w^`{|}~]{1,75})\?([bBqQ])\?([^? ]{0,2000})\?=/g;

/** Decodes the encoded words of a value; white space between two of them vanishes (RFC 2047 6.2). Total. */
export function decodeWords(value: string): string {
  if (value.length > MAX_VALUE || !value.includes('=?')) return value;
  let text = '';
  let at = 0;
  // Neighbours of one charset are decoded together: encoders cut characters in two.
  let run: { charset: string; bytes: Buffer[] } | null = null;
  const flush = () => {
    if (run !== null) text += decodeCharset(Buffer.concat(run.bytes), run.charset);
    run = null;
  };
  for (const match of value.matchAll(word)) {
    const between = value.slice(at, match.index);
    const charset = match[1]!.split('*')[0]!.toLowerCase();
    const bytes = /^[bB]$/.test(match[2]!) ? Buffer.from(match[3]!, 'base64') : decodeQ(match[3]!);
    if (run !== null && between.trim() === '') {
      if (run.charset !== charset) flush();
    } else {
      flush();
      text += between;
    }
    run ??= { charset, bytes: [] };
    run.bytes.push(bytes);
    at = match.index + match[0].length;
  }
  flush();
  return text + value.slice(at);
}

/**
 * A value for an unstructured field: unchanged where it is printable ASCII that no reader takes for an
 * encoded word, else encoded words of at most 75 characters, parted by single spaces.
 */
export function encodeWords(text: string): string {
  if (/^[\t -~]*$/.test(text) && !text.includes('=?')) return text;
  const words: string[] = [];
  let chunk = '';
  for (const char of text) {
    // 45 bytes make 60 characters of base64; with `=?utf-8?B?…?=` that is 72.
    if (Buffer.byteLength(chunk) + Buffer.byteLength(char) > 45) {
      words.push(chunk);
      chunk = '';
    }
    chunk += char;
  }
  words.push(chunk);
  return words.map((part) => `=?utf-8?B?${Buffer.from(part, 'utf8').toString('base64')}?=`).join(' ');
}

/** A display name: atoms as they are, other ASCII as a quoted string, the rest as encoded words. */
export function encodePhrase(name: string): string {
  if (!/^[\t -~]*$/.test(name) || name.includes('=?')) return encodeWords(name);
  return /^[\w!#$%&'*+\-/=?^`{|}~ ]+$/.test(name) ? name : `"${name.replace(/["\\]/g, '\\$&')}"`;
}

/**
 * The decoded value of a parameter: RFC 2231 with charset and continuations, else encoded words as many
 * clients (wrongly) put them there, else as it stands. Undefined where it is missing.
 */
export function decodeParameter(
  params: readonly (readonly [string, string])[],
  name: string,
): string | undefined {
  const whole = params.find(([key]) => key === `${name}*`)?.[1];
  if (whole !== undefined) return decodeExtended([[whole, true]]);
  const pieces: [string, boolean][] = [];
  for (let n = 0; n < params.length; n += 1) {
    const piece = params.find(([key]) => key === `${name}*${n}` || key === `${name}*${n}*`);
    if (piece === undefined) break;
    pieces.push([piece[1], piece[0].endsWith('*')]);
  }
  if (pieces.length > 0) return decodeExtended(pieces);
  const plain = params.find(([key]) => key === name)?.[1];
  return plain === undefined ? undefined : decodeWords(plain);
}

/** `charset'language'value`, the first piece naming the charset of all. */
function decodeExtended(pieces: readonly (readonly [string, boolean])[]): string {
  const [first, extended] = pieces[0]!;
  const parts = extended ? /^([^']{0,75})'[^']{0,75}'/.exec(first) : null;
  const bytes = pieces.map(([value, encoded], index) => {
    const text = index === 0 && parts !== null ? value.slice(parts[0].length) : value;
    return encoded ? percentDecode(text) : Buffer.from(text, 'utf8');
  });
  return decodeCharset(Buffer.concat(bytes), (parts?.[1] || 'utf-8').toLowerCase());
}

function percentDecode(text: string): Buffer {
  const source = Buffer.from(text, 'utf8');
  return unescapeBytes(source, 0x25);
}

function decodeQ(text: string): Buffer {
  return unescapeBytes(Buffer.from(text.replaceAll('_', ' '), 'utf8'), 0x3d);
}

/** Replaces `<mark>HH` by the byte; anything else stays. */
function unescapeBytes(source: Buffer, mark: number): Buffer {
  const out = Buffer.allocUnsafe(source.length);
  let length = 0;
  for (let i = 0; i < source.length; i += 1) {
    const hex = source[i] === mark ? source.toString('latin1', i + 1, i + 3) : '';
    if (/^[0-9a-fA-F]{2}$/.test(hex)) {
      out[length] = Number.parseInt(hex, 16);
      i += 2;
    } else {
      out[length] = source[i]!;
    }
    length += 1;
  }
  return out.subarray(0, length);
}

/** Text of `bytes` in `charset`; ISO-8859-1 where the charset is unknown, so that nothing is lost. */
function decodeCharset(bytes: Buffer, charset: string): string {
  if (charset === 'utf-8' || charset === 'us-ascii') return bytes.toString('utf8');
  return iconv.encodingExists(charset) ? iconv.decode(bytes, charset) : bytes.toString('latin1');
}
