/** What smtp-server lets pass in MAIL and RCPT although it should not: refused before it is looked at. */
import type { ErrorCode } from '../errors.ts';

/** Parameters of MAIL (RFC 1870, 6152, 3461, 4954) and RCPT (RFC 3461) that this listener knows. */
const known = {
  MAIL: new Set(['SIZE', 'BODY', 'RET', 'ENVID', 'AUTH']),
  RCPT: new Set(['NOTIFY', 'ORCPT']),
} as const;

/**
 * The error in a MAIL or RCPT line, if it is one that must not get further. `MAIL FROM: <a@b>` with a
 * space is Outlook's habit and accepted.
 *
 * @param line without its line end, bytes as ISO-8859-1
 * @param auth AUTH is offered on this listener, so MAIL may carry AUTH=
 */
export function checkAddressCommand(
  verb: 'MAIL' | 'RCPT',
  line: string,
  { auth }: { readonly auth: boolean },
): ErrorCode | undefined {
  // SMTPUTF8 is not offered: an address beyond ASCII could only be guessed at (RFC 6531 3.5).
  if (/[\x80-\uffff]/.test(line)) return 'smtputf8-not-offered';
  const malformed = verb === 'MAIL' ? 'sender-malformed' : 'recipient-malformed';
  const colon = line.indexOf(':');
  const rest = line.slice(colon + 1).trimStart();
  if (colon < 0 || !rest.startsWith('<')) return malformed;
  if (rest.startsWith('<@')) return 'source-route';
  const end = rest.indexOf('>');
  if (end < 0) return malformed;
  const path = rest.slice(1, end);
  if (path.length > 320 || /[\s<"\\]/.test(path)) return malformed;
  const parameters = rest.slice(end + 1);
  if (parameters !== '' && !/^\s/.test(parameters)) return malformed;
  for (const parameter of parameters.trim().split(/\s+/)) {
    const key = parameter.split('=', 1)[0]!.toUpperCase();
    if (key === '' && parameter === '') continue;
    if (key === 'SMTPUTF8') return 'smtputf8-not-offered';
    if (!known[verb].has(key) || (key === 'AUTH' && !auth)) return 'parameter-unknown';
  }
  return undefined;
}
