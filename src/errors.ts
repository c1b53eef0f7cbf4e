/**
 * The closed catalogue of what can go wrong on a protocol line. Each error has one SMTP reply
 * (RFC 5321, enhanced status RFC 3463), one IMAP answer (RFC 3501, RFC 5530), a temporary flag and a
 * public text that names no internals. The cause stays inside, for the log.
 */
export interface ErrorSpec {
  readonly smtp: number;
  /** RFC 3463 enhanced status code. */
  readonly enhanced: string;
  /** RFC 5530 response code, without brackets. */
  readonly imap?: string;
  readonly temporary: boolean;
  /** Safe to show to any peer: says what is wrong and what to do. */
  readonly text: string;
}

export const catalogue = {
  'recipient-outside-demail': spec(
    550,
    '5.1.2',
    'Recipient is not a De-Mail address; this gateway delivers De-Mail only. Remove the recipient and send again',
  ),
  'recipient-malformed': spec(553, '5.1.3', 'Recipient address is malformed; correct it and send again'),
  'sender-not-permitted': spec(
    550,
    '5.7.1',
    'You have no right to send from this address; use your own, or ask the administrator of the gateway',
  ),
  'sender-no-tenant': spec(
    553,
    '5.1.8',
    'Sender domain belongs to no tenant of this gateway; use your own address, or ask the administrator',
  ),
  'sender-malformed': spec(553, '5.1.7', 'Sender address is malformed; correct it and send again'),
  'sender-null': spec(
    550,
    '5.7.1',
    'Mail without a sender (bounces, notices) is not sent as De-Mail; route it elsewhere',
  ),
  'authentication-required': spec(530, '5.7.0', 'Log in first, over TLS'),
  'authentication-failed': spec(535, '5.7.8', 'Login or password is wrong', 'AUTHENTICATIONFAILED'),
  'authentication-limited': temporary(
    454,
    '4.7.0',
    'Too many failed logins; wait some minutes and try again',
    'UNAVAILABLE',
  ),
  'tls-required': spec(
    538,
    '5.7.11',
    'Encryption is required before login: use STARTTLS or the TLS port',
    'PRIVACYREQUIRED',
  ),
  'relay-not-admitted': spec(
    550,
    '5.7.1',
    'This host is not admitted as a relay; ask the administrator of the gateway',
  ),
  'message-too-large': spec(
    552,
    '5.3.4',
    'Message is larger than the gateway accepts; send it in parts',
    'TOOBIG',
  ),
  'too-many-recipients': temporary(452, '4.5.3', 'Too many recipients in one message; send it in parts'),
  'bare-line-end': spec(
    550,
    '5.6.0',
    'Message contains a bare CR or LF (RFC 5321 2.3.8); the sending program must use CRLF',
  ),
  'command-line-end': spec(500, '5.5.2', 'Command lines end with CRLF'),
  'line-too-long': spec(550, '5.6.0', 'Message has a line longer than RFC 5321 4.5.3.1.6 allows; encode it'),
  'from-missing': spec(550, '5.7.1', 'Message has no From header; it needs exactly one From address'),
  'from-multiple': spec(550, '5.7.1', 'Message has several From addresses; it needs exactly one'),
  'from-other-tenant': spec(
    550,
    '5.7.1',
    'The From address does not belong to the tenant of the envelope sender; send both from one tenant',
  ),
  'reply-to-outside-demail': spec(
    550,
    '5.7.1',
    'Reply-To must be a De-Mail address of this tenant: confirmations are sent to it. Use your own or none',
  ),
  'header-malformed': spec(550, '5.6.0', 'Message header cannot be read; correct it and send again'),
  'automatic-reply': spec(
    550,
    '5.7.1',
    'Automatic replies and out-of-office notices are not sent as De-Mail; write it yourself if it is meant',
  ),
  'winmail-dat': spec(
    550,
    '5.6.1',
    'Message contains winmail.dat (Outlook rich text); send it as HTML or plain text',
  ),
  'smtputf8-not-offered': spec(
    553,
    '5.6.7',
    'Internationalised addresses are not supported; use an address in ASCII',
  ),
  'source-route': spec(
    553,
    '5.1.3',
    'Source routes are not accepted (RFC 5321 appendix C); give the address alone',
  ),
  'parameter-unknown': spec(555, '5.5.4', 'MAIL or RCPT parameter is not supported; use what EHLO offers'),
  'option-not-permitted': spec(
    550,
    '5.7.1',
    'This dispatch option is not permitted for this sender; send without it',
  ),
  'option-needs-high': spec(
    550,
    '5.7.1',
    'This dispatch option needs the auth level high, which the account of the tenant lacks; send without it',
  ),
  'option-unknown': spec(
    550,
    '5.7.1',
    'The subject tag names an unknown dispatch option, or says yes and no to one; correct it and send again',
  ),
  'option-pseudonym': spec(
    550,
    '5.7.1',
    'A pseudonym address cannot send authoritative De-Mails; send from another address or without the option',
  ),
  'malware-found': spec(
    550,
    '5.7.1',
    'Message contains malware and was not accepted; clean your computer, remove the attachment and send again',
    'CANNOT',
  ),
  'malware-not-scanned': spec(
    552,
    '5.3.4',
    'Message is larger than the malware scanner takes; send it in parts, or ask the operator to raise StreamMaxLength',
    'LIMIT',
  ),
  'scanner-unavailable': temporary(
    451,
    '4.7.1',
    'Message cannot be checked for malware at the moment; try again later',
    'UNAVAILABLE',
  ),
  'daily-quota': temporary(
    450,
    '4.7.1',
    'The daily quota of De-Mails at auth level normal is used up; send again when the day is over',
  ),
  'daily-quota-alone': spec(
    550,
    '5.7.1',
    'This message alone is more than the daily quota of De-Mails at auth level normal; send it to fewer recipients',
  ),
  'tenant-locked': temporary(450, '4.7.1', 'Sending is locked for this tenant; ask the operator'),
  'evidence-held': temporary(
    451,
    '4.3.5',
    'The evidence log of this tenant is held, nothing can be recorded; try again later, the operator has been told',
    'UNAVAILABLE',
  ),
  'rate-limited': temporary(451, '4.7.0', 'Too many messages in a short time; try again later', 'LIMIT'),
  'store-unavailable': temporary(
    451,
    '4.3.0',
    'The message could not be stored; try again later',
    'UNAVAILABLE',
  ),
  'store-full': temporary(452, '4.3.1', 'The store of the gateway is full; try again later', 'OVERQUOTA'),
  'shutting-down': temporary(421, '4.3.2', 'The gateway is shutting down; try again later', 'UNAVAILABLE'),
  'too-many-connections': temporary(
    421,
    '4.7.0',
    'Too many connections; close some and try again',
    'UNAVAILABLE',
  ),
  'mailbox-unknown': spec(550, '5.1.1', 'No such mailbox', 'NONEXISTENT'),
  'mailbox-exists': spec(550, '5.3.0', 'Mailbox already exists', 'ALREADYEXISTS'),
  'mailbox-name-invalid': spec(550, '5.3.0', 'Mailbox name cannot be used', 'CANNOT'),
  'mailbox-not-permitted': spec(550, '5.7.1', 'You have no right to do this in the mailbox', 'NOPERM'),
  'quota-exceeded': spec(552, '5.2.2', 'Mailbox quota is exceeded; delete or archive messages', 'OVERQUOTA'),
} as const satisfies Record<string, ErrorSpec>;

export type ErrorCode = keyof typeof catalogue;

/** An error of the catalogue, with what it was about (`detail` is safe to show) and its inner cause. */
export class GatewayError extends Error {
  readonly code: ErrorCode;
  readonly detail: string | undefined;

  constructor(code: ErrorCode, detail?: string, cause?: unknown) {
    super(detail ? `${catalogue[code].text} (${detail})` : catalogue[code].text, { cause });
    this.name = 'GatewayError';
    this.code = code;
    this.detail = detail;
  }

  get spec(): ErrorSpec {
    return catalogue[this.code];
  }
}

function spec(smtp: number, enhanced: string, text: string, imap?: string): ErrorSpec {
  return { smtp, enhanced, temporary: false, text, ...(imap ? { imap } : {}) };
}

function temporary(smtp: number, enhanced: string, text: string, imap?: string): ErrorSpec {
  return { ...spec(smtp, enhanced, text, imap), temporary: true };
}
