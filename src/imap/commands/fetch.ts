/** FETCH and UID FETCH. RFC 3501 6.4.5, 7.4.2; RFC 7162 3.1.4. */
import { setImmediate } from 'node:timers/promises';
import { type ByteSource, CorruptObject, type MessageRow } from '../../store/store.ts';
import type { CommandOf, FetchItem } from '../codec/command.ts';
import { printAstring, printFlags, printInternalDate } from '../codec/printer.ts';
import type { Span } from '../composed.ts';
import { tenantOf } from '../mailbox-access.ts';
import { opens, recordOpenings, shownContents } from '../private-mail.ts';
import { readSection, readSpan } from '../sections.ts';
import { type Answer, badAnswer, enableCondstore, no, ok, type Session } from '../session.ts';
import { needsHeader, type ShownMessage, shownByIndex, shownBySummary, sourceFor } from '../shown.ts';
import { fetchFlags, shownFlags } from '../tell.ts';

type SectionItem = Extract<FetchItem, { item: 'SECTION' }>;

/** Messages answered before others get a turn: from the view alone, from lists, from structures. */
const batches = { row: 1000, summary: 200, content: 50 };
/** Up to here a section is read before its size is announced: damage then gives a NO, not a broken stream. */
const small = 128 * 1024;

export async function fetch(session: Session, command: CommandOf<'FETCH'>): Promise<Answer> {
  const view = session.view!;
  if (!command.uid && !view.covers(command.set)) return badAnswer('No such message');
  const items = withImplied(command);
  if (command.changedSince !== null || items.some(({ item }) => item === 'MODSEQ')) enableCondstore(session);
  const source = sourceFor(items);
  const readsSections = items.some(({ item }) => item === 'SECTION');
  const setsSeen = !view.readOnly && items.some((item) => item.item === 'SECTION' && !item.peek);
  const sequences = view.select(command.set, command.uid);
  const since = command.changedSince ?? -1;
  let missing = 0;
  const step = batches[source];
  for (let from = 0; from < sequences.length; from += step) {
    // Others get a turn between two batches.
    if (from > 0) await setImmediate();
    const some = sequences
      .slice(from, from + step)
      .map((sequence) => ({ sequence, row: view.at(sequence) }))
      .filter(({ row }) => row.modseq > since);
    const uids = some.map(({ row }) => row.uid);
    const messages = source === 'row' ? null : await messagesOf(session, uids, items);
    const newlySeen = setsSeen
      ? await setSeen(
          session,
          some.map(({ row }) => row),
        )
      : new Set<number>();
    for (const { sequence, row } of some) {
      const message = messages?.get(row.uid) ?? null;
      if (messages && !message) {
        missing++;
        // RFC 2180 4.1.2: what the view still knows of an expunged message can be answered, its text cannot.
        continue;
      }
      if (!readsSections) {
        session.connection.send(simpleAnswer(session, sequence, row, message, items));
        if (session.connection.crowded) await session.connection.breathe();
        continue;
      }
      const current = newlySeen.has(row.uid) ? view.at(sequence) : row;
      const tellFlags = newlySeen.has(row.uid) && !items.some(({ item }) => item === 'FLAGS');
      try {
        await sendMessage(session, sequence, current, message, items, tellFlags);
      } catch (error) {
        if (session.ended || !(error instanceof CorruptObject) || !(await isGone(session, row.uid)))
          throw error;
        missing++;
      }
      await session.connection.breathe();
    }
  }
  if (missing > 0) return no('Some messages were deleted meanwhile', 'EXPUNGEISSUED');
  return ok('Fetched');
}

/** Expunged while it was looked at: its object may be gone with it. */
async function isGone(session: Session, uid: number): Promise<boolean> {
  const view = session.view!;
  return (await session.deps.store.contents(tenantOf(session), view.id, [uid])).length === 0;
}

/** RFC 3501 6.4.8: UID FETCH answers with the UID; RFC 7162 3.1.4.1: CHANGEDSINCE answers with the modseq. */
function withImplied(command: CommandOf<'FETCH'>): readonly FetchItem[] {
  const items = [...command.items];
  if (command.uid && !items.some(({ item }) => item === 'UID')) items.unshift({ item: 'UID' });
  if (command.changedSince !== null && !items.some(({ item }) => item === 'MODSEQ'))
    items.push({ item: 'MODSEQ' });
  return items;
}

/** Marks as read what was not; returns the UIDs that this changed. */
async function setSeen(session: Session, rows: readonly MessageRow[]): Promise<Set<number>> {
  const view = session.view!;
  // Where the mailbox changed meanwhile, another session may have marked as unread what this one takes for read.
  const unseen = rows.filter(({ flags }) => session.dirty || !flags.includes('\\Seen')).map(({ uid }) => uid);
  if (unseen.length === 0) return new Set();
  const { changed } = await session.deps.store.changeFlags(tenantOf(session), view.id, unseen, {
    op: 'add',
    flags: ['\\Seen'],
    ...(view.user === undefined ? {} : { user: view.user }),
  });
  for (const row of changed) view.update(row);
  return new Set(changed.map(({ uid }) => uid));
}

