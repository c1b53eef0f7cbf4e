/** C2SP tlog checkpoints: origin, size and root as a signed note. */
import { type NoteSigner, parseNote, parseVerifierKey, signersOf } from './note.ts';

export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  readonly root: Buffer;
}

export function signCheckpoint(checkpoint: Checkpoint, ...signers: readonly NoteSigner[]): string {
  const body = `${checkpoint.origin}\n${checkpoint.size}\n${checkpoint.root.toString('base64')}\n`;
  return `${body}\n${signers.map((signer) => signer.sign(body)).join('')}`;
}

/**
 * Reads a signed checkpoint and checks the signature by one of `keys` (verifier key texts).
 * @throws Error saying which part is wrong.
 */
export function openCheckpoint(note: string, ...keys: readonly string[]): Checkpoint {
  const known = keys.map(parseVerifierKey);
  const signed = parseNote(note, 'checkpoint');
  if (signersOf(signed, known).length === 0)
    throw new Error(`checkpoint carries no valid signature of ${[...new Set(known.map((k) => k.name))]}`);
  const { extensions, ...checkpoint } = readCheckpointText(signed.text);
  // What we sign has three lines: nobody audits what more would say.
  if (extensions.length > 0) throw new Error('checkpoint body does not have three lines');
  return checkpoint;
}

/** Reads the text of a checkpoint, signature or not. @throws Error saying which part is wrong. */
export function readCheckpointText(text: string): Checkpoint & { readonly extensions: readonly string[] } {
  const [origin, size, root, ...rest] = text.split('\n');
  if (origin === undefined || size === undefined || root === undefined || rest.pop() !== '')
    throw new Error('checkpoint body does not have three lines');
  if (origin === '' || rest.includes('')) throw new Error('checkpoint body has an empty line');
  if (!/^(0|[1-9]\d{0,15})$/.test(size) || !Number.isSafeInteger(Number(size)))
    throw new Error('checkpoint size is no number');
  const hash = Buffer.from(root, 'base64');
  if (hash.length !== 32 || hash.toString('base64') !== root) throw new Error('checkpoint root is no hash');
  return { origin, size: Number(size), root: hash, extensions: rest };
}
