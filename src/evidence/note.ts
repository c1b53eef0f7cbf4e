/** C2SP signed notes (c2sp.org/signed-note): text, blank line, signature lines; Ed25519 keys. */
import { createHash, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';

/** Signature types: a log's own signature, and a witness's timestamped cosignature. */
export const ED25519 = 0x01;
export const COSIGNATURE = 0x04;
type KeyType = typeof ED25519 | typeof COSIGNATURE;

const EM_DASH = '\u2014';
/** Sixteen post-quantum signatures fit; more is no note of this world. */
const LONGEST = 131_072;
const MOST_SIGNATURES = 64;

export interface NoteSignature {
  readonly name: string;
  /** Key id, 4 bytes. */
  readonly id: Buffer;
  readonly signature: Buffer;
  /** The line as it stands, with its line end. */
  readonly line: string;
}

export interface SignedNote {
  /** With its final line end. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

export interface NoteSigner {
  readonly name: string;
  /** Signature line of a note's text, with its line end. */
  sign(text: string): string;
}

/** A verifier key taken apart. */
export interface NoteKey {
  readonly name: string;
  readonly id: Buffer;
  readonly type: KeyType;
  readonly publicKey: KeyObject;
}

/** A signer of notes; what depends on the key alone is computed once. */
export function createNoteSigner(name: string, privateKey: KeyObject): NoteSigner {
  const id = keyId(name, ED25519, rawPublicKey(createPublicKey(privateKey)));
  return { name, sign: (text) => signatureLine(name, id, sign(null, Buffer.from(text), privateKey)) };
}

export function signatureLine(name: string, id: Uint8Array, signature: Uint8Array): string {
  return `${EM_DASH} ${name} ${Buffer.concat([id, signature]).toString('base64')}\n`;
}

/** `name+hexid+base64(type ‖ key)`, the form in which a key is published. */
export function verifierKey(name: string, publicKey: KeyObject, type: KeyType = ED25519): string {
  const raw = rawPublicKey(publicKey);
  const id = keyId(name, type, raw).toString('hex');
  return `${name}+${id}+${Buffer.concat([Buffer.from([type]), raw]).toString('base64')}`;
}

/** @throws Error for what is no verifier key of a type that is known here. */
export function parseVerifierKey(key: string): NoteKey {
  const [name, hex, base64] = splitKey(key);
  if (!isKeyName(name)) throw new Error('verifier key has a name that no key may have');
  const blob = Buffer.from(base64, 'base64');
  const type = blob[0];
  if ((type !== ED25519 && type !== COSIGNATURE) || blob.length !== 33 || blob.toString('base64') !== base64)
    throw new Error('verifier key is no Ed25519 key (type 01 of a log, 04 of a witness)');
  const raw = blob.subarray(1);
  const id = keyId(name, type, raw);
  if (id.toString('hex') !== hex) throw new Error('verifier key id does not fit its key');
  const publicKey = createPublicKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: raw.toString('base64url') },
    format: 'jwk',
  });
  return { name, id, type, publicKey };
}

/** Takes a note apart; verifies nothing. @throws Error saying what is malformed. */
export function parseNote(note: string, what = 'note'): SignedNote {
  if (note.length > LONGEST) throw new Error(`${what} is longer than ${LONGEST / 1024} KiB`);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the format forbids exactly these
  if (/[\x00-\x09\x0b-\x1f]/.test(note)) throw new Error(`${what} holds control characters`);
  const split = note.lastIndexOf('\n\n');
  if (split < 0) throw new Error(`${what} has no signature block`);
  const lines = note.slice(split + 2).split('\n');
  if (lines.pop() !== '' || lines.length === 0) throw new Error(`${what} has no signature block`);
  if (lines.length > MOST_SIGNATURES) throw new Error(`${what} has more than ${MOST_SIGNATURES} signatures`);
  return { text: note.slice(0, split + 1), signatures: lines.map((line) => parseSignature(line, what)) };
}

/** Signature lines alone, as a witness answers. @throws Error as `parseNote`. */
export function parseSignatures(lines: string, what = 'note'): readonly NoteSignature[] {
  return parseNote(`-\n\n${lines}`, what).signatures;
}

function parseSignature(line: string, what: string): NoteSignature {
  const match = /^\u2014 (\S+) ([A-Za-z0-9+/]+={0,2})$/.exec(line);
  if (match === null || !isKeyName(match[1]!)) throw new Error(`${what} has a malformed signature line`);
  const blob = Buffer.from(match[2]!, 'base64');
  if (blob.length < 5 || blob.toString('base64') !== match[2])
    throw new Error(`${what} has a malformed signature line`);
  return { name: match[1]!, id: blob.subarray(0, 4), signature: blob.subarray(4), line: `${line}\n` };
}

/**
 * The keys of `keys` whose signature the note carries. One of a known key that does not verify rejects the note, as
 * the specification demands. @throws Error then.
 */
export function signersOf({ text, signatures }: SignedNote, keys: readonly NoteKey[]): NoteKey[] {
  const bytes = Buffer.from(text);
  const signed = new Set<NoteKey>();
  for (const { name, id, signature } of signatures) {
    const key = keys.find((k) => k.type === ED25519 && k.name === name && k.id.equals(id));
    if (key === undefined) continue;
    if (!verify(null, bytes, key.publicKey, signature))
      throw new Error(`note carries no valid signature of ${name}: the one in its name does not verify`);
    signed.add(key);
  }
  return [...signed];
}

/** First four bytes of SHA-256(name ‖ LF ‖ type ‖ key). */
export function keyId(name: string, type: number, raw: Uint8Array): Buffer {
  return createHash('sha256')
    .update(`${name}\n`)
    .update(Buffer.from([type]))
    .update(raw)
    .digest()
    .subarray(0, 4);
}

export function rawPublicKey(publicKey: KeyObject): Buffer {
  return Buffer.from(publicKey.export({ format: 'jwk' }).x!, 'base64url');
}

/** Neither empty, nor with Unicode spaces or plus. */
export function isKeyName(name: string): boolean {
  return name !== '' && name.length <= 255 && !/[\p{White_Space}+]/u.test(name);
}

function splitKey(key: string): [string, string, string] {
  // Base64 may hold '+', so only the first two separate.
  const first = key.indexOf('+');
  const second = key.indexOf('+', first + 1);
  if (first < 1 || second < 0) throw new Error('verifier key is not name+id+key');
  return [key.slice(0, first), key.slice(first + 1, second), key.slice(second + 1)];
}
