/** Notices: mails that the gateway writes to staff and operators. */

import { formatMailbox } from './address.ts';
import { type Entity, fileEntity, message, multipart, rawEntity, textEntity } from './compose.ts';
import { formatDate } from './date.ts';
import { messageIdOf } from './message-id.ts';
import { encodeWords } from './words.ts';

interface NoticeAddress {
  readonly name?: string | null;
  readonly address: string;
}

export interface NoticeInput {
  readonly from: NoticeAddress;
  readonly to: readonly NoticeAddress[];
  /** Plain text; encoded where it must be. */
  readonly subject: string;
  /** Any line ends. */
  readonly text: string;
  readonly date: Date;
  /** With its angle brackets. */
  readonly messageId: string;
  /** Message-ID of the letter that it is about, as that says it; what is no msg-id is left out. */
  readonly inReplyTo?: string | null;
  readonly attachments?: readonly {
    readonly name: string;
    readonly type: string;
    readonly content: Buffer;
  }[];
  /** Further fields; values are written as they are. */
  readonly headers?: readonly (readonly [string, string])[];
}

/**
 * An RFC 5322 message in 7-bit with CRLF (8-bit only within an attached message). It says that nobody wrote
 * it (`Auto-Submitted`, RFC 3834 5), so that no out-of-office answers it.
 *
 * @throws RangeError where an address or field holds control characters (header injection)
 */
export function composeNotice(input: NoticeInput): Buffer {
  const text = textEntity(input.text.endsWith('\n') ? input.text : `${input.text}\n`);
  const files = input.attachments ?? [];
  const entity = files.length === 0 ? text : multipart('multipart/mixed', [text, ...files.map(attachment)]);
  return message([...noticeFields(input, 'auto-generated'), ...(input.headers ?? [])], entity);
}

/** The fields that every mail of the gateway has. */
export function noticeFields(
  input: Omit<NoticeInput, 'text' | 'attachments' | 'headers'>,
  autoSubmitted: 'auto-generated' | 'auto-replied',
): [string, string | string[] | null][] {
  const to = input.to.map((address) => formatMailbox(address));
  const threading = messageIdOf(input.inReplyTo);
  return [
    ['From', formatMailbox(input.from)],
    ['To', to.map((address, i) => (i === 0 ? '' : ' ') + address + (i < to.length - 1 ? ',' : ''))],
    [
      'Subject',
      encodeWords(
        input.subject
          .replace(/\p{Cc}+/gu, ' ')
          .slice(0, 500)
          .toWellFormed(),
      ),
    ],
    ['Date', formatDate(input.date)],
    ['Message-ID', input.messageId],
    ['In-Reply-To', threading],
    ['References', threading],
    ['Auto-Submitted', autoSubmitted],
  ];
}

function attachment({ name, type, content }: { name: string; type: string; content: Buffer }): Entity {
  return type === 'message/rfc822' ? rawEntity(type, content) : fileEntity(name, type, content);
}
