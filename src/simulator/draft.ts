/** What a provider checks before it takes a message from its customer: TR-01201 FU 3.3 and 6.2. */
import { type Field, headerValue } from './header.ts';
import { type Account, ownsAddress, type SimulatorOptions } from './options.ts';
import { addressOf, domainMatches, mailboxesOf, parseRecipients, type RecipientLists } from './recipients.ts';

/** Who is logged in, and how. */
export interface Login {
  readonly account: Account;
  readonly level: 'normal' | 'high';
  /** X-de-mail-auth-mechanism. */
  readonly mechanism: string;
}

/** An SMTP refusal: reply code, enhanced status code, sentence. */
export class Refusal extends Error {
  readonly responseCode: number;

  constructor(code: number, enhanced: string, text: string) {
    super(`${enhanced} ${text}`);
    this.responseCode = code;
  }
}

export interface Draft {
  readonly sender: string;
  readonly recipients: RecipientLists;
  readonly replyTo: string | undefined;
  readonly options: Readonly<Record<DraftOption, boolean>>;
  readonly privateId: string | undefined;
}

export const draftOptions = {
  dispatch: 'X-de-mail-confirmation-of-dispatch',
  receipt: 'X-de-mail-confirmation-of-receipt',
  retrieval: 'X-de-mail-confirmation-of-retrieve',
  authoritative: 'X-de-mail-authoritative',
  private: 'X-de-mail-private',
} as const;
export type DraftOption = keyof typeof draftOptions;
export const draftOptionNames = Object.keys(draftOptions) as DraftOption[];

/** @throws Refusal */
export function checkEnvelopeSender(address: string, login: Login): void {
  if (!ownsAddress(login.account, address.toLowerCase())) {
    throw new Refusal(550, '5.7.1', `${address || '<>'} does not belong to account ${login.account.id}`);
  }
}

/** @throws Refusal */
export function checkEnvelopeRecipient(address: string, options: SimulatorOptions): void {
  const normal = addressOf(address);
  if (normal === undefined) throw new Refusal(553, '5.1.3', 'Recipient address is malformed');
  if (!domainMatches(normal, options.demailDomains)) {
    throw new Refusal(550, '5.1.2', `${normal} is not a De-Mail address`);
  }
}

/**
 * Checks the header against login and envelope.
 * @throws Refusal with a reply for the end of DATA
 */
export function checkDraft(
  fields: readonly Field[],
  rcptTo: readonly string[],
  login: Login,
  options: SimulatorOptions,
): Draft {
  const { account } = login;
  const own = (name: string): string => {
    const addresses = mailboxesOf(headerValue(fields, name) ?? '');
    if (addresses?.length !== 1) throw refused(`${name} must hold exactly one address`);
    if (!ownsAddress(account, addresses[0]!)) {
      throw new Refusal(550, '5.7.1', `${name} ${addresses[0]} does not belong to account ${account.id}`);
    }
    return addresses[0]!;
  };
  const sender = own('X-de-mail-sender');
  own('From');
  const recipients = checkRecipients(fields, rcptTo);
  const replyTo = checkReplyTo(fields, options);
  const chosen = checkOptions(fields, sender, login);
  const privateId = headerValue(fields, 'X-de-mail-private-id');
  if (privateId !== undefined && privateId.length > 1024) {
    throw refused('X-de-mail-private-id is longer than 1024 characters');
  }
  return { sender, recipients, replyTo, options: chosen, privateId };
}

function checkRecipients(fields: readonly Field[], rcptTo: readonly string[]): RecipientLists {
  const value = headerValue(fields, 'X-de-mail-chosen-recipient');
  if (value === undefined) throw refused('X-de-mail-chosen-recipient is missing');
  const lists = parseRecipients(value);
  if (typeof lists === 'string') throw refused(`X-de-mail-chosen-recipient: ${lists}`);
  const chosen = new Set([...lists.to, ...lists.cc, ...lists.bcc]);
  const envelope = new Set(rcptTo.map((address) => address.toLowerCase()));
  const difference = chosen.symmetricDifference(envelope);
  if (difference.size > 0) {
    throw refused(`X-de-mail-chosen-recipient and RCPT differ in ${[...difference].slice(0, 3).join(', ')}`);
  }
  return lists;
}

function checkReplyTo(fields: readonly Field[], options: SimulatorOptions): string | undefined {
  const value = headerValue(fields, 'Reply-To');
  if (value === undefined) return undefined;
  const addresses = mailboxesOf(value);
  if (addresses?.length !== 1 || !domainMatches(addresses[0]!, options.demailDomains)) {
    throw refused('Reply-To must hold exactly one De-Mail address');
  }
  return addresses[0];
}

function checkOptions(fields: readonly Field[], sender: string, login: Login): Record<DraftOption, boolean> {
  const read = (option: DraftOption): boolean => {
    const name = draftOptions[option];
    const value = headerValue(fields, name) ?? 'no';
    if (value !== 'yes' && value !== 'no') throw refused(`${name} must be yes or no`);
    return value === 'yes';
  };
  const chosen = {
    dispatch: read('dispatch'),
    receipt: read('receipt'),
    retrieval: read('retrieval'),
    authoritative: read('authoritative'),
    private: read('private'),
  };
  const needsHigh = (['retrieval', 'authoritative', 'private'] as const).find((option) => chosen[option]);
  if (needsHigh && login.level !== 'high') {
    throw new Refusal(550, '5.7.1', `${draftOptions[needsHigh]} needs a login at level high`);
  }
  if (chosen.retrieval && login.account.kind !== 'institution') {
    throw new Refusal(550, '5.7.1', 'Only public bodies may ask for a retrieval confirmation');
  }
  if (chosen.authoritative && sender.startsWith('pn_')) {
    throw new Refusal(550, '5.7.1', 'A pseudonym address cannot send authoritative messages');
  }
  return { ...chosen, private: chosen.private || chosen.retrieval };
}

function refused(text: string): Refusal {
  return new Refusal(554, '5.6.0', text);
}
