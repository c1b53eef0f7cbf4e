/** FETCH and UID FETCH. RFC 3501 6.4.5, 7.4.2; RFC 7162 3.1.4. */
import { setImmediate } from 'node:timers/promises';
import type { MessageContent, MessageRow } from '../../store/store.ts';
import type { CommandOf, FetchItem } from '../codec/command.ts';
import { printAstring, printFlags, printInternalDate } from '../codec/printer.ts';
import { printBodyStructure, printEnvelope } from '../codec/structure.ts';
import { type Composed, compose, type Span } from '../composed.ts';
import { tenantOf } from '../mailbox-access.ts';
import { opens, recordOpenings, shownContents } from '../private-mail.ts';
import { readSection, readSpan } from '../sections.ts';
import { type Answer, badAnswer, enableCondstore, no, ok, type Session } from '../session.ts';
import { fetchFlags, shownFlags } from '../tell.ts';

type SectionItem = Extract<FetchItem, { item: 'SECTION' }>;

/** Structures held at one time. */
const batch = 50;
/** Messages answered from the view alone before others get a turn. */
const light = 1000;
/** Up to here a section is read before its size is announced: damage then gives a NO, not a broken stream. */
const small = 128 * 1024;

export async function fetch(session: Session, command: CommandOf<'FETCH'>): Promise<Answer> {
  const view = session.view!;
  if (!command.uid && !view.covers(command.set)) return badAnswer('No such message');
  const items = withImplied(command);
  if (command.changedSince !== null || items.some(({ item }) => item === 'MODSEQ')) enableCondstore(session);
  const needsContent = items.some(({ item }) =>
    ['SECTION', 'ENVELOPE', 'BODY', 'BODYSTRUCTURE'].includes(item),
  );
  const setsSeen = !view.readOnly && items.some((item) => item.item === 'SECTION' && !item.peek);
  const sequences = view.select(command.set, command.uid);
  const since = command.changedSince ?? -1;
  let missing = 0;
  const step = needsContent ? batch : light;
  for (let from = 0; from < sequences.length; from += step) {
    // Others get a turn between two batches.
    await setImmediate();
    const some = sequences
      .slice(from, from + step)
      .map((sequence) => ({ sequence, row: view.at(sequence) }))
      .filter(({ row }) => row.modseq > since);
    const contents = needsContent
      ? await contentsOf(
          session,
          some.map(({ row }) => row.uid),
        )
      : null;
    if (contents && items.some(opens)) await recordOpenings(session, contents.values());
    const newlySeen = setsSeen
      ? await setSeen(
          session,
          some.map(({ row }) => row),
        )
      : new Set<number>();
    for (const { sequence, row } of some) {
      const content = contents?.get(row.uid);
      if (contents && !content) {
        missing++;
        // RFC 2180 4.1.2: what the view still knows of an expunged message can be answered, its text cannot.
        continue;
      }
      const current = newlySeen.has(row.uid) ? view.at(sequence) : row;
      const tellFlags = newlySeen.has(row.uid) && !items.some(({ item }) => item === 'FLAGS');
      await sendMessage(session, sequence, current, content ? compose(content) : null, items, tellFlags);
      await session.connection.breathe();
    }
  }
  if (missing > 0) return no('Some messages were deleted meanwhile', 'EXPUNGEISSUED');
  return ok('Fetched');
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

async function contentsOf(session: Session, uids: readonly number[]): Promise<Map<number, MessageContent>> {
  const contents = await shownContents(session, uids);
  return new Map(contents.map((content) => [content.uid, content]));
}

async function sendMessage(
  session: Session,
  sequence: number,
  row: MessageRow,
  composed: Composed | null,
  items: readonly FetchItem[],
  tellFlags: boolean,
): Promise<void> {
  const { connection } = session;
  // Everything small is gathered first, so that an error in it breaks no response off.
  let text = `* ${sequence} FETCH (`;
  let separator = '';
  for (const item of items) {
    text += separator;
    separator = ' ';
    if (item.item !== 'SECTION') {
      text += simpleItem(session, item.item, row, composed);
      continue;
    }
    const label = item.legacy ?? sectionLabel(item);
    const found = await readSection(
      session.deps.store,
      tenantOf(session),
      composed!,
      item.section,
      item.partial,
    );
    if (!found) {
      text += `${label} NIL`;
      continue;
    }
    const size = 'bytes' in found ? found.bytes.length : found.span.to - found.span.from;
    text += `${label} {${size}}\r\n`;
    if ('bytes' in found) text += found.bytes.toString('latin1');
    else if (size <= small) {
      const bytes = await readSpan(session.deps.store, tenantOf(session), composed!, found.span);
      if (bytes.length !== size) throw new Error('a section is shorter than its index says');
      text += bytes.toString('latin1');
    } else {
      connection.send(text);
      text = '';
      await stream(session, composed!, found.span);
    }
  }
  connection.send(`${text})\r\n`);
  if (tellFlags) connection.send(fetchFlags(session, sequence, row, true));
}

function simpleItem(
  session: Session,
  item: Exclude<FetchItem['item'], 'SECTION'>,
  row: MessageRow,
  composed: Composed | null,
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
      return `ENVELOPE ${printEnvelope(composed!.envelope)}`;
    case 'BODY':
    case 'BODYSTRUCTURE':
      return `${item} ${printBodyStructure(composed!.content.index.root, item === 'BODYSTRUCTURE')}`;
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
async function stream(session: Session, composed: Composed, span: Span): Promise<void> {
  const { connection, deps } = session;
  let left = span.to - span.from;
  try {
    for await (const chunk of deps.store.readSource(
      tenantOf(session),
      composed.content.source,
      span.from,
      span.to,
    )) {
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
