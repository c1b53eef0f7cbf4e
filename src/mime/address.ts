/**
 * Address lists (RFC 5322 3.4 and its obsolete forms 4.4), read by one linear scan: no expression that
 * could be made to backtrack.
 */
import { decodeWords, encodePhrase } from './words.ts';

export interface Mailbox {
  readonly type: 'mailbox';
  /** Display name, or the comment of the form `a@x (Name)`; null where there is none. */
  readonly name: string | null;
  /** Local part without its quotes. */
  readonly local: string;
  /** As written; empty where the address has none. */
  readonly domain: string;
  /** addr-spec, the local part quoted where it must be. */
  readonly address: string;
  /** Name of the group that holds it, or null. */
  readonly group: string | null;
  /** Where the addr-spec stands in the parsed value (within angle brackets, where there are any). */
  readonly start: number;
  readonly end: number;
}

export type AddressItem =
  | Mailbox
  | { readonly type: 'group-start'; readonly name: string }
  | { readonly type: 'group-end' };

export interface AddressOptions {
  /** Decode encoded words in display names (RFC 2047). Off: names come as they stand. */
  readonly decode?: boolean;
}

/** All mailboxes of a list, groups flattened. Total: what has no `@` comes with an empty domain. */
export function parseAddressList(value: string, options: AddressOptions = {}): Mailbox[] {
  return parseAddresses(value, options).filter((item) => item.type === 'mailbox');
}

/** As `parseAddressList`, with the starts and ends of groups among the mailboxes (for ENVELOPE). */
export function parseAddresses(value: string, options: AddressOptions = {}): AddressItem[] {
  const items: AddressItem[] = [];
  const named = (text: string | null) => (text !== null && options.decode ? decodeWords(text) : text);
  let group: string | null = null;
  let tokens: Token[] = [];
  let hasAt = false;
  let angle: { readonly start: number; readonly end: number } | null = null;
  let comment: string | null = null;

  function flush() {
    const found = angle === null ? bareAddress(tokens) : angleAddress(value, angle, tokens);
    if (found !== null) {
      const name = named(found.phrase || comment);
      items.push(mailbox(name, found, group));
    }
    tokens = [];
    hasAt = false;
    angle = null;
    comment = null;
  }

  function endGroup() {
    if (group !== null) items.push({ type: 'group-end' });
    group = null;
  }

  let at = 0;
  while (at < value.length) {
    const char = value[at]!;
    if (char === ',' || char === ';') {
      flush();
      if (char === ';') endGroup();
      at += 1;
    } else if (char === ':' && angle === null && !hasAt) {
      endGroup();
      group = named(phraseOf(tokens)) ?? '';
      items.push({ type: 'group-start', name: group });
      tokens = [];
      at += 1;
    } else if (char === '<') {
      const end = angleEnd(value, at + 1);
      // A second <…> before the comma is junk; the first counts.
      angle ??= { start: at + 1, end };
      at = end + 1;
    } else if (char === '(') {
      const [text, end] = readComment(value, at);
      comment = text;
      at = end;
    } else {
      hasAt ||= char === '@';
      at = readToken(value, at, tokens);
    }
  }
  flush();
  endGroup();
  return items;
}

/**
 * The value with some addresses replaced and everything else (names, comments, folding) as it stands.
 * `map` gets each addr-spec in lower case and returns its replacement, or undefined to leave it.
 */
export function replaceAddresses(value: string, map: (address: string) => string | undefined): string {
  let text = '';
  let at = 0;
  for (const { address, domain, start, end } of parseAddressList(value)) {
    const replacement = domain === '' ? undefined : map(address.toLowerCase());
    if (replacement === undefined) continue;
    text += value.slice(at, start) + replacement;
    at = end;
  }
  return text + value.slice(at);
}

/** `Name <local@domain>`, the name quoted or encoded where needed; the bare address without a name. */
export function formatMailbox(mailbox: { readonly name?: string | null; readonly address: string }): string {
  return mailbox.name ? `${encodePhrase(mailbox.name)} <${mailbox.address}>` : mailbox.address;
}

/**
 * An addr-spec in the form in which De-Mail addresses compare: trimmed, lower case throughout
 * (TR-01201 ACM: addresses are lower case). Null where it is no single `local@domain`.
 */
export function normaliseAddress(address: string): string | null {
  if (address.length > 1000) return null;
  const list = parseAddressList(address);
  const only = list[0];
  if (list.length !== 1 || only === undefined || only.local === '' || only.domain === '') return null;
  return only.address.toLowerCase();
}

/** Quotes a local part where RFC 5322 3.4.1 demands it. */
export function quoteLocal(local: string): string {
  return /^[^\s\p{Cc}"(),:;<>@[\\\].]+(?:\.[^\s\p{Cc}"(),:;<>@[\\\].]+)*$/u.test(local)
    ? local
    : `"${local.replace(/["\\]/g, '\\$&')}"`;
}

