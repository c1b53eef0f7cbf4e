/** Reads what an IMAP server says: one response with its literals → values. */
import type { RawClient } from '../../../src/imap/testing/raw-client.ts';

/** NIL is null; atoms, strings and numbers are text. */
export type Value = string | null | readonly Value[];

export interface Response {
  /** `*`, `+` or the tag. */
  readonly tag: string;
  /** OK, NO, BAD, BYE, FETCH, EXISTS, LIST …; empty for `+`. */
  readonly name: string;
  /** Of EXISTS, RECENT, EXPUNGE, FETCH. */
  readonly number: number | null;
  /** `[NAME …]` of a status response. */
  readonly code: readonly Value[] | null;
  readonly values: readonly Value[];
  /** As it came. */
  readonly raw: string;
}

/** The next response, or null where the server closed. */
export async function readResponse(client: RawClient): Promise<Response | null> {
  let raw = await client.line();
  if (raw === null) return null;
  for (let last = raw; ; ) {
    const literal = /\{(\d+)\}$/.exec(last);
    if (!literal) return parseResponse(raw);
    raw += `\r\n${await client.octets(Number(literal[1]))}`;
    last = (await client.line()) ?? '';
    raw += last;
  }
}

const statuses = ['OK', 'NO', 'BAD', 'BYE', 'PREAUTH'];

export function parseResponse(raw: string): Response {
  const text = { raw, at: 0 };
  const tag = atom(text);
  if (tag === '+') return { tag, name: '', number: null, code: null, values: [], raw };
  skipSpace(text);
  let name = atom(text).toUpperCase();
  let number: number | null = null;
  if (/^\d+$/.test(name)) {
    number = Number(name);
    skipSpace(text);
    name = atom(text).toUpperCase();
  }
  skipSpace(text);
  if (!statuses.includes(name)) return { tag, name, number, code: null, values: values(text, ''), raw };
  const code = raw[text.at] === '[' ? codeOf(text) : null;
  return { tag, name, number, code, values: [], raw };
}

interface Text {
  readonly raw: string;
  at: number;
}

function codeOf(text: Text): Value[] {
  text.at++;
  const found = values(text, ']');
  text.at++;
  return found;
}

function values(text: Text, end: string): Value[] {
  const found: Value[] = [];
  for (;;) {
    skipSpace(text);
    const next = text.raw[text.at];
    if (next === undefined || next === end) return found;
    found.push(value(text));
  }
}

function value(text: Text): Value {
  const next = text.raw[text.at];
  if (next === '(') {
    text.at++;
    const list = values(text, ')');
    text.at++;
    return list;
  }
  if (next === '"') return quoted(text);
  const literal = next === '{' && /^\{(\d+)\}\r\n/.exec(text.raw.slice(text.at, text.at + 16));
  if (literal) {
    const from = text.at + literal[0].length;
    text.at = from + Number(literal[1]);
    return text.raw.slice(from, text.at);
  }
  const found = atom(text);
  if (found === '') throw new Error(`cannot be read at ${text.at}: ${text.raw}`);
  return found.toUpperCase() === 'NIL' ? null : found;
}

function quoted(text: Text): string {
  let out = '';
  for (text.at++; text.raw[text.at] !== '"'; text.at++) {
    if (text.at >= text.raw.length) throw new Error(`a string is not closed: ${text.raw}`);
    if (text.raw[text.at] === '\\') text.at++;
    out += text.raw[text.at];
  }
  text.at++;
  return out;
}

/** A name such as `BODY[HEADER.FIELDS (From)]<0>` is one. */
function atom(text: Text): string {
  const from = text.at;
  for (let depth = 0; text.at < text.raw.length; text.at++) {
    const char = text.raw[text.at]!;
    if (char === '[') depth++;
    else if (char === ']' && depth-- === 0) break;
    else if (depth === 0 && /[ ()"]/.test(char)) break;
  }
  return text.raw.slice(from, text.at);
}

function skipSpace(text: Text): void {
  while (text.raw[text.at] === ' ') text.at++;
}
