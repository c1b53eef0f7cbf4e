/**
 * Bytes into the store: staged, with their structure index where they are a message. Once finished they are
 * left to the command that names them: dropping them after a command failed could take away what it committed.
 */
import { createIndexer } from '../mime/structure.ts';
import type { StagedMessage, StagedObject, Store } from '../store/store.ts';

/** Stages a whole message; `each` sees every chunk. What was staged is dropped when the source fails. */
export async function stageMessage(
  store: Store,
  tenant: string,
  content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  each: (chunk: Uint8Array) => void = () => {},
): Promise<StagedMessage> {
  const writer = store.stage(tenant);
  const indexer = createIndexer();
  try {
    for await (const chunk of content) {
      each(chunk);
      indexer.push(chunk);
      await writer.write(chunk);
    }
    return { object: await writer.finish(), index: indexer.finish() };
  } catch (error) {
    await writer.abort();
    throw error;
  }
}

/** Stages bytes that are no message of their own. */
export async function stageBytes(store: Store, tenant: string, bytes: Uint8Array): Promise<StagedObject> {
  const writer = store.stage(tenant);
  try {
    await writer.write(bytes);
    return await writer.finish();
  } catch (error) {
    await writer.abort();
    throw error;
  }
}
