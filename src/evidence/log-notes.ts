/**
 * Signed notes about a log itself: its key changes, or it is closed. They are no checkpoints, and cannot be taken
 * for one: the second line is no number.
 */
import { type NoteSigner, parseNote, parseVerifierKey, signersOf } from './note.ts';

const KEY_CHANGED = 'demail-gateway/log-key/v1';
const CLOSED = 'demail-gateway/log-closed/v1';

export interface KeyChange {
  readonly origin: string;
  readonly index: number;
  readonly previous: string;
  readonly key: string;
}

/** Says that the log of this origin is signed by `key` from entry `index` on. */
export function keyNote(change: KeyChange, ...signers: readonly NoteSigner[]): string {
  return note(keyLines(change), signers);
}

/** Is this the note about this change, signed by both keys? */
export function isKeyNote(text: string, change: KeyChange): boolean {
  try {
    return (
      parseNote(text).text === `${keyLines(change).join('\n')}\n` &&
      isSignedBy(text, change.previous, change.key)
    );
  } catch {
    return false;
  }
}

function keyLines({ origin, index, previous, key }: KeyChange): string[] {
  return [KEY_CHANGED, `origin ${origin}`, `entry ${index}`, `previous ${previous}`, `key ${key}`];
}

export interface Closing {
  readonly origin: string;
  readonly size: number;
  /** Base64. */
  readonly root: string;
  readonly knownSize: number;
  readonly successor: string;
  readonly reason: string;
}

/** The last word of a log: nothing more is signed under its origin. */
export function closingNote(closing: Closing, ...signers: readonly NoteSigner[]): string {
  const { origin, size, root, knownSize, successor, reason } = closing;
  return note(
    [
      CLOSED,
      `origin ${origin}`,
      `size ${size}`,
      `root ${root}`,
      `known ${knownSize}`,
      `successor ${successor}`,
      `reason ${oneLine(reason)}`,
    ],
    signers,
  );
}

/** Is the note signed by each of these keys? @throws Error where one signature does not verify. */
export function isSignedBy(text: string, ...keys: readonly string[]): boolean {
  return signersOf(parseNote(text), keys.map(parseVerifierKey)).length === keys.length;
}

function note(lines: readonly string[], signers: readonly NoteSigner[]): string {
  const text = `${lines.join('\n')}\n`;
  return `${text}\n${signers.map((signer) => signer.sign(text)).join('')}`;
}

/** A note has no control characters, and a line no line end. */
function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ').trim();
}
