/** SEARCH arguments (RFC 3501 6.4.4, RFC 4731, RFC 7162 3.1.5). */
import type { SearchKey, SearchRequest } from './command.ts';
import { parseSearchDate } from './date.ts';
import * as scan from './scanner.ts';
import { BadSyntax, type Scanner } from './scanner.ts';
import { parseSequenceSet } from './sequence.ts';

const maxDepth = 50;
const maxKeys = 1000;
/** Looking for one text in another may take the product of their lengths. */
const maxText = 1000;
const returnOptions = ['MIN', 'MAX', 'ALL', 'COUNT'] as const;

/** Charsets that a search may use (RFC 3501 6.4.4), and the decoder's name for each. */
export const charsets: Readonly<Record<string, string>> = {
  'US-ASCII': 'utf-8',
  'UTF-8': 'utf-8',
  'ISO-8859-1': 'windows-1252',
  'ISO-8859-15': 'iso-8859-15',
  'WINDOWS-1252': 'windows-1252',
};

/** What is read so far, and how strings are to be understood. */
interface Program {
  readonly s: Scanner;
  readonly decode: (octets: string) => string;
  keys: number;
}

export function searchRequest(s: Scanner, uid: boolean): SearchRequest {
  scan.space(s);
  const returns = returnList(s);
  const charset = charsetName(s);
  const decoder = Object.hasOwn(charsets, charset ?? 'UTF-8') ? charsets[charset ?? 'UTF-8'] : undefined;
  const text = decoder ? new TextDecoder(decoder) : null;
  const program: Program = {
    s,
    decode: (octets) => (text ? text.decode(Buffer.from(octets, 'latin1')) : octets),
    keys: 0,
  };
  const keys = [searchKey(program, 0)];
  while (scan.take(s, ' ')) {
    if (scan.atEnd(s)) break;
    keys.push(searchKey(program, 0));
  }
  return { uid, returns, charset, charsetKnown: decoder !== undefined, key: all(keys) };
}

function returnList(s: Scanner): SearchRequest['returns'] {
  if (!ahead(s, 'RETURN (')) return null;
  scan.word(s);
  scan.space(s);
  const found: (typeof returnOptions)[number][] = [];
  scan.list(
    s,
    () => {
      const name = scan.word(s);
      const option = returnOptions.find((known) => known === name);
      if (!option) throw new BadSyntax(`SEARCH return option ${name.slice(0, 40)} is not known`);
      found.push(option);
    },
    10,
  );
  scan.space(s);
  // RFC 4731 3.1: an empty list means ALL.
  return found.length === 0 ? ['ALL'] : found;
}

function charsetName(s: Scanner): string | null {
  if (!ahead(s, 'CHARSET ')) return null;
  scan.word(s);
  scan.space(s);
  const name = scan.astring(s).toUpperCase();
  scan.space(s);
  return name;
}

function ahead(s: Scanner, text: string): boolean {
  return s.lines[s.line]!.slice(s.at, s.at + text.length).toUpperCase() === text;
}

function searchKey(p: Program, depth: number): SearchKey {
  const { s } = p;
  if (depth > maxDepth) throw new BadSyntax('search is nested too deeply');
  if (++p.keys > maxKeys) throw new BadSyntax('search has too many keys');
  if (scan.peek(s) === '(') {
    const keys: SearchKey[] = [];
    scan.list(s, () => keys.push(searchKey(p, depth + 1)));
    if (keys.length === 0) throw new BadSyntax('expected a search key');
    return all(keys);
  }
  if (/[\d*]/.test(scan.peek(s))) {
    const set = parseSequenceSet(scan.sequenceText(s));
    if (!set) throw new BadSyntax('expected a sequence set');
    return { key: 'sequence', set };
  }
  return namedKey(p, scan.word(s), depth);
}

