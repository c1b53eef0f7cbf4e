/** Does a message match a search? Cheap questions first; headers and text are read only where they decide. */

import type { HeaderField } from '../mime/header.ts';
import { partTexts } from '../mime/part-text.ts';
import { decodeWords } from '../mime/words.ts';
import type { MessageContent, MessageRow, Store } from '../store/store.ts';
import type { SearchKey } from './codec/command.ts';
import { dayOf, dayOfInstant } from './codec/date.ts';
import { includes, resolve, type SequenceSet } from './codec/sequence.ts';
import { type Composed, compose } from './composed.ts';
import type { MailboxView } from './mailbox-view.ts';
import { readHeader } from './sections.ts';

/** One message under question; its content is read at most once. */
interface Candidate {
  readonly sequence: number;
  readonly row: MessageRow;
  content(): Promise<Composed | null>;
  header(): Promise<readonly HeaderField[]>;
}

/** Encoded bytes looked at per message: enough for any text, and attached mailings do not stall a search. */
const textLimit = 8 * 1024 * 1024;

export type Matcher = (sequence: number) => Promise<boolean>;

/** Where to look, and what the session sees under a UID. */
export interface SearchPlace extends Place {
  contentOf(uid: number): Promise<MessageContent | undefined>;
}

export function createMatcher(place: SearchPlace, view: MailboxView, key: SearchKey): Matcher {
  const { store, tenant } = place;
  const test = prepare(key, view, place);
  return async (sequence) => {
    const row = view.at(sequence);
    let composed: Promise<Composed | null> | undefined;
    let header: Promise<readonly HeaderField[]> | undefined;
    const content = () => {
      composed ??= place.contentOf(row.uid).then((found) => (found ? compose(found) : null));
      return composed;
    };
    return test({
      sequence,
      row,
      content,
      header: () => {
        header ??= content().then((found) => (found ? readHeader(store, tenant, found) : []));
        return header;
      },
    });
  };
}

type Test = (candidate: Candidate) => boolean | Promise<boolean>;
interface Place {
  readonly store: Store;
  readonly tenant: string;
}

function prepare(key: SearchKey, view: MailboxView, place: Place): Test {
  switch (key.key) {
    case 'all':
      return () => true;
    case 'recent':
      return ({ row }) => view.isRecent(row.uid);
    case 'old':
      return ({ row }) => !view.isRecent(row.uid);
    case 'new':
      return ({ row }) => view.isRecent(row.uid) && !hasFlag(row, '\\seen');
    case 'flag': {
      const flag = key.flag.toLowerCase();
      return ({ row }) => hasFlag(row, flag) === key.set;
    }
    case 'sequence':
      return setTest(key.set, view.count, ({ sequence }) => sequence);
    case 'uid':
      return setTest(key.set, view.lastUid, ({ row }) => row.uid);
    case 'larger':
      return ({ row }) => row.size > key.size;
    case 'smaller':
      return ({ row }) => row.size < key.size;
    case 'modseq':
      return ({ row }) => row.modseq >= key.modseq;
    case 'before':
    case 'on':
    case 'since':
      return dateTest(key.key, key.day, key.sent);
    case 'header':
      return headerTest(key.field, fold(key.text));
    case 'body':
    case 'text':
      return textTest(fold(key.text), key.key === 'text', place);
    case 'not': {
      const operand = prepare(key.operand, view, place);
      return async (candidate) => !(await operand(candidate));
    }
    case 'or':
      return anyOf(byCost([key.left, key.right]).map((one) => prepare(one, view, place)));
    case 'and':
      return allOf(byCost(key.keys).map((one) => prepare(one, view, place)));
  }
}

function setTest(set: SequenceSet, largest: number, number: (candidate: Candidate) => number): Test {
  const resolved = resolve(set, largest);
  return (candidate) => includes(resolved, number(candidate));
}

function allOf(tests: readonly Test[]): Test {
  return async (candidate) => {
    for (const test of tests) if (!(await test(candidate))) return false;
    return true;
  };
}

function anyOf(tests: readonly Test[]): Test {
  return async (candidate) => {
    for (const test of tests) if (await test(candidate)) return true;
    return false;
  };
}

/** 0: answered from the view; 1: needs the structure or header; 2: needs text. */
function cost(key: SearchKey): number {
  switch (key.key) {
    case 'body':
    case 'text':
      return 2;
    case 'header':
      return 1;
    case 'before':
    case 'on':
    case 'since':
      return key.sent ? 1 : 0;
    case 'not':
      return cost(key.operand);
    case 'or':
      return Math.max(cost(key.left), cost(key.right));
    case 'and':
      return Math.max(...key.keys.map(cost));
    default:
      return 0;
  }
}

function byCost(keys: readonly SearchKey[]): SearchKey[] {
  return [...keys].sort((a, b) => cost(a) - cost(b));
}

function hasFlag(row: MessageRow, lower: string): boolean {
  return row.flags.some((flag) => flag.toLowerCase() === lower);
}

/** RFC 3501 6.4.4: time and zone are disregarded. A Date header that cannot be read matches nothing. */
function dateTest(kind: 'before' | 'on' | 'since', day: number, sent: boolean): Test {
  const compare = (other: number | null): boolean =>
    other !== null && (kind === 'before' ? other < day : kind === 'on' ? other === day : other >= day);
  if (!sent) return ({ row }) => compare(dayOfInstant(row.internalDate));
  return async (candidate) => {
    const composed = await candidate.content();
    return compare(sentDay(composed?.envelope.date ?? null));
  };
}

function sentDay(date: string | null): number | null {
  const match = /(?:^|[\s,])(\d{1,2})\s+([A-Za-z]{3})\s+(\d{4})\b/.exec(date ?? '');
  return match ? dayOf(Number(match[1]), match[2]!, Number(match[3])) : null;
}

function headerTest(field: string, wanted: string): Test {
  return async (candidate) => {
    for (const { lower, value } of await candidate.header())
      if (lower === field && (wanted === '' || fold(decodeWords(value)).includes(wanted))) return true;
    return false;
  };
}

function textTest(wanted: string, withHeader: boolean, { store, tenant }: Place): Test {
  return async (candidate) => {
    if (wanted === '') return true;
    if (withHeader) {
      for (const { name, value } of await candidate.header())
        if (fold(`${name}: ${decodeWords(value)}`).includes(wanted)) return true;
    }
    const composed = await candidate.content();
    if (!composed) return false;
    const { index, source } = composed.content;
    const shift = composed.size - index.size;
    const read = (from: number, to: number) => store.readSource(tenant, source, from + shift, to + shift);
    let window = '';
    for await (const piece of partTexts(index.root, read, textLimit)) {
      if (piece === null) {
        window = '';
        continue;
      }
      // Line ends count as blanks: a phrase may be wrapped. The window keeps what a match could begin in.
      window += fold(piece.replace(/\s+/g, ' '));
      if (window.includes(wanted)) return true;
      window = window.slice(-2 * wanted.length);
    }
    return false;
  };
}

/** Case and compatibility forms are one; ß is ss. */
export function fold(text: string): string {
  return text.normalize('NFKC').toLowerCase().replaceAll('ß', 'ss');
}
