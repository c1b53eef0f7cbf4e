/**
 * The way of the bytes: from the socket into the store while they arrive, checked and indexed on the way.
 * Memory is one chunk and the header, whatever the size of the message.
 */
import type { Readable } from 'node:stream';
import { GatewayError } from '../errors.ts';
import { type HeaderField, parseHeader } from '../mime/header.ts';
import { createLineEndCheck, type LineEndViolation } from '../mime/line-ends.ts';
import { createIndexer } from '../mime/structure.ts';
import type { ObjectWriter, StagedMessage } from '../store/store.ts';

/** Longer headers are no headers. Bytes. */
export const MAX_HEADER_BYTES = 256 * 1024;
/** A client that goes on and on after it was told the limit is cut off at this many times the limit. */
const PATIENCE = 2;

export interface Intake {
  readonly message: StagedMessage;
  readonly fields: readonly HeaderField[];
  /** Drops what was staged. Safe at any time. */
  abort(): Promise<void>;
}

/** The sender goes on far beyond the limit: reply and close. */
export class Flood extends GatewayError {
  constructor() {
    super('message-too-large');
    this.name = 'Flood';
  }
}

/**
 * Reads a whole message from the client into `writer`. After an error the rest is read and dropped, so
 * that the client is there to hear the reply; nothing stays staged.
 *
 * @param maxBytes limit for the message
 * @throws GatewayError of the catalogue; Flood; the stream's own error where the client went away
 */
export async function takeIn(stream: Readable, writer: ObjectWriter, maxBytes: number): Promise<Intake> {
  const lineEnds = createLineEndCheck();
  const indexer = createIndexer();
  const header = createHeaderCapture();
  let size = 0;
  let failure: unknown;

  async function take(chunk: Buffer): Promise<void> {
    size += chunk.length;
    if (size > maxBytes) throw new GatewayError('message-too-large');
    throwIfBroken(lineEnds.push(chunk));
    header.push(chunk);
    indexer.push(chunk);
    await writer.write(chunk);
  }

  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      if (failure === undefined) {
        try {
          await take(chunk);
        } catch (error) {
          failure = error;
          await writer.abort();
        }
      } else {
        size += chunk.length;
        if (size > maxBytes * PATIENCE) throw new Flood();
      }
    }
    if (failure !== undefined) throw failure;
    throwIfBroken(lineEnds.finish());
    const object = await writer.finish();
    return {
      message: { object, index: indexer.finish() },
      fields: parseHeader(header.bytes()),
      abort: () => writer.abort(),
    };
  } catch (error) {
    await writer.abort();
    throw error;
  }
}

function throwIfBroken(violation: LineEndViolation | null): void {
  if (violation === null) return;
  const code = violation.kind === 'line-too-long' ? 'line-too-long' : 'bare-line-end';
  throw new GatewayError(code, `byte ${violation.offset}`);
}

/** Keeps the bytes up to the first empty line. */
function createHeaderCapture() {
  const chunks: Buffer[] = [];
  const blankLine = Buffer.from('\r\n\r\n');
  /** The last bytes before the next chunk; at first a line end, so that an empty header is found too. */
  let tail = Buffer.from('\r\n');
  let kept = 0;
  let done = false;
  return {
    push(chunk: Buffer): void {
      if (done) return;
      const joined = Buffer.concat([tail, chunk]);
      const at = joined.indexOf(blankLine);
      done = at >= 0;
      const piece = done ? chunk.subarray(0, at + blankLine.length - tail.length) : chunk;
      kept += piece.length;
      if (kept > MAX_HEADER_BYTES) throw new GatewayError('header-malformed', '> 256 KiB');
      chunks.push(piece);
      tail = joined.subarray(-3);
    },
    bytes: (): Buffer => (chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)),
  };
}
