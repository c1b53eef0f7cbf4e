/** C2SP tlog-cosignature, Ed25519 (type 0x04): a witness says when it saw a consistent head. */
import { createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import {
  COSIGNATURE,
  keyId,
  type NoteKey,
  type NoteSignature,
  rawPublicKey,
  signatureLine,
  verifierKey,
} from './note.ts';

export interface Cosigner {
  readonly name: string;
  /** Verifier key, type 0x04. */
  readonly key: string;
  /** Signature line for the text of a checkpoint. `time`: POSIX seconds, above 0. */
  cosign(text: string, time: number): string;
}

export interface Cosignature {
  readonly witness: string;
  /** POSIX seconds. */
  readonly time: number;
  /** Signature line, with its line end. */
  readonly line: string;
}

const TIME_LENGTH = 8;

export function createCosigner(name: string, privateKey: KeyObject): Cosigner {
  const publicKey = createPublicKey(privateKey);
  const id = keyId(name, COSIGNATURE, rawPublicKey(publicKey));
  return {
    name,
    key: verifierKey(name, publicKey, COSIGNATURE),
    cosign(text, time) {
      const stamp = Buffer.alloc(TIME_LENGTH);
      stamp.writeBigUInt64BE(BigInt(time));
      return signatureLine(
        name,
        id,
        Buffer.concat([stamp, sign(null, signedBytes(text, String(time)), privateKey)]),
      );
    },
  };
}

/**
 * The valid cosignatures of known witnesses on a checkpoint's text; those of others are passed over.
 * @throws Error where one in a known name does not verify (c2sp.org/signed-note).
 */
export function cosignaturesOf(
  text: string,
  signatures: readonly NoteSignature[],
  witnesses: readonly NoteKey[],
): Cosignature[] {
  const found = new Map<string, Cosignature>();
  for (const { name, id, signature, line } of signatures) {
    const key = witnesses.find((k) => k.type === COSIGNATURE && k.name === name && k.id.equals(id));
    if (key === undefined) continue;
    const time =
      signature.length === TIME_LENGTH + 64 ? signature.subarray(0, TIME_LENGTH).readBigUInt64BE() : 0n;
    const bytes = signedBytes(text, String(time));
    if (time === 0n || !verify(null, bytes, key.publicKey, signature.subarray(TIME_LENGTH)))
      throw new Error(`the cosignature in the name of ${name} does not verify`);
    found.set(name, { witness: name, time: Number(time), line });
  }
  return [...found.values()];
}

function signedBytes(text: string, time: string): Buffer {
  return Buffer.from(`cosignature/v1\ntime ${time}\n${text}`);
}