function namedKey(p: Program, name: string, depth: number): SearchKey {
  const { s } = p;
  switch (name) {
    case 'ALL':
    case 'NEW':
    case 'OLD':
    case 'RECENT':
      return { key: name.toLowerCase() as 'all' | 'new' | 'old' | 'recent' };
    case 'ANSWERED':
    case 'DELETED':
    case 'DRAFT':
    case 'FLAGGED':
    case 'SEEN':
      return { key: 'flag', flag: systemFlag(name), set: true };
    case 'UNANSWERED':
    case 'UNDELETED':
    case 'UNDRAFT':
    case 'UNFLAGGED':
    case 'UNSEEN':
      return { key: 'flag', flag: systemFlag(name.slice(2)), set: false };
    case 'KEYWORD':
    case 'UNKEYWORD':
      scan.space(s);
      return { key: 'flag', flag: scan.atom(s), set: name === 'KEYWORD' };
    case 'BCC':
    case 'CC':
    case 'FROM':
    case 'SUBJECT':
    case 'TO':
      return {
        key: 'envelope',
        field: name.toLowerCase() as 'subject' | 'from' | 'to' | 'cc' | 'bcc',
        text: text(p),
      };
    case 'HEADER': {
      scan.space(s);
      const field = scan.astring(s).toLowerCase();
      return { key: 'header', field, text: text(p) };
    }
    case 'BODY':
    case 'TEXT':
      return { key: name.toLowerCase() as 'body' | 'text', text: text(p) };
    case 'BEFORE':
    case 'ON':
    case 'SINCE':
      return { key: name.toLowerCase() as 'before' | 'on' | 'since', sent: false, day: date(p) };
    case 'SENTBEFORE':
    case 'SENTON':
    case 'SENTSINCE':
      return { key: name.slice(4).toLowerCase() as 'before' | 'on' | 'since', sent: true, day: date(p) };
    case 'LARGER':
    case 'SMALLER':
      scan.space(s);
      return { key: name.toLowerCase() as 'larger' | 'smaller', size: scan.number(s) };
    case 'UID': {
      scan.space(s);
      const set = parseSequenceSet(scan.sequenceText(s));
      if (!set) throw new BadSyntax('expected a sequence set');
      return { key: 'uid', set };
    }
    case 'NOT':
      scan.space(s);
      return { key: 'not', operand: searchKey(p, depth + 1) };
    case 'OR': {
      scan.space(s);
      const left = searchKey(p, depth + 1);
      scan.space(s);
      return { key: 'or', left, right: searchKey(p, depth + 1) };
    }
    case 'MODSEQ':
      return modseqKey(s);
    default:
      throw new BadSyntax(`search key ${name.slice(0, 40)} is not known`);
  }
}

/** `MODSEQ ["/flags/\\Draft" all] 620162338`: the entry name is read and, as RFC 7162 allows, not told apart. */
function modseqKey(s: Scanner): SearchKey {
  scan.space(s);
  if (scan.peek(s) === '"') {
    scan.string(s);
    scan.space(s);
    const type = scan.word(s);
    if (!['ALL', 'PRIV', 'SHARED'].includes(type)) throw new BadSyntax('expected all, priv or shared');
    scan.space(s);
  }
  return { key: 'modseq', modseq: scan.modseq(s) };
}

function text(p: Program): string {
  scan.space(p.s);
  const wanted = p.decode(scan.astring(p.s));
  if (wanted.length > maxText) throw new BadSyntax(`search text is longer than ${maxText} characters`);
  return wanted;
}

function date(p: Program): number {
  scan.space(p.s);
  const day = parseSearchDate(scan.astring(p.s));
  if (day === null) throw new BadSyntax('expected a date such as 1-Feb-1994');
  return day;
}

function systemFlag(name: string): string {
  return `\\${name[0]}${name.slice(1).toLowerCase()}`;
}

function all(keys: SearchKey[]): SearchKey {
  return keys.length === 1 ? keys[0]! : { key: 'and', keys };
}
