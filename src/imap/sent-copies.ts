/**
 * One copy of each De-Mail in Gesendet. The gateway files its own with the submission; clients append
 * another, before or after. A client's copy is recognised by Message-ID, sender, date, subject, decoded text
 * and attachments; a different message under the same Message-ID is kept as its own.
 */
import { createHash } from 'node:crypto';
import { SENT } from '../directory/mailboxes.ts';
import { decodeWords } from '../mime/words.ts';
import type { Log } from '../observe/log.ts';
import type { AppendMessage, MailboxInfo, MessageContent, Store } from '../store/store.ts';
import { compose } from './composed.ts';
import { partTexts } from './part-text.ts';

export interface SentCopies extends Disposable {
  /** Is that mailbox one where copies are recognised? */
  concerns(mailbox: MailboxInfo): boolean;
  /** Appends the message, or finds the copy that is there already. */
  append(
    tenant: string,
    mailbox: MailboxInfo,
    append: AppendMessage,
  ): Promise<{ uid: number; known: boolean }>;
}

/** A client's copy that came before the gateway's own, which may still follow. */
interface EarlyCopy {
  readonly tenant: string;
  readonly mailbox: number;
  readonly uid: number;
  readonly messageId: string;
}

/** Submissions follow their early copies within seconds; this bounds memory alone. */
const maxEarly = 10_000;

export function createSentCopies(store: Store, log: Log): SentCopies {
  const early = new Map<string, EarlyCopy>();
  /** The last piece of work per mailbox: appends and comparisons of one mailbox go one after another. */
  const lanes = new Map<number, Promise<unknown>>();

  function inLane<T>(mailbox: number, work: () => Promise<T>): Promise<T> {
    const result = (lanes.get(mailbox) ?? Promise.resolve()).then(work);
    const settled = result.catch(() => {});
    lanes.set(mailbox, settled);
    void settled.then(() => {
      if (lanes.get(mailbox) === settled) lanes.delete(mailbox);
    });
    return result;
  }

  /** The early copy goes where another, later message is the same. */
  async function settle(copy: EarlyCopy): Promise<void> {
    const key = `${copy.mailbox}/${copy.uid}`;
    const uids = await store.byMessageId(copy.tenant, copy.mailbox, copy.messageId);
    if (!uids.includes(copy.uid)) {
      early.delete(key);
      return;
    }
    const others = uids.filter((uid) => uid !== copy.uid && !early.has(`${copy.mailbox}/${uid}`));
    if (others.length === 0) return;
    const contents = await store.contents(copy.tenant, copy.mailbox, [copy.uid, ...others]);
    const own = contents.find(({ uid }) => uid === copy.uid);
    if (!own) return;
    const wanted = await fingerprint(store, copy.tenant, own);
    for (const other of contents) {
      if (other.uid === copy.uid || (await fingerprint(store, copy.tenant, other)) !== wanted) continue;
      await store.changeFlags(copy.tenant, copy.mailbox, [copy.uid], { op: 'add', flags: ['\\Deleted'] });
      await store.expunge(copy.tenant, copy.mailbox, [copy.uid]);
      early.delete(key);
      return;
    }
  }

  const subscription = store.changes.subscribe((change) => {
    if (change.topic !== 'mailbox') return;
    for (const copy of early.values()) {
      if (copy.mailbox !== change.mailbox) continue;
      inLane(copy.mailbox, () => settle(copy)).catch((error: unknown) =>
        log.error({ err: error, mailbox: copy.mailbox }, 'sent copies could not be compared'),
      );
    }
  });

  return {
    concerns: (mailbox) => mailbox.name === SENT,
    append: (tenant, mailbox, append) =>
      inLane(mailbox.id, async () => {
        const messageId = append.message.index.root.envelope?.messageId ?? null;
        if (messageId === null) {
          const { uid } = await store.appendMessage(tenant, mailbox.id, append);
          return { uid, known: false };
        }
        const before = await store.byMessageId(tenant, mailbox.id, messageId);
        const { uid } = await store.appendMessage(tenant, mailbox.id, append);
        const copy: EarlyCopy = { tenant, mailbox: mailbox.id, uid, messageId };
        const same = await sameAs(store, copy, before);
        if (same !== null) {
          await store.changeFlags(tenant, mailbox.id, [uid], { op: 'add', flags: ['\\Deleted'] });
          await store.expunge(tenant, mailbox.id, [uid]);
          return { uid: same, known: true };
        }
        early.set(`${mailbox.id}/${uid}`, copy);
        if (early.size > maxEarly) early.delete(early.keys().next().value!);
        await settle(copy);
        return { uid, known: false };
      }),
    [Symbol.dispose]: () => subscription[Symbol.dispose](),
  };
}

/** The UID among `others` that holds the same message, or null. */
async function sameAs(store: Store, copy: EarlyCopy, others: readonly number[]): Promise<number | null> {
  if (others.length === 0) return null;
  const contents = await store.contents(copy.tenant, copy.mailbox, [copy.uid, ...others]);
  const own = contents.find(({ uid }) => uid === copy.uid);
  if (!own) return null;
  const wanted = await fingerprint(store, copy.tenant, own);
  for (const other of contents)
    if (other.uid !== copy.uid && (await fingerprint(store, copy.tenant, other)) === wanted) return other.uid;
  return null;
}

/** What makes two copies the same message, whatever their encoding, Bcc and trace headers. */
async function fingerprint(store: Store, tenant: string, content: MessageContent): Promise<string> {
  const composed = compose(content);
  const envelope = content.index.root.envelope;
  const hash = createHash('sha256');
  const part = (value: string): void => {
    hash.update(`${Buffer.byteLength(value)}:${value}`);
  };
  part(
    (envelope?.from ?? [])
      .map(({ mailbox, host }) => `${mailbox ?? ''}@${host ?? ''}`.toLowerCase())
      .sort()
      .join(),
  );
  const date = envelope?.date ?? '';
  part(String(Date.parse(date.replace(/\s*\([^)]*\)\s*$/, '')) || date));
  part(
    decodeWords(envelope?.subject ?? '')
      .normalize('NFC')
      .replace(/\s+/g, ' ')
      .trim(),
  );
  part(
    content.index.attachments
      .map(({ sha256 }) => sha256)
      .sort()
      .join(),
  );
  // Blanks and line ends differ between encodings of one text (flowed, trailing blanks): words do not.
  let word = '';
  for await (const piece of partTexts(store, tenant, composed)) {
    const words = (word + (piece ?? ' ').normalize('NFC')).split(/[\s\u00a0]+/);
    word = words.pop() ?? '';
    for (const one of words) if (one !== '') hash.update(`${one} `);
  }
  hash.update(word);
  return hash.digest('hex');
}
