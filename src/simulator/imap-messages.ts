/** Commands on the messages of the selected mailbox. */
import type { CommandOf, FetchItem, SearchKey } from '../imap/codec/command.ts';
import { dayOfInstant } from '../imap/codec/date.ts';
import { printFlags, printInternalDate } from '../imap/codec/printer.ts';
import { compress, includes, resolve, type SequenceSet } from '../imap/codec/sequence.ts';
import { asText, splitMessage, unfoldedValue } from './header.ts';
import { type Access, type Answer, no, ok } from './imap-answer.ts';
import type { View } from './imap-view.ts';
import type { StoredMessage } from './mailbox.ts';
import type { Faults } from './options.ts';

export interface Output {
  line(text: string): void;
  write(data: string | Uint8Array): void;
  cut(): void;
  /** Resolves when the client has taken most of what was written. */
  drained(): Promise<void>;
  readonly faults: Faults;
}

export async function fetch(command: CommandOf<'FETCH'>, view: View, out: Output): Promise<Answer> {
  const items: FetchItem[] = [...command.items];
  if (command.uid && !items.some(({ item }) => item === 'UID')) items.unshift({ item: 'UID' });
  const refused = items.find((item) => !offered(item));
  if (refused) return no('CANNOT', `${refused.item} is not offered by this simulator`);
  for (const { sequence, message } of view.pick(command.set, command.uid)) {
    const sections = items.filter((item) => item.item === 'SECTION');
    const bytes = sections.length > 0 ? await view.mailbox.read(message.uid) : undefined;
    if (sections.some(({ peek }) => !peek) && !view.readOnly && !message.flags.has('\\Seen')) {
      view.mailbox.setFlags(message.uid, new Set([...message.flags, '\\Seen']));
    }
    out.write(`* ${sequence} FETCH (`);
    for (const [index, item] of items.entries()) {
      if (index > 0) out.write(' ');
      if (item.item !== 'SECTION') {
        out.write(attribute(item.item, message));
        continue;
      }
      const data = sectionData(bytes!, item);
      out.write(`${sectionName(item)} {${data.length}}\r\n`);
      if (out.faults.cutDuringFetch > 0) {
        out.faults.cutDuringFetch--;
        out.write(data.subarray(0, data.length >> 1));
        out.cut();
        return ok('never sent');
      }
      out.write(data);
    }
    out.line(')');
    await out.drained();
  }
  return ok('done');
}

export function store(command: CommandOf<'STORE'>, view: View, out: Output): Answer {
  if (view.readOnly) return no('CANNOT', 'mailbox is open read-only');
  const given = new Set(command.flags);
  const picked = view.pick(command.set, command.uid);
  if (command.op !== 'remove' && given.has('\\Deleted')) {
    // All or none: what is held must not look deleted.
    const held = picked.find(({ message }) => view.heldUntil(message));
    if (held) return heldAnswer(held.message, view);
  }
  for (const { sequence, message } of picked) {
    const { flags } = message;
    const next = { add: flags.union(given), remove: flags.difference(given), replace: given }[command.op];
    view.mailbox.setFlags(message.uid, next);
    if (command.silent) continue;
    out.line(`* ${sequence} FETCH (UID ${message.uid} FLAGS ${printFlags([...next])})`);
  }
  return ok('done');
}

export async function search(command: CommandOf<'SEARCH'>, view: View, out: Output): Promise<Answer> {
  if (command.returns) return no('CANNOT', 'ESEARCH is not offered by this simulator');
  if (!command.charsetKnown) return no('BADCHARSET (US-ASCII UTF-8)', 'charset is not known');
  const found: number[] = [];
  for (const candidate of view.pick([[1, Number.POSITIVE_INFINITY]], false)) {
    let bytes: Buffer | undefined;
    const read = async () => {
      bytes ??= await view.mailbox.read(candidate.message.uid);
      return bytes;
    };
    if (await fits(command.key, candidate, view, read)) {
      found.push(command.uid ? candidate.message.uid : candidate.sequence);
    }
  }
  out.line(['* SEARCH', ...found].join(' '));
  return ok('done');
}

export async function copy(
  command: CommandOf<'COPY' | 'MOVE'>,
  view: View,
  access: Access,
  out: Output,
): Promise<Answer> {
  const target = access.find(command.mailbox);
  if (!target) return no('TRYCREATE', 'no such mailbox');
  const picked = view.pick(command.set, command.uid);
  const made: number[] = [];
  for (const { message } of picked) {
    const { receivedAt, flags, needsHigh, confirmed } = message;
    const bytes = await view.mailbox.read(message.uid);
    const kept = { receivedAt, flags: [...flags], needsHigh, confirmed };
    made.push((await target.append([bytes], kept)).uid);
  }
  const from = picked.map(({ message }) => message.uid);
  if (from.length === 0) return ok('nothing to do');
  const code = `COPYUID ${target.uidValidity} ${compress(from)} ${compress(made)}`;
  if (command.name === 'COPY') return { status: 'OK', code, text: 'done' };
  // RFC 6851 4.3: the code in an untagged OK, before the EXPUNGE responses that follow the command.
  out.line(`* OK [${code}] moved`);
  for (const uid of from) view.mailbox.expunge(uid);
  return ok('done');
}

