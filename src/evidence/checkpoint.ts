/** C2SP signed notes and tlog checkpoints, Ed25519 (type 0x01). */
import { createHash, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';

const ED25519 = 0x01;
const EM_DASH = '\u2014';

export interface Checkpoint {
  readonly origin: string;
  readonly size: number;
  readonly root: Buffer;
}

export interface NoteSigner {
  readonly name: string;
  /** Signature line of a note's text, with its line end. */
  sign(text: string): string;
}

/** A signer of notes; what depends on the key alone is computed once. */
export function createNoteSigner(name: string, privateKey: KeyObject): NoteSigner {
  const id = keyId(name, rawPublicKey(createPublicKey(privateKey)));
  return {
    name,
    sign(text) {
      const signature = sign(null, Buffer.from(text), privateKey);
      return `${EM_DASH} ${name} ${Buffer.concat([id, signature]).toString('base64')}\n`;
    },
  };
}

/** `name+hexid+base64(type ‖ key)`, the form in which a log's key is published. */
export function verifierKey(name: string, publicKey: KeyObject): string {
  const raw = rawPublicKey(publicKey);
  return `${name}+${keyId(name, raw).toString('hex')}+${Buffer.concat([Buffer.from([ED25519]), raw]).toString('base64')}`;
}

export function signCheckpoint(checkpoint: Checkpoint, signer: NoteSigner): string {
  const body = `${checkpoint.origin}\n${checkpoint.size}\n${checkpoint.root.toString('base64')}\n`;
  return `${body}\n${signer.sign(body)}`;
}

/**
 * Reads a signed checkpoint and checks the signature by `key` (verifier key text).
 * @throws Error saying which part is wrong.
 */
export function openCheckpoint(note: string, key: string): Checkpoint {
  if (note.length > 16_384) throw new Error('checkpoint is longer than 16 KiB');
  const { name, id, publicKey } = parseVerifierKey(key);
  const split = note.indexOf('\n\n');
  if (split < 0) throw new Error('checkpoint has no signature block');
  const body = note.slice(0, split + 1);
  const signatures = note
    .slice(split + 2)
    .split('\n')
    .filter((line) => line !== '');
  const valid = signatures.some((line) => {
    const match = /^\u2014 (\S+) ([A-Za-z0-9+/]+={0,2})$/.exec(line);
    if (match === null || match[1] !== name) return false;
    const blob = Buffer.from(match[2]!, 'base64');
    return blob.subarray(0, 4).equals(id) && verify(null, Buffer.from(body), publicKey, blob.subarray(4));
  });
  if (!valid) throw new Error(`checkpoint carries no valid signature of ${name}`);
  const [origin, size, root, ...rest] = body.split('\n');
  if (origin === undefined || size === undefined || root === undefined || rest.length !== 1)
    throw new Error('checkpoint body does not have three lines');
  if (!/^(0|[1-9]\d{0,15})$/.test(size)) throw new Error('checkpoint size is no number');
  const hash = Buffer.from(root, 'base64');
  if (hash.length !== 32 || hash.toString('base64') !== root) throw new Error('checkpoint root is no hash');
  return { origin, size: Number(size), root: hash };
}

function parseVerifierKey(key: string): { name: string; id: Buffer; publicKey: KeyObject } {
  const [name, hex, base64] = splitKey(key);
  const blob = Buffer.from(base64, 'base64');
  if (blob[0] !== ED25519 || blob.length !== 33) throw new Error('verifier key is no Ed25519 key');
  const raw = blob.subarray(1);
  const id = keyId(name, raw);
  if (id.toString('hex') !== hex) throw new Error('verifier key id does not fit its key');
  const publicKey = createPublicKey({
    key: { kty: 'OKP', crv: 'Ed25519', x: raw.toString('base64url') },
    format: 'jwk',
  });
  return { name, id, publicKey };
}

function splitKey(key: string): [string, string, string] {
  // Base64 may hold '+', so only the first two separate.
  const first = key.indexOf('+');
  const second = key.indexOf('+', first + 1);
  if (first < 1 || second < 0) throw new Error('verifier key is not name+id+key');
  return [key.slice(0, first), key.slice(first + 1, second), key.slice(second + 1)];
}

function keyId(name: string, raw: Uint8Array): Buffer {
  return createHash('sha256')
    .update(`${name}\n`)
    .update(Buffer.from([ED25519]))
    .update(raw)
    .digest()
    .subarray(0, 4);
}

function rawPublicKey(publicKey: KeyObject): Buffer {
  return Buffer.from(publicKey.export({ format: 'jwk' }).x!, 'base64url');
}
