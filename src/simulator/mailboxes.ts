/** The mailboxes of all accounts: INBOX, Sent, and what the customers made; found again after a restart. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { headerBytes, headerValue, makeField } from './header.ts';
import type { Sealed } from './integrity.ts';
import { type Mailbox, openMailbox, type StoredMessage } from './mailbox.ts';
import type { Account, SimulatorOptions } from './options.ts';

export interface Mailboxes {
  /** Makes it where it is missing. */
  open(account: string, name: string): Mailbox;
  names(account: string): readonly string[];
  /** Lays a message into the account's INBOX for the address: IO 3.1.22. */
  layIntoInbox(
    account: Account,
    address: string,
    message: Sealed,
    awaitsRetrieval?: boolean,
  ): Promise<StoredMessage>;
}

const firstMailboxes = ['INBOX', 'Sent'];

export function openMailboxes(options: SimulatorOptions, now: () => Date): Mailboxes {
  const opened = new Map<string, Mailbox>();
  const names = new Map<string, string[]>();

  function open(account: string, name: string): Mailbox {
    const key = `${account}/${name}`;
    const known = opened.get(key);
    if (known) return known;
    if (!options.accounts.some(({ id }) => id === account)) throw new Error(`No account ${account}`);
    const folder = join(options.directory, 'mail', account, name);
    const made = openMailbox(folder, name, Math.floor(now().getTime() / 1000));
    opened.set(key, made);
    names.set(account, [...(names.get(account) ?? []), name]);
    return made;
  }

  for (const account of options.accounts) {
    const folder = join(options.directory, 'mail', account.id);
    const made = existsSync(folder) ? readdirSync(folder) : [];
    for (const name of new Set([...firstMailboxes, ...made])) open(account.id, name);
  }

  return {
    open,
    names: (account) => names.get(account) ?? [],
    layIntoInbox(account, address, message, awaitsRetrieval = false) {
      const returnPath = headerValue(message.fields, 'X-de-mail-sender') ?? '';
      // IO 3.1.22: whatever was there goes, then RCPT TO is noted.
      const without = message.fields.filter((field) => !/^(envelope-to|return-path)$/i.test(field.name));
      const fields = [
        makeField('Return-Path', `<${returnPath}>`),
        makeField('Envelope-to', address),
        ...without,
      ];
      return open(account.id, 'INBOX').append([headerBytes(fields), message.body], {
        receivedAt: now().getTime(),
        awaitsRetrieval,
        ...protection(message.fields),
      });
    },
  };
}

/** What the norm demands before a message may be read (FU 3.1.2.3) or deleted (FU 3.1.3.9). */
export function protection(fields: Sealed['fields']): { needsHigh: boolean; confirmed: boolean } {
  const says = (name: string) => headerValue(fields, name) === 'yes';
  return {
    needsHigh: says('X-de-mail-private'),
    confirmed: says('X-de-mail-confirmation-of-dispatch') || says('X-de-mail-confirmation-of-receipt'),
  };
}
