/** What stands for a private De-Mail where a session may not see it: the same bytes at every time. */
import type { Entry } from '../evidence/entry.ts';
import { composeNotice, type NoticeInput } from '../mime/notice.ts';
import { createIndexer } from '../mime/structure.ts';
import type { MessageContent } from '../store/store.ts';

const text = `Hier liegt eine persönliche De-Mail für Sie. Sie ist nur zu lesen, wenn sich Ihr Mailprogramm mit Ihrem
Client-Zertifikat anmeldet. Wie das eingestellt wird, sagt der Betrieb.

A private De-Mail for you lies here. It can be read only when your mail program logs in with your client
certificate. The operator says how that is set up.
`;

/** Says who wrote and when, and nothing of what was written. */
export function placeholderFor(
  tenant: string,
  index: number,
  entry: Entry | null,
): Pick<MessageContent, 'source' | 'index'> {
  const sender = entry !== null && 'demail' in entry ? (entry.demail.sender ?? entry.header.from) : null;
  const input: Omit<NoticeInput, 'from'> = {
    to: [],
    subject: 'Persönliche De-Mail (mit Zertifikat zu lesen)',
    text: `${text}\n${tenant}/${index}\n`,
    date: new Date(entry?.time ?? 0),
    messageId: `<private.${index}.${tenant}@demail-gateway.invalid>`,
  };
  const bytes = fromSender(input, sender);
  const indexer = createIndexer();
  indexer.push(bytes);
  // The bytes stand where a prepended block stands, so that nothing of the stored message is ever read.
  return { source: { prefix: bytes, object: '', from: bytes.length }, index: indexer.finish() };
}

/** The sender's address comes from outside: where it cannot stand in a header, nobody is named. */
function fromSender(input: Omit<NoticeInput, 'from'>, sender: string | null): Buffer {
  try {
    if (sender !== null) return composeNotice({ ...input, from: { address: sender } });
  } catch {
    // Not an address that a header can hold.
  }
  return composeNotice({ ...input, from: { name: 'De-Mail', address: 'unknown@demail-gateway.invalid' } });
}
