/**
 * Prepares one hand-over: the header as handed over, and the digest of exactly the bytes that will be sent.
 * nodemailer would mend bare line ends on the wire, so what is not canonical stops here: the peer gets the bytes
 * that the intent names, or nothing.
 */
import { createHash } from 'node:crypto';
import { handoverHeader, remainingTransaction } from '../demail/handover.ts';
import type { Directory } from '../directory/directory.ts';
import type { Entry, HeaderEdit, SubmissionEntry } from '../evidence/entry.ts';
import { headerEnd, parseHeader } from '../mime/header.ts';
import { createLineEndCheck } from '../mime/line-ends.ts';
import type { OpenObject, StagedObject, Store } from '../store/store.ts';
import { stageBytes } from './staging.ts';

export interface Prepared {
  readonly header: StagedObject;
  readonly bodyFrom: number;
  readonly edits: readonly HeaderEdit[];
  readonly sha256: string;
  readonly size: number;
  readonly eightBit: boolean;
  readonly content: () => AsyncIterable<Uint8Array>;
}

/** It can never be handed over, however often it is tried. */
export class CannotHandOver extends Error {}

export interface PrepareDeps {
  readonly store: Store;
  readonly directory: Directory;
  readonly hostname: string;
}

/** Longer than any header that a submission may have. Bytes. */
const longestHeader = 1024 * 1024;
/** Bodies up to this many bytes are read once and kept until they are sent. */
const keptInMemory = 256 * 1024;

/**
 * @param recipients those of the transaction that this hand-over is for
 * @throws CannotHandOver where no header can be written or the bytes are not canonical
 */
export async function prepare(
  { store, directory, hostname }: PrepareDeps,
  submission: Entry & SubmissionEntry,
  transaction: number,
  recipients: readonly string[],
): Promise<Prepared> {
  const { tenant } = submission;
  const object = await store.object(tenant, submission.message.object);
  if (object === null) throw new Error(`object ${submission.message.object} of ${tenant} is missing`);
  const original = await readHeader(object);
  const { bytes, edits } = editedHeader(directory, hostname, original, submission, transaction, recipients);
  const bodyFrom = original.length;
  const measure = createMeasure();
  measure.push(bytes);
  const kept: Uint8Array[] = [];
  const keep = object.size - bodyFrom <= keptInMemory;
  for await (const chunk of object.read(bodyFrom)) {
    measure.push(chunk);
    if (keep) kept.push(chunk);
  }
  return {
    ...measure.finish(),
    header: await stageBytes(store, tenant, bytes),
    bodyFrom,
    edits,
    async *content() {
      yield bytes;
      if (keep) yield* kept;
      else yield* object.read(bodyFrom);
    },
  };
}

function editedHeader(
  directory: Directory,
  hostname: string,
  original: Buffer,
  submission: Entry & SubmissionEntry,
  id: number,
  recipients: readonly string[],
) {
  const config = directory.tenant(submission.tenant);
  const transaction = submission.transactions.find((t) => t.id === id);
  if (config === undefined || transaction === undefined) {
    throw new Error(`letter ${submission.tenant}/${submission.index} has no transaction ${id}`);
  }
  try {
    return handoverHeader({
      fields: parseHeader(original),
      sender: submission.sender,
      fromDemail: submission.sender,
      transaction: remainingTransaction(transaction, recipients),
      options: submission.options,
      // The same at every attempt, so that the provider can tell a second one.
      messageId: `<${submission.index}.${transaction.privateId.slice(-32)}@${hostname}>`,
      date: new Date(submission.time),
      mapAddress: (address) => directory.toDemail(config, address),
    });
  } catch (error) {
    if (error instanceof RangeError) throw new CannotHandOver(error.message, { cause: error });
    throw error;
  }
}

async function readHeader(object: OpenObject): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of object.read(0, longestHeader)) {
    chunks.push(chunk);
    length += chunk.length;
    const bytes = chunks.length === 1 ? chunk : Buffer.concat(chunks, length);
    const end = headerEnd(bytes);
    // Without an empty line headerEnd gives the length: then more has to be read.
    if (end < length || length === object.size) return bytes.subarray(0, end);
  }
  throw new CannotHandOver('header is longer than 1 MiB');
}

/** Digest, size, and the check that the wire will carry these bytes and no others. */
function createMeasure() {
  const hash = createHash('sha256');
  // Longer lines are refused at submission; here only what would be changed on the wire counts.
  const lineEnds = createLineEndCheck(Number.MAX_SAFE_INTEGER);
  let size = 0;
  let eightBit = false;
  let last: number | undefined;
  return {
    push(chunk: Uint8Array) {
      if (lineEnds.push(chunk) !== null) refuse();
      hash.update(chunk);
      size += chunk.length;
      eightBit ||= hasEightBit(chunk);
      last = chunk.at(-1) ?? last;
    },
    finish() {
      if (lineEnds.finish() !== null || last !== 0x0a) refuse();
      return { sha256: hash.digest('hex'), size, eightBit };
    },
  };
}

function refuse(): never {
  throw new CannotHandOver('message is not in canonical form (CRLF line ends, the last one included)');
}

/** True where a byte is above 127: then BODY=8BITMIME is asked for (RFC 6152). */
export function hasEightBit(chunk: Uint8Array): boolean {
  for (let i = 0; i < chunk.length; i += 1) if (chunk[i]! > 127) return true;
  return false;
}
