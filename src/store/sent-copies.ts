/** The fingerprint by which the store tells copies of one message in a Sent mailbox, taken before they come there. */
import { messageFingerprint } from '../mime/fingerprint.ts';
import type { StagedMessage, Store } from './store.ts';

/** The message with its fingerprint. */
export async function withFingerprint(
  store: Pick<Store, 'openStaged'>,
  message: StagedMessage,
): Promise<StagedMessage> {
  const object = store.openStaged(message.object);
  return {
    ...message,
    fingerprint: await messageFingerprint(message.index, (from, to) => object.read(from, to)),
  };
}

/** Fingerprints that one commit records. */
const batch = 200;

/** Gives fingerprints to messages of a mailbox that came without one. */
export async function addFingerprints(
  store: Pick<Store, 'withoutFingerprint' | 'contents' | 'object' | 'recordFingerprints'>,
  tenant: string,
  mailbox: number,
  uids: readonly number[],
): Promise<void> {
  const missing = await store.withoutFingerprint(tenant, mailbox, uids);
  for (let at = 0; at < missing.length; at += batch) {
    const fingerprints: [number, string][] = [];
    for (const uid of missing.slice(at, at + batch)) {
      const [content] = await store.contents(tenant, mailbox, [uid]);
      const object = content && (await store.object(tenant, content.source.object));
      if (!object) continue;
      const fingerprint = await messageFingerprint(content.index, (from, to) => object.read(from, to));
      if (fingerprint !== null) fingerprints.push([uid, fingerprint]);
    }
    await store.recordFingerprints(tenant, mailbox, fingerprints);
  }
}
