/**
 * What makes two copies of a message the same, whatever their encoding, their Bcc and their trace headers: Message-ID,
 * sender, recipients, date, subject, decoded text and attachments.
 */
import { createHash, type Hash } from 'node:crypto';
import { partTexts, type ReadRange } from './part-text.ts';
import type { EnvelopeAddress, MessageIndex } from './types.ts';
import { decodeWords } from './words.ts';

/**
 * Hex SHA-256, or null for a message without Message-ID: nothing else tells two letters of one text apart.
 * @param read bytes of the message that `index` speaks of
 */
export async function messageFingerprint(index: MessageIndex, read: ReadRange): Promise<string | null> {
  const { envelope } = index.root;
  if (!envelope?.messageId) return null;
  const hash = createHash('sha256');
  const part = (value: string) => hash.update(`${Buffer.byteLength(value)}:${value}`);
  part(envelope.messageId);
  part(addresses(envelope.from));
  part(addresses([...envelope.to, ...envelope.cc]));
  part(instant(envelope.date ?? ''));
  part(
    decodeWords(envelope.subject ?? '')
      .normalize('NFC')
      .replace(/\s+/g, ' ')
      .trim(),
  );
  part(
    index.attachments
      .map(({ sha256 }) => sha256)
      .sort()
      .join(),
  );
  const words = createWordDigest(hash);
  for await (const piece of partTexts(index.root, read)) words.push(piece ?? ' ');
  words.finish();
  return hash.digest('hex');
}

/** Names and the marks of groups are written as each program likes. */
function addresses(list: readonly EnvelopeAddress[]): string {
  const found = list.flatMap(({ mailbox, host }) =>
    host === null ? [] : [`${mailbox ?? ''}@${host}`.toLowerCase()],
  );
  return [...new Set(found)].sort().join();
}

/** Longest date that is read as one, characters: looking for comments in any length would take the square of it. */
const MAX_DATE = 200;

/** The same moment in two time zones is one. */
function instant(date: string): string {
  if (date.length > MAX_DATE) return date;
  return String(Date.parse(date.replace(/\s*\([^)]*\)\s*$/, '')) || date);
}

/** Text held back for a combining mark that may follow, characters: more is never one character. */
const MAX_HELD = 65_536;

/** Blanks and line ends differ between encodings of one text (flowed, trailing blanks): words do not. */
function createWordDigest(hash: Hash): { push(piece: string): void; finish(): void } {
  let held = '';
  let begun = false;
  let gap = false;
  function take(text: string): void {
    // Single spaces, which are most, stay as they are: four times as fast.
    let words = text.normalize('NFC').replace(/\s{2,}|[^\S ]/g, ' ');
    if (words.startsWith(' ')) {
      gap = true;
      words = words.slice(1);
    }
    if (words === '') return;
    if (gap && begun) hash.update(' ', 'utf16le');
    begun = true;
    gap = words.endsWith(' ');
    // UTF-16, so that half a pair at the end of a piece is not taken for another half.
    hash.update(gap ? words.slice(0, -1) : words, 'utf16le');
  }
  return {
    push(piece) {
      held += piece;
      // Before an ASCII character nothing composes, so pieces may be cut there and nowhere else.
      const cut = held.length > MAX_HELD ? held.length : lastAscii(held);
      take(held.slice(0, cut));
      held = held.slice(cut);
    },
    finish: () => take(held),
  };
}

function lastAscii(text: string): number {
  let at = text.length - 1;
  while (at > 0 && text.charCodeAt(at) > 0x7f) at -= 1;
  return Math.max(0, at);
}
