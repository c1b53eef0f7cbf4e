/**
 * Pieces of responses. Wire text is an octet string (one character per byte, written to the socket as
 * latin1), so that literals of any content can stand inside it.
 */
import { printDateTime } from './date.ts';
import { encodeUtf7 } from './utf7.ts';

/** What a quoted string may hold: printable ASCII; longer or other text becomes a literal. */
const quotable = /^[\x20-\x7e\t]{0,1000}$/;
const plainAstring = /^[\x21\x23\x24\x26\x27\x2b-\x5b\x5d-\x7a\x7c-\x7e]+$/;

/** Text → octets: its UTF-8 bytes, one character each. */
export function octets(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** Octets as `string`: quoted where possible, else a literal. */
export function printString(value: string): string {
  if (quotable.test(value)) return `"${value.replace(/["\\]/g, '\\$&')}"`;
  // RFC 3501 9: no literal holds NUL.
  const safe = value.replaceAll('\0', '');
  return `{${safe.length}}\r\n${safe}`;
}

/** Atom where possible, else quoted or literal. */
export function printAstring(value: string): string {
  return plainAstring.test(value) && value.toUpperCase() !== 'NIL' ? value : printString(value);
}

/** Decoded mailbox name → modified UTF-7, always quoted: clients' parsers know that form best. */
export function printMailbox(name: string): string {
  return printString(encodeUtf7(name));
}

export function printFlags(flags: readonly string[]): string {
  return `(${flags.join(' ')})`;
}

/** Epoch milliseconds → quoted date-time in UTC. */
export function printInternalDate(epochMs: number): string {
  return `"${printDateTime(epochMs)}"`;
}

/** Human text of a response: one line, no brackets at its start that could be read as a code. */
export function printText(text: string): string {
  const line = octets(text.replace(/[\r\n\0]+/g, ' ').trim());
  return line === '' ? '-' : line.replace(/^\[/, '(');
}
