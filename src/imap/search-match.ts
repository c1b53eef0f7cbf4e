/**
 * Does a message match a search? Cheap questions first. Header and text are asked of the tenant's search text where the
 * message is in it; of what is not, they are read, and only where they decide. Both ways give the same answer.
 */

import { parseHeader } from '../mime/header.ts';
import type { IndexedMessage, Needle } from '../store/search-text.ts';
import type { MessageContent, MessageRow, Store } from '../store/store.ts';
import type { SearchKey } from './codec/command.ts';
import { dayOf, dayOfInstant } from './codec/date.ts';
import { includes, resolve, type SequenceSet } from './codec/sequence.ts';
import { type Composed, compose } from './composed.ts';
import { fold } from './folded-text.ts';
import type { MailboxView } from './mailbox-view.ts';
import {
  bodyPieces,
  type EnvelopeField,
  envelopeText,
  headerLine,
  type MessageText,
  splitText,
} from './message-text.ts';
import { readHeader } from './sections.ts';

/** One message under question; each part of it is read at most once. */
interface Candidate {
  readonly sequence: number;
  readonly row: MessageRow;
  /** As the session sees it; null where it was deleted meanwhile. */
  content(): Promise<Composed | null>;
  /** Header lines, the prepended block included. */
  header(): Promise<readonly string[]>;
  indexed(): Promise<IndexedMessage | undefined>;
  /** The text kept of an indexed object. */
  kept(object: string): Promise<MessageText | null>;
}

type Answer = boolean | Promise<boolean>;
export type Matcher = (sequence: number) => Answer;

/** Where to look, and what the session sees under a UID. */
export interface SearchPlace {
  readonly store: Store;
  readonly tenant: string;
  contentsOf(uids: readonly number[]): Promise<readonly MessageContent[]>;
  /** Lets others work where it is their turn; called before each longer look. */
  readonly turn: () => Promise<void>;
}

/** Structures held at one time. */
const mostContents = 50;
/** Filters held at one time. */
const mostIndexed = 256;

export function createMatcher(place: SearchPlace, view: MailboxView, key: SearchKey): Matcher {
  const { store, tenant } = place;
  const needles: Needle[] = [];
  const test = prepare(key, view, place, needles);
  const contentOf = createReadAhead(view, mostContents, async (uids) => {
    const contents = await place.contentsOf(uids);
    return new Map(contents.map((found) => [found.uid, found]));
  });
  const indexedOf = createReadAhead(view, mostIndexed, (uids) =>
    store.indexedMessages(tenant, view.id, uids[0]!, uids.at(-1)!, needles),
  );
  return (sequence) => {
    const row = view.at(sequence);
    const content = once(async () => {
      const found = await contentOf(sequence);
      return found ? compose(found) : null;
    });
    return test({
      sequence,
      row,
      content,
      header: once(async () => {
        const found = await content();
        return found ? (await readHeader(store, tenant, found)).map(headerLine) : [];
      }),
      indexed: () => indexedOf(sequence),
      kept: once(async (object: string) => {
        const whole = await store.searchText(tenant, object);
        return whole === null ? null : splitText(whole);
      }),
    });
  };
}

function once<A extends unknown[], T>(make: (...args: A) => Promise<T>): (...args: A) => Promise<T> {
  let made: Promise<T> | undefined;
  return (...args) => {
    made ??= make(...args);
    return made;
  };
}

/**
 * Reads what is asked for message after message in pages: twice as large each time, as long as half of the last one was
 * asked for; one here and one there is read alone.
 */
function createReadAhead<T>(
  view: MailboxView,
  most: number,
  read: (uids: readonly number[]) => Promise<ReadonlyMap<number, T>>,
): (sequence: number) => Promise<T | undefined> {
  let page: ReadonlyMap<number, T> = new Map();
  let from = 1;
  let to = 1;
  let last = 0;
  let used = 0;
  return async (sequence) => {
    if (sequence < from || sequence >= to) {
      const size = 2 * used >= to - from ? Math.max(1, Math.min(2 * (to - from), most)) : 1;
      from = sequence;
      to = Math.min(sequence + size, view.count + 1);
      used = 0;
      page = await read(Array.from({ length: to - from }, (_, at) => view.at(from + at).uid));
    }
    if (sequence !== last) used++;
    last = sequence;
    return page.get(view.at(sequence).uid);
  };
}

type Test = (candidate: Candidate) => Answer;

