/**
 * Mail that goes on to another address: automatic forwarding (TR-01201 FU 6.5 steps 71 to 74, IO 3.2), which
 * leaves the message where it is, and the order of a closing account to send mail on (steps 49 and 50).
 */

import { headerBytes, headerValue, makeField } from './header.ts';
import type { Sealed } from './integrity.ts';
import type { Account } from './options.ts';
import { printRecipients } from './recipients.ts';
import { mailDate, newMessageId } from './system-message.ts';

/** Sent on by an account that is being closed: nothing but the address for transport changes. */
export function sentOn(message: Sealed, to: string): Sealed {
  const actual = makeField('X-de-mail-actual-recipient', printRecipients({ to: [to], cc: [], bcc: [] }));
  const kept = message.fields.filter(({ name }) => name.toLowerCase() !== 'x-de-mail-actual-recipient');
  const fields = [actual, ...kept];
  return { ...message, fields, header: headerBytes(fields) };
}

/** IO 3.2: Resent headers on top, the address for transport rewritten; what is sealed stays as it is. */
export function forwarded(message: Sealed, from: string, to: string, now: Date): Sealed {
  const provider = from.slice(from.lastIndexOf('@') + 1);
  const { body, fields: kept } = sentOn(message, to);
  const fields = [
    makeField('Resent-From', from),
    makeField('Resent-To', to),
    makeField('Resent-Date', mailDate(now)),
    makeField('Resent-Message-ID', newMessageId(provider)),
    ...kept,
  ];
  return { fields, header: headerBytes(fields), body };
}

/** Who forwarded the message last (metadata no. 20): receipts were issued before, obstacles concern him. */
export function forwarder(message: Sealed): string | undefined {
  return headerValue(message.fields, 'Resent-From')?.toLowerCase();
}

/** May the account's copy be forwarded, or is the address only told of it? FU 3.1.3.2. */
export function mayForward(account: Account, message: Sealed): boolean {
  const says = (name: string) => headerValue(message.fields, name) === 'yes';
  if (says('X-de-mail-confirmation-of-retrieve')) return false;
  return account.forwardsPrivate || !says('X-de-mail-private');
}
