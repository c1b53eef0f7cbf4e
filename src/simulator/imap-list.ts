/** LIST, LSUB and STATUS. */
import type { StatusItem } from '../imap/codec/command.ts';
import { printMailbox } from '../imap/codec/printer.ts';
import { type Access, visible } from './imap-answer.ts';
import type { Mailbox } from './mailbox.ts';

/** Untagged responses, without the star. No folder has children, so `%` and `*` match alike. */
export function listResponses(name: 'LIST' | 'LSUB', patterns: readonly string[], access: Access): string[] {
  if (patterns.every((pattern) => pattern === '')) return [`${name} (\\Noselect) "/" ""`];
  return access.names
    .filter((mailbox) => patterns.some((pattern) => matches(pattern, mailbox)))
    .map((mailbox) => {
      const use = mailbox === 'Sent' ? '\\HasNoChildren \\Sent' : '\\HasNoChildren';
      return `${name} (${use}) "/" ${printMailbox(mailbox)}`;
    });
}

export function statusResponse(mailbox: Mailbox, items: readonly StatusItem[], access: Access): string {
  const messages = visible(mailbox, access.login.level);
  const values: Partial<Record<StatusItem, number>> = {
    MESSAGES: messages.length,
    RECENT: 0,
    UIDNEXT: mailbox.uidNext,
    UIDVALIDITY: mailbox.uidValidity,
    UNSEEN: messages.filter(({ flags }) => !flags.has('\\Seen')).length,
    SIZE: messages.reduce((sum, { size }) => sum + size, 0),
  };
  const known = items.filter((item) => values[item] !== undefined);
  return `(${known.map((item) => `${item} ${values[item]}`).join(' ')})`;
}

function matches(pattern: string, name: string): boolean {
  const source = pattern.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll(/[*%]+/g, '.*');
  return new RegExp(`^${source}$`, pattern.toUpperCase() === 'INBOX' ? 'i' : '').test(name);
}
