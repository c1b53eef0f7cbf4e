/** From an error to the one reply line that the client sees. */
import { catalogue, type ErrorCode, type ErrorSpec, GatewayError } from '../errors.ts';

export interface Reply {
  readonly code: number;
  /** RFC 3463 status, then the text. */
  readonly line: string;
}

/** Every error of the catalogue that an SMTP client can meet; docs/smtp-replies.md explains each. */
export const smtpErrors = [
  'recipient-outside-demail',
  'recipient-malformed',
  'sender-not-permitted',
  'sender-no-tenant',
  'sender-malformed',
  'sender-null',
  'authentication-required',
  'authentication-failed',
  'authentication-limited',
  'tls-required',
  'relay-not-admitted',
  'message-too-large',
  'too-many-recipients',
  'bare-line-end',
  'command-line-end',
  'line-too-long',
  'from-missing',
  'from-multiple',
  'from-other-tenant',
  'reply-to-outside-demail',
  'header-malformed',
  'automatic-reply',
  'winmail-dat',
  'smtputf8-not-offered',
  'source-route',
  'parameter-unknown',
  'option-not-permitted',
  'option-needs-high',
  'option-unknown',
  'option-pseudonym',
  'malware-found',
  'malware-not-scanned',
  'scanner-unavailable',
  'tenant-locked',
  'rate-limited',
  'store-unavailable',
  'store-full',
  'shutting-down',
  'too-many-connections',
] as const satisfies readonly ErrorCode[];

/** The reply to an error: its own where it is of the catalogue, else "could not be stored"; never its cause. */
export function replyTo(error: unknown): Reply {
  if (error instanceof GatewayError) return print(error.spec, error.message);
  const code: ErrorCode = isDiskFull(error) ? 'store-full' : 'store-unavailable';
  return print(catalogue[code], catalogue[code].text);
}

/** The same in the form in which smtp-server takes it from a handler. */
export function refusal(error: unknown): Error & { responseCode: number } {
  const { code, line } = replyTo(error);
  return Object.assign(new Error(line), { responseCode: code });
}

function print(spec: ErrorSpec, text: string): Reply {
  return { code: spec.smtp, line: `${spec.enhanced} ${text}` };
}

function isDiskFull(error: unknown): boolean {
  for (let e = error; e instanceof Error; e = e.cause) {
    const { code } = e as NodeJS.ErrnoException;
    if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'SQLITE_FULL') return true;
  }
  return false;
}
