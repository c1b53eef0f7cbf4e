/** `c2sp.org/tlog-proof@v1`: a self-contained receipt that one leaf stands in a signed log. */
import { type Checkpoint, openCheckpoint } from './checkpoint.ts';
import { type Cosignature, cosignaturesOf } from './cosignature.ts';
import { HASH_LENGTH, verifyInclusion } from './merkle.ts';
import { parseNote, parseVerifierKey } from './note.ts';

const HEADER = 'c2sp.org/tlog-proof@v1';
/** A tree of 2^53 leaves has no longer path. */
const LONGEST_PATH = 63;

export interface Proof {
  readonly index: number;
  readonly path: readonly Buffer[];
  /** The signed checkpoint, as it stands. */
  readonly checkpoint: string;
}

/** Text of a proof: index, audit path, checkpoint. */
export function formatProof(index: number, path: readonly Uint8Array[], checkpoint: string): string {
  const hashes = path.map((hash) => `${Buffer.from(hash).toString('base64')}\n`).join('');
  return `${HEADER}\nindex ${index}\n${hashes}\n${checkpoint}`;
}

export function looksLikeProof(bytes: Uint8Array): boolean {
  return Buffer.from(bytes.subarray(0, HEADER.length)).toString('latin1') === HEADER;
}

/** Takes a proof apart; verifies nothing. @throws Error saying which line is malformed. */
export function parseProof(text: string): Proof {
  const end = text.indexOf('\n\n');
  if (end < 0) throw new Error('proof has no empty line before its checkpoint');
  const [header, ...lines] = text.slice(0, end).split('\n');
  if (header !== HEADER) throw new Error(`proof does not begin with ${HEADER}`);
  if (lines[0]?.startsWith('extra ')) lines.shift();
  const index = /^index (0|[1-9]\d{0,15})$/.exec(lines.shift() ?? '')?.[1];
  if (index === undefined || !Number.isSafeInteger(Number(index)))
    throw new Error('proof has no line with the index');
  if (lines.length > LONGEST_PATH) throw new Error(`proof has more than ${LONGEST_PATH} hashes`);
  return { index: Number(index), path: lines.map(readHash), checkpoint: text.slice(end + 2) };
}

/** One hash in base64. @throws Error where it is none. */
export function readHash(line: string): Buffer {
  const hash = Buffer.from(line, 'base64');
  if (hash.length !== HASH_LENGTH || hash.toString('base64') !== line)
    throw new Error('a line is no SHA-256 hash in base64');
  return hash;
}

/**
 * Verifies a proof offline: signature of the log, cosignatures of the witnesses that are known, audit path.
 * @param leaf hash of the leaf.
 * @param logKeys verifier keys of the log, old ones too.
 * @throws Error saying what does not hold.
 */
export function verifyProof(
  proof: Proof,
  leaf: Uint8Array,
  logKeys: readonly string[],
  witnessKeys: readonly string[] = [],
): { readonly checkpoint: Checkpoint; readonly cosignatures: readonly Cosignature[] } {
  const checkpoint = openCheckpoint(proof.checkpoint, ...logKeys);
  const { text, signatures } = parseNote(proof.checkpoint, 'checkpoint');
  const cosignatures = cosignaturesOf(text, signatures, witnessKeys.map(parseVerifierKey));
  if (!verifyInclusion(proof.index, checkpoint.size, leaf, proof.path, checkpoint.root))
    throw new Error(`the path does not lead from the entry to the root of ${checkpoint.size} entries`);
  return { checkpoint, cosignatures };
}