/** Messages by UID; what is opened by this is recorded. */
async function messagesOf(
  session: Session,
  uids: readonly number[],
  items: readonly FetchItem[],
): Promise<Map<number, ShownMessage>> {
  const found = new Map<number, ShownMessage>();
  const privates: { privateOf: number | null }[] = [];
  let left = uids;
  // Where private De-Mails are hidden, a placeholder takes their place, and that is in no list.
  if (sourceFor(items) === 'summary' && !session.privateAccess?.restricted) {
    const { store } = session.deps;
    const withHeader = items.some(needsHeader);
    const summaries = await store.summaries(tenantOf(session), session.view!.id, uids, withHeader);
    for (const summary of summaries) {
      const message = shownBySummary(summary, items);
      if (message === null) continue;
      found.set(summary.uid, message);
      if (summary.privateOf !== null) privates.push(summary);
    }
    left = uids.filter((uid) => !found.has(uid));
  }
  if (left.length > 0)
    for (const content of await shownContents(session, left)) {
      found.set(content.uid, shownByIndex(content));
      privates.push(content);
    }
  if (items.some(opens)) await recordOpenings(session, privates);
  return found;
}

async function sendMessage(
  session: Session,
  sequence: number,
  row: MessageRow,
  message: ShownMessage | null,
  items: readonly FetchItem[],
  tellFlags: boolean,
): Promise<void> {
  const { connection } = session;
  // Everything small is gathered first, so that an error in it breaks no response off.
  const pieces: (string | Buffer)[] = [];
  let text = `* ${sequence} FETCH (`;
  let separator = '';
  for (const item of items) {
    text += separator;
    separator = ' ';
    if (item.item !== 'SECTION') {
      text += simpleItem(session, item.item, row, message);
      continue;
    }
    const label = item.legacy ?? sectionLabel(item);
    const found = await readSection(
      session.deps.store,
      tenantOf(session),
      message!,
      item.section,
      item.partial,
    );
    if (!found) {
      text += `${label} NIL`;
      continue;
    }
    const size = 'bytes' in found ? found.bytes.length : found.span.to - found.span.from;
    text += `${label} {${size}}\r\n`;
    pieces.push(text);
    text = '';
    if ('bytes' in found) pieces.push(found.bytes);
    else if (size <= small) {
      const bytes = await readSpan(session.deps.store, tenantOf(session), message!.source, found.span);
      if (bytes.length !== size) throw new Error('a section is shorter than its index says');
      pieces.push(bytes);
    } else {
      for (const piece of pieces.splice(0)) connection.send(piece);
      await stream(session, message!.source, found.span);
    }
  }
  for (const piece of pieces) connection.send(piece);
  connection.send(`${text})\r\n`);
  if (tellFlags) connection.send(fetchFlags(session, sequence, row, true));
}

/** An answer without sections: nothing in it has to be waited for. */
function simpleAnswer(
  session: Session,
  sequence: number,
  row: MessageRow,
  message: ShownMessage | null,
  items: readonly FetchItem[],
): string {
  let text = `* ${sequence} FETCH (`;
  let separator = '';
  for (const item of items) {
    if (item.item === 'SECTION') continue;
    text += separator + simpleItem(session, item.item, row, message);
    separator = ' ';
  }
  return `${text})\r\n`;
}

function simpleItem(
  session: Session,
  item: Exclude<FetchItem['item'], 'SECTION'>,
  row: MessageRow,
  message: ShownMessage | null,
): string {
  switch (item) {
    case 'FLAGS':
      return `FLAGS ${printFlags(shownFlags(session, row))}`;
    case 'UID':
      return `UID ${row.uid}`;
    case 'INTERNALDATE':
      return `INTERNALDATE ${printInternalDate(row.internalDate)}`;
    case 'RFC822.SIZE':
      return `RFC822.SIZE ${row.size}`;
    case 'MODSEQ':
      return `MODSEQ (${row.modseq})`;
    case 'ENVELOPE':
      return `ENVELOPE ${message!.envelope}`;
    case 'BODY':
    case 'BODYSTRUCTURE':
      return `${item} ${message!.structure(item === 'BODYSTRUCTURE')}`;
  }
}

function sectionLabel({ section, partial }: SectionItem): string {
  const part = section.part.join('.');
  const what = section.what === 'ALL' ? '' : section.what;
  const fields = section.fields.length > 0 ? ` (${section.fields.map(printAstring).join(' ')})` : '';
  const dot = part !== '' && what !== '' ? '.' : '';
  return `BODY[${part}${dot}${what}${fields}]${partial ? `<${partial.from}>` : ''}`;
}

/** Large sections go from the store to the socket as fast as the client takes them. */
async function stream(session: Session, source: ByteSource, span: Span): Promise<void> {
  const { connection, deps } = session;
  let left = span.to - span.from;
  try {
    for await (const chunk of deps.store.readSource(tenantOf(session), source, span.from, span.to)) {
      left -= chunk.length;
      connection.send(chunk);
      await connection.breathe();
    }
    if (left !== 0) throw new Error('a section is shorter than its index says');
  } catch (error) {
    // The size is announced already: only closing tells the client that the message is not whole.
    session.ended = true;
    connection.destroy();
    throw error;
  }
}
