/**
 * One message from an IMAP folder, in pieces, exactly as the server has it. No more than one piece is in memory.
 */
import type { ImapFlow } from 'imapflow';

/** The server has the message and does not give it: later perhaps. */
class UnreadableMessage extends Error {}

export interface DownloadSettings {
  /** Bytes asked for in one FETCH. */
  readonly chunkSize: number;
  /** Longest message that is fetched, bytes. */
  readonly longestMessage: number;
}

/**
 * The message's bytes; null where it is gone.
 * @throws UnreadableMessage, while being read, where what comes cannot be the message
 */
export async function download(
  client: ImapFlow,
  uid: number,
  { chunkSize, longestMessage }: DownloadSettings,
): Promise<AsyncIterable<Buffer> | null> {
  const first = await piece(client, uid, 0, chunkSize);
  if (first === null) return null;
  const { size } = first;
  if (size > longestMessage) throw new UnreadableMessage(`message of ${size} bytes is longer than allowed`);

  async function* pieces(): AsyncGenerator<Buffer> {
    let bytes = first!.bytes;
    let total = 0;
    while (bytes.length > 0) {
      yield bytes;
      const start = total;
      total += bytes.length;
      // More than was asked for: a server without partial FETCH, so this is all of it.
      if (start === 0 && bytes.length > chunkSize) break;
      // RFC822.SIZE may be wrong; only an empty or short piece at the announced end is the end.
      if (bytes.length < chunkSize && total >= size) break;
      if (total > longestMessage) throw new UnreadableMessage('message does not end');
      const next = await piece(client, uid, total, chunkSize);
      if (next === null) throw new UnreadableMessage('message vanished while it was read');
      bytes = next.bytes;
    }
  }
  return pieces();
}

async function piece(client: ImapFlow, uid: number, start: number, maxLength: number) {
  const answer = await client.fetchOne(
    String(uid),
    { uid: true, size: true, source: { start, maxLength } },
    { uid: true },
  );
  if (!answer) return null;
  if (answer.uid !== uid) throw new UnreadableMessage('the server answers with another message');
  const bytes = answer.source ?? Buffer.alloc(0);
  if (start === 0 && bytes.length === 0) throw new UnreadableMessage('the server gives no content');
  return { bytes, size: answer.size ?? 0 };
}