/** `needles` takes in what the search text is asked for. */
function prepare(key: SearchKey, view: MailboxView, place: SearchPlace, needles: Needle[]): Test {
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
    case 'envelope':
      return envelopeTest(key.field, fold(key.text), needles);
    case 'header':
      return headerTest(fold(key.field), fold(key.text), needles);
    case 'body':
    case 'text':
      return textTest(fold(key.text), key.key === 'text', place, needles);
    case 'not': {
      const operand = prepare(key.operand, view, place, needles);
      return (candidate) => {
        const answer = operand(candidate);
        return typeof answer === 'boolean' ? !answer : answer.then((matches) => !matches);
      };
    }
    case 'or':
      return firstOf(
        true,
        byCost([key.left, key.right]).map((one) => prepare(one, view, place, needles)),
      );
    case 'and':
      return firstOf(
        false,
        byCost(key.keys).map((one) => prepare(one, view, place, needles)),
      );
  }
}

function setTest(set: SequenceSet, largest: number, number: (candidate: Candidate) => number): Test {
  const resolved = resolve(set, largest);
  return (candidate) => includes(resolved, number(candidate));
}

/** `decides` where one of the tests gives that, else the opposite. Waits for nothing that need not be waited for. */
function firstOf(decides: boolean, tests: readonly Test[]): Test {
  async function rest(candidate: Candidate, answer: Promise<boolean>, from: number): Promise<boolean> {
    if ((await answer) === decides) return decides;
    for (const test of tests.slice(from)) if ((await test(candidate)) === decides) return decides;
    return !decides;
  }
  return (candidate) => {
    for (const [at, test] of tests.entries()) {
      const answer = test(candidate);
      if (answer === decides) return decides;
      if (typeof answer !== 'boolean') return rest(candidate, answer, at + 1);
    }
    return !decides;
  };
}

/** 0: answered from the view; 1: needs the structure or header; 2: needs text. */
function cost(key: SearchKey): number {
  switch (key.key) {
    case 'body':
    case 'text':
      return 2;
    case 'envelope':
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

function ask(needles: Needle[], needle: Needle): (indexed: IndexedMessage) => boolean {
  const at = needles.push(needle) - 1;
  return ({ may }) => may[at]!;
}

/** In the field of the envelope: what the index made at ingest says. */
function envelopeTest(field: EnvelopeField, wanted: string, needles: Needle[]): Test {
  const may = ask(needles, { where: field, text: wanted });
  return async (candidate) => {
    const indexed = await candidate.indexed();
    if (indexed && !may(indexed) && !(field === 'subject' && blockHasSubject(indexed.prefix))) return false;
    const composed = await candidate.content();
    return composed !== null && (envelopeText(composed.envelope, field)?.includes(wanted) ?? false);
  };
}

function blockHasSubject(block: Uint8Array): boolean {
  return block.length > 0 && parseHeader(block).some(({ lower }) => lower === 'subject');
}

function headerTest(field: string, wanted: string, needles: Needle[]): Test {
  const start = `${field}: `;
  const mayName = ask(needles, { where: 'header', text: start });
  const mayText = ask(needles, { where: 'header', text: wanted });
  const fits = (line: string) => line.startsWith(start) && line.includes(wanted, start.length);
  return headerWith(fits, (indexed) => mayName(indexed) && mayText(indexed));
}

/** Is there a header line that fits? */
function headerWith(
  fits: (line: string) => boolean,
  may: (indexed: IndexedMessage) => boolean,
): (candidate: Candidate) => Promise<boolean> {
  return async (candidate) => {
    const indexed = await candidate.indexed();
    if (!indexed) return (await candidate.header()).some(fits);
    if (indexed.prefix.length > 0 && parseHeader(indexed.prefix).map(headerLine).some(fits)) return true;
    if (!may(indexed)) return false;
    return ((await candidate.kept(indexed.object))?.header ?? (await candidate.header())).some(fits);
  };
}

function textTest(wanted: string, withHeader: boolean, place: SearchPlace, needles: Needle[]): Test {
  if (wanted === '') return () => true;
  const inHeader = headerWith(
    (line) => line.includes(wanted),
    ask(needles, { where: 'header', text: wanted }),
  );
  const mayBody = ask(needles, { where: 'body', text: wanted });
  return async (candidate) => {
    if (withHeader && (await inHeader(candidate))) return true;
    const indexed = await candidate.indexed();
    if (indexed) {
      if (!mayBody(indexed)) return false;
      const kept = await candidate.kept(indexed.object);
      await place.turn();
      if (kept) return kept.body.includes(wanted);
    }
    const composed = await candidate.content();
    return composed !== null && bodyHolds(place, composed, wanted);
  };
}

async function bodyHolds(
  { store, tenant, turn }: SearchPlace,
  composed: Composed,
  wanted: string,
): Promise<boolean> {
  let window = '';
  for await (const piece of bodyPieces(store, tenant, composed)) {
    window += piece;
    await turn();
    if (window.includes(wanted)) return true;
    // What a match could begin in.
    window = window.slice(1 - wanted.length || window.length);
  }
  return false;
}
