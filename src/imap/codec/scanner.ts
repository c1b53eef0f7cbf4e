/**
 * Reads tokens from one command: its lines (as octet strings: one character per byte) and the literals
 * between them. Every function either returns a token or throws `BadSyntax`; none reads past the end.
 */
import { decodeUtf7 } from './utf7.ts';

/** The command does not follow the grammar; the message is safe to show to the client. */
export class BadSyntax extends Error {}

export interface Scanner {
  /** Text without CRLF and without literal markers; one more than there are literals. */
  readonly lines: readonly string[];
  readonly literals: readonly Buffer[];
  line: number;
  at: number;
}

const atomChar = /[!#$&'+-[^-z|}~]/;
const astringChar = /[!#$&'+-[\]-z|}~\x80-\xff]/;
const listChar = /[!#-'*-[\]-z|}~\x80-\xff]/;
const maxNumber = Number.MAX_SAFE_INTEGER;

export function scan(lines: readonly string[], literals: readonly Buffer[]): Scanner {
  return { lines, literals, line: 0, at: 0 };
}

/** The next character; `{` where a literal comes next, the empty string at the end of the command. */
export function peek(s: Scanner): string {
  const line = s.lines[s.line]!;
  if (s.at < line.length) return line[s.at]!;
  return s.line < s.lines.length - 1 ? '{' : '';
}

/** Is this the end of all lines there are? */
export function atEnd(s: Scanner): boolean {
  return s.line === s.lines.length - 1 && s.at === s.lines[s.line]!.length;
}

export function take(s: Scanner, char: string): boolean {
  const line = s.lines[s.line]!;
  if (s.at >= line.length || line[s.at] !== char) return false;
  s.at++;
  return true;
}

export function expect(s: Scanner, char: string): void {
  if (!take(s, char)) throw new BadSyntax(`expected ${char === ' ' ? 'a space' : `"${char}"`}`);
}

export function space(s: Scanner): void {
  expect(s, ' ');
}

/** Nothing may follow. One trailing space is forgiven: several clients send it. */
export function end(s: Scanner): void {
  take(s, ' ');
  if (!atEnd(s)) throw new BadSyntax('unexpected text after the command');
}

function run(s: Scanner, allowed: RegExp): string {
  const line = s.lines[s.line]!;
  const from = s.at;
  while (s.at < line.length && allowed.test(line[s.at]!)) s.at++;
  return line.slice(from, s.at);
}

export function atom(s: Scanner): string {
  const found = run(s, atomChar);
  if (found === '') throw new BadSyntax('expected a word');
  return found;
}

/** Upper-case word of letters, digits, dots, dashes, underscores. */
export function word(s: Scanner): string {
  const found = run(s, /[A-Za-z0-9._+=-]/).toUpperCase();
  if (found === '') throw new BadSyntax('expected a word');
  return found;
}

/** Tags are astring characters without `+` (RFC 3501 9). */
export function tag(s: Scanner): string {
  const found = run(s, astringChar);
  if (found === '' || found.includes('+') || found.length > 100) throw new BadSyntax('expected a tag');
  return found;
}

/** Quoted string or literal, as octets. */
export function string(s: Scanner): string {
  if (take(s, '"')) return quoted(s);
  if (peek(s) === '{') return literal(s);
  throw new BadSyntax('expected a string');
}

export function astring(s: Scanner): string {
  const next = peek(s);
  if (next === '"' || next === '{') return string(s);
  const found = run(s, astringChar);
  if (found === '') throw new BadSyntax('expected a string');
  return found;
}

export function nstring(s: Scanner): string | null {
  const next = peek(s);
  if (next === '"' || next === '{') return string(s);
  if (atom(s).toUpperCase() !== 'NIL') throw new BadSyntax('expected a string or NIL');
  return null;
}

/** LIST pattern, decoded like a mailbox name. */
export function pattern(s: Scanner): string {
  const next = peek(s);
  const octets = next === '"' || next === '{' ? string(s) : run(s, listChar);
  if (octets === '' && next !== '"' && next !== '{') throw new BadSyntax('expected a mailbox pattern');
  return decodeName(octets);
}

/** Mailbox name, decoded; INBOX in any case is `INBOX` (RFC 3501 5.1). */
export function mailbox(s: Scanner): string {
  return decodeName(astring(s));
}

export function number(s: Scanner, max: number = 0xffffffff): number {
  const digits = run(s, /\d/);
  if (digits === '' || digits.length > 16) throw new BadSyntax('expected a number');
  const value = Number(digits);
  if (value > max) throw new BadSyntax('number is too large');
  return value;
}

/** RFC 7162: 63 bits in the grammar; here as far as a double is exact. */
export function modseq(s: Scanner): number {
  const digits = run(s, /\d/);
  if (digits === '' || digits.length > 19) throw new BadSyntax('expected a modification sequence');
  return Math.min(Number(digits), maxNumber);
}

export function sequenceText(s: Scanner): string {
  return run(s, /[\d:,*]/);
}

/** Calls `item` for each element of a parenthesised, space-separated list. */
export function list(s: Scanner, item: () => void, limit = 10_000): void {
  expect(s, '(');
  if (take(s, ')')) return;
  for (let count = 0; count < limit; count++) {
    item();
    if (take(s, ')')) return;
    space(s);
  }
  throw new BadSyntax('list is too long');
}

/** `(\Seen $Forwarded)`; without parentheses too, for STORE. */
export function flags(s: Scanner): string[] {
  const found: string[] = [];
  if (peek(s) === '(') list(s, () => found.push(flag(s)));
  else {
    do found.push(flag(s));
    while (take(s, ' '));
  }
  return found;
}

/** Octets as text: UTF-8, invalid bytes replaced. */
export function utf8(octets: string): string {
  return Buffer.from(octets, 'latin1').toString('utf8');
}

function flag(s: Scanner): string {
  const system = take(s, '\\');
  const found = atom(s);
  if (found.length > 200) throw new BadSyntax('flag is too long');
  return system ? `\\${canonicalFlag(found)}` : found;
}

const systemFlags = ['Seen', 'Answered', 'Flagged', 'Deleted', 'Draft', 'Recent'];

function canonicalFlag(name: string): string {
  return systemFlags.find((known) => known.toLowerCase() === name.toLowerCase()) ?? name;
}

function quoted(s: Scanner): string {
  const line = s.lines[s.line]!;
  let out = '';
  for (let at = s.at; at < line.length; at++) {
    const char = line[at]!;
    if (char === '"') {
      s.at = at + 1;
      return out;
    }
    if (char === '\\') {
      const next = line[++at];
      // RFC 3501 allows \" and \\ alone, but old clients escape freely.
      if (next === undefined) break;
      out += next;
    } else out += char;
  }
  throw new BadSyntax('quoted string is not closed');
}

function literal(s: Scanner): string {
  const bytes = s.literals[s.line];
  if (s.line >= s.lines.length - 1 || !bytes) throw new BadSyntax('expected a literal');
  s.line++;
  s.at = 0;
  return bytes.toString('latin1');
}

function decodeName(octets: string): string {
  if (octets.toUpperCase() === 'INBOX') return 'INBOX';
  const inboxChild = /^inbox\//i.test(octets) ? `INBOX${octets.slice(5)}` : octets;
  const decoded = /[\x80-\xff]/.test(octets) ? rawUtf8(inboxChild) : decodeUtf7(inboxChild);
  if (decoded === null) throw new BadSyntax('mailbox name is not valid modified UTF-7 (RFC 3501 5.1.3)');
  return decoded;
}

/** curl and scripts send names as plain UTF-8; there is nothing else it could mean. */
function rawUtf8(octets: string): string | null {
  const text = utf8(octets);
  return text.includes('\ufffd') || /\p{Cc}/u.test(text) ? null : text;
}
