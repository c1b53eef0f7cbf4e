/** Writing header fields: folded where they may be, never a line of more than 998 bytes (RFC 5322 2.1.1). */

const PREFERRED = 78;
const MAXIMUM = 998;

/** Where a value may be folded: at its white space, nowhere, or between the given pieces as well. */
export type FieldValue = string | { readonly unfolded: string } | readonly string[];

/**
 * One header field with its CRLF. A string is folded before white space, so that unfolding gives it back
 * exactly; pieces may be parted by a fold, which then reads as one space. Text is written as it is: encode
 * it first.
 *
 * @throws RangeError for a name that is none, for control characters in the value (header injection), and
 *   for a value that cannot be kept within 998 bytes a line.
 */
export function writeField(name: string, value: FieldValue): string {
  if (!/^[!-9;-~]{1,76}$/.test(name))
    throw new RangeError(`header field name ${JSON.stringify(name)} is not valid`);
  const pieces = piecesOf(value);
  for (const piece of pieces) {
    // A tab is white space; every other control character could end the field or hide something in it.
    if (/\p{Cc}/u.test(piece.replaceAll('\t', ' '))) {
      throw new RangeError(`value of header field ${name} contains control characters; remove them`);
    }
  }
  const lines: string[] = [];
  let line = `${name}:`;
  let first = true;
  for (const piece of pieces) {
    const text = first && !/^[ \t]/.test(piece) ? ` ${piece}` : piece;
    const limit = first ? MAXIMUM : PREFERRED;
    if (Buffer.byteLength(line + text) > limit) {
      lines.push(line);
      line = /^[ \t]/.test(text) ? text : ` ${text}`;
    } else {
      line += text;
    }
    if (Buffer.byteLength(line) > MAXIMUM) {
      throw new RangeError(
        `value of header field ${name} has a word of more than ${MAXIMUM} bytes; shorten it`,
      );
    }
    first = false;
  }
  lines.push(line);
  return `${lines.join('\r\n')}\r\n`;
}

/** The value as it reads after unfolding, where no fold came between pieces. */
export function plainValue(value: FieldValue): string {
  return piecesOf(value).join('');
}

function piecesOf(value: FieldValue): readonly string[] {
  if (typeof value === 'string') {
    const text = value.trim();
    return text === '' ? [] : text.split(/(?<=[^ \t])(?=[ \t])/);
  }
  return 'unfolded' in value ? [value.unfolded.trim()] : value;
}
