/** FETCH arguments (RFC 3501 6.4.5, RFC 7162 3.1.4). */
import type { FetchItem, FetchRequest, Section } from './command.ts';
import * as scan from './scanner.ts';
import { BadSyntax, type Scanner } from './scanner.ts';
import { parseSequenceSet } from './sequence.ts';

const maxItems = 200;
const maxPartDepth = 100;

const macros: Readonly<Record<string, readonly FetchItem[]>> = {
  ALL: items('FLAGS', 'INTERNALDATE', 'RFC822.SIZE', 'ENVELOPE'),
  FAST: items('FLAGS', 'INTERNALDATE', 'RFC822.SIZE'),
  FULL: items('FLAGS', 'INTERNALDATE', 'RFC822.SIZE', 'ENVELOPE', 'BODY'),
};

export function fetchRequest(s: Scanner, uid: boolean): FetchRequest {
  scan.space(s);
  const set = parseSequenceSet(scan.sequenceText(s));
  if (!set) throw new BadSyntax('expected a sequence set');
  scan.space(s);
  const found: FetchItem[] = [];
  if (scan.peek(s) === '(') {
    scan.list(s, () => found.push(...fetchItem(s, false)), maxItems);
  } else found.push(...fetchItem(s, true));
  if (found.length === 0) throw new BadSyntax('FETCH needs an item');
  return { uid, set, items: found, changedSince: changedSince(s) };
}

function fetchItem(s: Scanner, macro: boolean): readonly FetchItem[] {
  const name = scan.word(s);
  const expanded = macro && Object.hasOwn(macros, name) ? macros[name] : undefined;
  if (expanded) return expanded;
  switch (name) {
    case 'FLAGS':
    case 'UID':
    case 'INTERNALDATE':
    case 'RFC822.SIZE':
    case 'ENVELOPE':
    case 'BODYSTRUCTURE':
    case 'MODSEQ':
      return [{ item: name }];
    case 'RFC822':
    case 'RFC822.HEADER':
    case 'RFC822.TEXT':
      return [legacy(name)];
    case 'BODY':
      if (scan.peek(s) !== '[') return [{ item: 'BODY' }];
      return [sectionItem(s, false)];
    case 'BODY.PEEK':
      return [sectionItem(s, true)];
    default:
      throw new BadSyntax(`FETCH item ${name.slice(0, 40)} is not known`);
  }
}

function sectionItem(s: Scanner, peek: boolean): FetchItem {
  scan.expect(s, '[');
  const section = sectionSpec(s);
  scan.expect(s, ']');
  let partial: { from: number; count: number } | null = null;
  if (scan.take(s, '<')) {
    const from = scan.number(s);
    scan.expect(s, '.');
    const count = scan.number(s);
    if (count === 0) throw new BadSyntax('a partial needs at least one byte');
    scan.expect(s, '>');
    partial = { from, count };
  }
  return { item: 'SECTION', legacy: null, peek, section, partial };
}

function sectionSpec(s: Scanner): Section {
  const part: number[] = [];
  while (/\d/.test(scan.peek(s))) {
    const number = scan.number(s);
    if (number === 0) throw new BadSyntax('parts are numbered from 1');
    part.push(number);
    if (part.length > maxPartDepth) throw new BadSyntax('section is nested too deeply');
    if (!scan.take(s, '.')) return { part, what: 'ALL', fields: [] };
  }
  if (part.length === 0 && scan.peek(s) === ']') return { part, what: 'ALL', fields: [] };
  const what = scan.word(s);
  switch (what) {
    case 'HEADER':
    case 'TEXT':
      return { part, what, fields: [] };
    case 'MIME':
      if (part.length === 0) throw new BadSyntax('MIME needs a part number');
      return { part, what, fields: [] };
    case 'HEADER.FIELDS':
    case 'HEADER.FIELDS.NOT':
      scan.space(s);
      return { part, what, fields: fieldNames(s) };
    default:
      throw new BadSyntax(`section ${what.slice(0, 40)} is not known`);
  }
}

function fieldNames(s: Scanner): string[] {
  const fields: string[] = [];
  scan.list(s, () => fields.push(scan.astring(s)), 1000);
  if (fields.length === 0) throw new BadSyntax('a header list needs a field name');
  return fields;
}

function changedSince(s: Scanner): number | null {
  if (!scan.take(s, ' ')) return null;
  if (scan.atEnd(s)) return null;
  let since: number | null = null;
  scan.list(s, () => {
    const modifier = scan.word(s);
    if (modifier !== 'CHANGEDSINCE') throw new BadSyntax(`FETCH modifier ${modifier} is not known`);
    scan.space(s);
    since = scan.modseq(s);
  });
  return since;
}

function legacy(name: 'RFC822' | 'RFC822.HEADER' | 'RFC822.TEXT'): FetchItem {
  const what = name === 'RFC822' ? 'ALL' : name === 'RFC822.HEADER' ? 'HEADER' : 'TEXT';
  const section: Section = { part: [], what, fields: [] };
  return { item: 'SECTION', legacy: name, peek: name === 'RFC822.HEADER', section, partial: null };
}

function items(...names: Exclude<FetchItem['item'], 'SECTION'>[]): FetchItem[] {
  return names.map((item) => ({ item }));
}