/**
 * Removes what is \Deleted; the EXPUNGE responses come with the changes after the command. What is held (flagged
 * by another login, at level high) stays, and the answer says so.
 */
export function expunge(set: SequenceSet | null, view: View): Answer {
  if (view.readOnly) return no('CANNOT', 'mailbox is open read-only');
  const every: SequenceSet = [[1, Number.POSITIVE_INFINITY]];
  let held: StoredMessage | undefined;
  for (const { message } of view.pick(set ?? every, true)) {
    if (!message.flags.has('\\Deleted')) continue;
    if (view.heldUntil(message)) held ??= message;
    else view.mailbox.expunge(message.uid);
  }
  return held ? heldAnswer(held, view) : ok('done');
}

/** RFC 5530: NOPERM. */
function heldAnswer(message: StoredMessage, view: View): Answer {
  const day = view.heldUntil(message)!.toISOString().slice(0, 10);
  return no('NOPERM', `message ${message.uid} was confirmed: delete it after ${day}, or at level high`);
}

function offered(item: FetchItem): boolean {
  if (item.item === 'SECTION') return item.section.part.length === 0 && item.section.what !== 'MIME';
  return ['FLAGS', 'UID', 'INTERNALDATE', 'RFC822.SIZE'].includes(item.item);
}

function attribute(name: string, message: StoredMessage): string {
  switch (name) {
    case 'UID':
      return `UID ${message.uid}`;
    case 'FLAGS':
      return `FLAGS ${printFlags([...message.flags])}`;
    case 'INTERNALDATE':
      return `INTERNALDATE ${printInternalDate(message.receivedAt)}`;
    default:
      return `RFC822.SIZE ${message.size}`;
  }
}

type SectionItem = Extract<FetchItem, { item: 'SECTION' }>;

function sectionName({ legacy, section, partial }: SectionItem): string {
  if (legacy) return legacy;
  const what = section.what === 'ALL' ? '' : section.what;
  const fields = section.fields.length > 0 ? ` (${section.fields.join(' ')})` : '';
  return `BODY[${what}${fields}]${partial ? `<${partial.from}>` : ''}`;
}

function sectionData(bytes: Buffer, { section, partial }: SectionItem): Buffer {
  const whole = wholeSection(bytes, section.what, section.fields);
  return partial ? whole.subarray(partial.from, partial.from + partial.count) : whole;
}

function wholeSection(bytes: Buffer, what: string, fields: readonly string[]): Buffer {
  if (what === 'ALL') return bytes;
  const message = splitMessage(bytes);
  if (what === 'TEXT') return message.body;
  if (what === 'HEADER') return bytes.subarray(0, bytes.length - message.body.length);
  const wanted = new Set(fields.map((field) => field.toLowerCase()));
  const kept = message.fields.filter(
    (field) => wanted.has(field.name.toLowerCase()) === (what === 'HEADER.FIELDS'),
  );
  return Buffer.from(`${kept.map((field) => `${field.raw}\r\n`).join('')}\r\n`, 'latin1');
}

async function fits(
  key: SearchKey,
  candidate: { sequence: number; message: StoredMessage },
  view: View,
  read: () => Promise<Buffer>,
): Promise<boolean> {
  const { message, sequence } = candidate;
  const again = (inner: SearchKey) => fits(inner, candidate, view, read);
  switch (key.key) {
    case 'all':
    case 'old':
      return true;
    case 'new':
    case 'recent':
    case 'modseq':
      return false;
    case 'and': {
      for (const inner of key.keys) if (!(await again(inner))) return false;
      return true;
    }
    case 'or':
      return (await again(key.left)) || (await again(key.right));
    case 'not':
      return !(await again(key.operand));
    case 'flag':
      return message.flags.has(key.flag) === key.set;
    case 'sequence':
      return includes(resolve(key.set, view.uids.length), sequence);
    case 'uid':
      return includes(resolve(key.set, view.uids.at(-1) ?? 0), message.uid);
    case 'larger':
      return message.size > key.size;
    case 'smaller':
      return message.size < key.size;
    case 'before':
      return dayOfInstant(message.receivedAt) < key.day;
    case 'on':
      return dayOfInstant(message.receivedAt) === key.day;
    case 'since':
      return dayOfInstant(message.receivedAt) >= key.day;
    case 'envelope':
    case 'header': {
      const { fields } = splitMessage(await read());
      const name = key.field.toLowerCase();
      return fields.some(
        (field) => field.name.toLowerCase() === name && holds(unfoldedValue(field), key.text),
      );
    }
    case 'body':
      return holds(asText(splitMessage(await read()).body.toString('latin1')), key.text);
    case 'text':
      return holds(asText((await read()).toString('latin1')), key.text);
  }
}

function holds(text: string, part: string): boolean {
  return text.toLowerCase().includes(part.toLowerCase());
}
