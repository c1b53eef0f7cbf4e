/**
 * The list of a bundle's files, in the form of sha256sum, and the log's signature over it: a file that was taken out
 * together with all that speaks of it is missed here.
 */
import { hash } from 'node:crypto';
import { type NoteSigner, parseNote, parseVerifierKey, signersOf } from '../note.ts';

/** The second line is no number, so it cannot be taken for a checkpoint. */
const FORMAT = 'demail-gateway/bundle/v1';

export function printSums(files: readonly { readonly name: string; readonly sha256: string }[]): string {
  return files.map(({ name, sha256 }) => `${sha256}  ${name}\n`).join('');
}

/** What a list of files is of: a letter, or (null) all of a tenant. */
export interface SumsSubject {
  readonly tenant: string;
  readonly letter: number | null;
  readonly sums: string;
}

export function sumsNote(subject: SumsSubject, signer: NoteSigner): string {
  const text = noteText(subject);
  return `${text}\n${signer.sign(text)}`;
}

/**
 * Which of the keys signed the list.
 * @throws Error where the note is malformed, about another list, or a signature in a known name does not verify
 */
export function signersOfSums(note: string, subject: SumsSubject, keys: readonly string[]): string[] {
  const signed = parseNote(note);
  if (signed.text !== noteText(subject)) throw new Error('it is about another list of files');
  const known = new Map(keys.map((key) => [parseVerifierKey(key), key]));
  // One key comes both from the bundle and from whoever verifies it.
  return signersOf(signed, [...known.keys()]).map((key) => known.get(key)!);
}

function noteText({ tenant, letter, sums }: SumsSubject): string {
  const what = letter === null ? `tenant ${tenant}` : `letter ${tenant}/${letter}`;
  return `${FORMAT}\n${what}\nfiles ${sums.split('\n').length - 1}\nsha256 ${hash('sha256', sums)}\n`;
}
