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

/** Clients' copies of one mailbox that came before the gateway's own, which may still follow. */
interface Early {
  readonly tenant: string;
  readonly mailbox: number;
  /** UID → Message-ID and when it came, epoch milliseconds. */
  readonly copies: Map<number, { readonly messageId: string; readonly at: number }>;
  /** Changes up to this modseq were looked at. */
  since: number;
  scheduled: boolean;
}

/** A submission follows its early copy within seconds; a slow upload of attachments may take longer. */
const expectMs = 60 * 60_000;
const maxPerMailbox = 1000;

export function createSentCopies(store: Store, log: Log): SentCopies {
  const early = new Map<number, Early>();
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

  function expect(tenant: string, mailbox: number, uid: number, messageId: string, modseq: number): Early {
    const entry: Early = early.get(mailbox) ?? {
      tenant,
      mailbox,
      copies: new Map(),
      since: modseq,
      scheduled: false,
    };
    early.set(mailbox, entry);
    entry.copies.set(uid, { messageId, at: Date.now() });
    for (const [old, { at }] of entry.copies)
      if (entry.copies.size > maxPerMailbox || at < Date.now() - expectMs) entry.copies.delete(old);
      else break;
    return entry;
  }

  async function remove(tenant: string, mailbox: number, uid: number): Promise<void> {
    await store.changeFlags(tenant, mailbox, [uid], { op: 'add', flags: ['\\Deleted'] });
    await store.expunge(tenant, mailbox, [uid]);
  }

  /** Looks at what arrived since the last time: an early copy goes where it is the same. */
  async function review(entry: Early): Promise<void> {
    const { tenant, mailbox, copies } = entry;
    entry.scheduled = false;
    const changes = await store.changesSince(tenant, mailbox, entry.since);
    entry.since = changes.highestModseq;
    for (const uid of changes.expunged) copies.delete(uid);
    const expected = new Set([...copies.values()].map(({ messageId }) => messageId));
    const arrived = changes.changed.map(({ uid }) => uid).filter((uid) => !copies.has(uid));
    for (const uid of arrived) {
      const [content] = await store.contents(tenant, mailbox, [uid]);
      const messageId = content?.index.root.envelope?.messageId;
      if (!messageId || !expected.has(messageId)) continue;
      const rivals = [...copies].filter(([, copy]) => copy.messageId === messageId).map(([own]) => own);
      for (const own of rivals) {
        if ((await sameAs(store, tenant, mailbox, own, [uid])) === null) continue;
        await remove(tenant, mailbox, own);
        copies.delete(own);
      }
    }
    if (copies.size === 0) early.delete(mailbox);
  }

  const subscription = store.changes.subscribe((change) => {
    if (change.topic !== 'mailbox') return;
    const entry = early.get(change.mailbox);
    if (!entry || entry.scheduled) return;
    entry.scheduled = true;
    inLane(entry.mailbox, () => review(entry)).catch((error: unknown) =>
      log.error({ err: error, mailbox: entry.mailbox }, 'sent copies could not be compared'),
    );
  });

  return {
    concerns: (mailbox) => mailbox.name === SENT,
    append: (tenant, { id: mailbox }, append) =>
      inLane(mailbox, async () => {
        const { uid, modseq } = await store.appendMessage(tenant, mailbox, append);
        const messageId = append.message.index.root.envelope?.messageId;
        if (!messageId) return { uid, known: false };
        // Looked up after the append, so that a copy filed at the same moment is seen.
        const others = (await store.byMessageId(tenant, mailbox, messageId)).filter((other) => other !== uid);
        const same = await sameAs(store, tenant, mailbox, uid, others);
        if (same === null) {
          // What was filed since the look-up told nobody: the copy was not expected yet.
          await review(expect(tenant, mailbox, uid, messageId, modseq));
          return { uid, known: false };
        }
        await remove(tenant, mailbox, uid);
        return { uid: same, known: true };
      }),
    [Symbol.dispose]: () => subscription[Symbol.dispose](),
  };
}

/** The UID among `others` that holds the same message as `uid`, or null. */
async function sameAs(
  store: Store,
  tenant: string,
  mailbox: number,
  uid: number,
  others: readonly number[],
): Promise<number | null> {
  if (others.length === 0) return null;
  const contents = await store.contents(tenant, mailbox, [uid, ...others]);
  const own = contents.find((content) => content.uid === uid);
  if (!own) return null;
  const wanted = await fingerprint(store, tenant, own);
  for (const other of contents)
    if (other.uid !== uid && (await fingerprint(store, tenant, other)) === wanted) return other.uid;
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