interface Token {
  readonly kind: 'atom' | 'quoted' | 'literal' | 'at';
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

interface Found {
  readonly phrase: string;
  readonly local: string;
  readonly domain: string;
  readonly start: number;
  readonly end: number;
}

function mailbox(name: string | null, found: Found, group: string | null): Mailbox {
  const { local, domain, start, end } = found;
  const spec = quoteLocal(local);
  const address = domain === '' ? spec : `${spec}@${domain}`;
  return { type: 'mailbox', name, local, domain, address, group, start, end };
}

function angleAddress(value: string, span: { start: number; end: number }, before: readonly Token[]): Found {
  const tokens: Token[] = [];
  let at = span.start;
  while (at < span.end) {
    const char = value[at]!;
    if (char === '(') at = readComment(value, at)[1];
    else if (char === ':') {
      // Source route `@a,@b:local@c` (RFC 5322 4.4): only what follows the colon is the address.
      tokens.length = 0;
      at += 1;
    } else at = readToken(value, at, tokens);
  }
  const last = tokens.findLastIndex((token) => token.kind === 'at');
  return {
    phrase: phraseOf(before) ?? '',
    local: joined(tokens.slice(0, last === -1 ? tokens.length : last)),
    domain: last === -1 ? '' : domainOf(tokens.slice(last + 1)),
    ...span,
  };
}

/** `local@domain` outside angle brackets; words before it that no dot joins are its name. */
function bareAddress(tokens: readonly Token[]): Found | null {
  if (tokens.length === 0) return null;
  const last = tokens.findLastIndex((token) => token.kind === 'at');
  if (last === -1) {
    const span = { start: tokens[0]!.start, end: tokens.at(-1)!.end };
    return { phrase: '', local: phraseOf(tokens) ?? '', domain: '', ...span };
  }
  let first = Math.max(0, last - 1);
  while (first > 0 && joins(tokens[first - 1]!, tokens[first]!)) first -= 1;
  let end = Math.min(last + 2, tokens.length);
  while (end < tokens.length && end > last + 1 && joins(tokens[end - 1]!, tokens[end]!)) end += 1;
  return {
    phrase: phraseOf(tokens.slice(0, first)) ?? '',
    local: joined(tokens.slice(first, last)),
    domain: domainOf(tokens.slice(last + 1, end)),
    start: tokens[first]!.start,
    end: tokens[end - 1]!.end,
  };
}

/** Empty where it is none (RFC 5322 3.4.1): an open quote or literal has swallowed what follows it. */
function domainOf(tokens: readonly Token[]): string {
  const isDomain = tokens.every(
    ({ kind, text }) => kind === 'atom' || (kind === 'literal' && /^\[[^[\]\\]*\]$/.test(text)),
  );
  return isDomain ? joined(tokens) : '';
}

function joined(tokens: readonly Token[]): string {
  return tokens.map((token) => token.text).join('');
}

/** Two words that a dot or an `@` holds together (obs-local-part, obs-domain: white space may stand between). */
function joins(left: Token, right: Token): boolean {
  if (left.kind === 'at' || right.kind === 'at') return true;
  return (
    (left.kind === 'atom' && left.text.endsWith('.')) || (right.kind === 'atom' && right.text.startsWith('.'))
  );
}

function phraseOf(tokens: readonly Token[]): string | null {
  return tokens.length === 0 ? null : tokens.map((token) => token.text).join(' ');
}

/** Reads one word or white space at `at`; returns the position behind it. */
function readToken(value: string, at: number, tokens: Token[]): number {
  const char = value[at]!;
  if (char === '"') {
    const [text, end] = readQuoted(value, at);
    tokens.push({ kind: 'quoted', text, start: at, end });
    return end;
  }
  if (char === '[') {
    const close = value.indexOf(']', at);
    const end = close === -1 ? value.length : close + 1;
    tokens.push({ kind: 'literal', text: value.slice(at, end), start: at, end });
    return end;
  }
  if (char === '@') {
    tokens.push({ kind: 'at', text: '@', start: at, end: at + 1 });
    return at + 1;
  }
  let end = at;
  while (end < value.length && !isSpecial(value.charCodeAt(end))) end += 1;
  if (end === at) return at + 1;
  tokens.push({ kind: 'atom', text: value.slice(at, end), start: at, end });
  return end;
}

/** White space, control characters and the specials of RFC 5322 3.2.3 but the dot. */
function isSpecial(code: number): boolean {
  return code <= 32 || code === 127 || specials.has(code);
}

const specials = new Set([...'()<>[]:;@\\,"'].map((char) => char.charCodeAt(0)));

function readQuoted(value: string, at: number): [string, number] {
  let text = '';
  let from = at + 1;
  for (let i = from; i < value.length; i += 1) {
    if (value[i] === '\\') {
      text += value.slice(from, i);
      from = i + 1;
      i += 1;
    } else if (value[i] === '"') {
      return [text + value.slice(from, i), i + 1];
    }
  }
  return [text + value.slice(from), value.length];
}

function readComment(value: string, at: number): [string, number] {
  let depth = 0;
  let text = '';
  for (let i = at; i < value.length; i += 1) {
    const char = value[i]!;
    if (char === '\\') {
      i += 1;
      text += value[i] ?? '';
      continue;
    }
    if (char === ')') {
      depth -= 1;
      if (depth === 0) return [text.trim(), i + 1];
    }
    if (depth > 0) text += char;
    if (char === '(') depth += 1;
  }
  return [text.trim(), value.length];
}

/** Position of the `>` that ends an angle address, quoted strings passed over. */
function angleEnd(value: string, at: number): number {
  let i = at;
  while (i < value.length && value[i] !== '>') {
    i = value[i] === '"' ? readQuoted(value, i)[1] : i + 1;
  }
  return i;
}
