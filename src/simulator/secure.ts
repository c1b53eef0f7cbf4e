/**
 * From a checked draft to the secured messages that travel: the provider's own headers set (FU 6.2, step 29),
 * one message for to and cc together, one more for each bcc (IO 3.1.8), each sealed by itself.
 */
import { type Draft, draftOptionNames, draftOptions, type Login } from './draft.ts';
import { encodeText, type Field, headerValue, makeField, topmost, unfoldedValue } from './header.ts';
import { type Sealed, seal } from './integrity.ts';
import { printRecipients } from './recipients.ts';
import { type Letterhead, mailDate, newMessageId, norm } from './system-message.ts';

export interface Secured extends Sealed {
  readonly recipients: readonly string[];
}

/** Set by a provider alone (IO 3.1.1): whatever a customer put there is removed. */
const providerOnly = new Set([
  'return-path',
  'bcc',
  'date',
  'message-id',
  'x-de-mail-auth-level',
  'x-de-mail-auth-mechanism',
  'x-de-mail-message-id',
  'x-de-mail-originator-provider',
  'x-de-mail-message-type',
  'x-de-mail-integrity',
  'x-de-mail-signature-certificate',
  'x-de-mail-actual-recipient',
  'x-de-mail-version',
  'x-de-mail-account-holder',
  'x-de-mail-notification-type',
  'resent-to',
  'resent-from',
  'resent-date',
  'resent-message-id',
  'envelope-to',
]);

export function secureDraft(
  fields: readonly Field[],
  body: Buffer,
  draft: Draft,
  login: Login,
  head: Letterhead,
  now: Date,
): Secured[] {
  const { to, cc, bcc } = draft.recipients;
  const kept = fields.filter((field) => !providerOnly.has(field.name.toLowerCase()));
  const open = to.length + cc.length > 0 ? [{ lists: { to, cc, bcc: [] }, rewrite: bcc.length > 0 }] : [];
  const blind = bcc.map((address) => ({
    lists: { to: [], cc: [], bcc: [address] },
    rewrite: open.length > 0 || bcc.length > 1,
  }));
  return [...open, ...blind].map(({ lists, rewrite }) => {
    const chosen = rewrite
      ? makeField('X-de-mail-chosen-recipient', printRecipients(lists))
      : topmost(kept, 'X-de-mail-chosen-recipient')!;
    const copy = kept.filter(
      (field) => !rewrite || field.name.toLowerCase() !== 'x-de-mail-chosen-recipient',
    );
    const complete = completed(rewrite ? [...copy, chosen] : copy, chosen, draft, login, head, now);
    const sealed = seal(complete, body, {
      domain: head.provider,
      selector: norm.selector,
      hash: head.hash,
      ...(draft.options.authoritative ? { signer: head.signer } : {}),
    });
    return { ...sealed, recipients: [...lists.to, ...lists.cc, ...lists.bcc] };
  });
}

function completed(
  fields: readonly Field[],
  chosen: Field,
  draft: Draft,
  login: Login,
  head: Letterhead,
  now: Date,
): Field[] {
  const messageId = newMessageId(head.provider);
  const own = [
    makeField('Date', mailDate(now)),
    makeField('Message-ID', messageId),
    makeField('X-de-mail-message-id', messageId),
    makeField('X-de-mail-message-type', 'normal'),
    makeField('X-de-mail-version', norm.version),
    makeField('X-de-mail-originator-provider', head.provider),
    makeField('X-de-mail-auth-level', login.level),
    makeField('X-de-mail-auth-mechanism', login.mechanism),
    makeField('X-de-mail-account-holder', encodeText(login.account.holder)),
    makeField('X-de-mail-actual-recipient', unfoldedValue(chosen)),
  ];
  // IO 3.1.2 to 3.1.6: what is missing counts as "no". FU 3.3.5: a retrieval confirmation implies private.
  const changed = draftOptionNames.filter(
    (option) => headerValue(fields, draftOptions[option]) !== yesNo(draft.options[option]),
  );
  const replaced = new Set(changed.map((option) => draftOptions[option].toLowerCase()));
  return [
    ...own,
    ...changed.map((option) => makeField(draftOptions[option], yesNo(draft.options[option]))),
    ...fields.filter((field) => !replaced.has(field.name.toLowerCase())),
  ];
}

function yesNo(value: boolean): string {
  return value ? 'yes' : 'no';
}
