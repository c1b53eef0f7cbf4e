/** From an error to the one reply line that the client sees. */
import { toAscii } from '../ascii.ts';
import type { Language } from '../config/schema.ts';
import { catalogue, type ErrorCode, GatewayError } from '../errors.ts';
import { errorText } from '../errors-german.ts';

export interface Reply {
  readonly code: number;
  /** RFC 3463 status, then the text. */
  readonly line: string;
}

/** RFC 5321 4.5.3.1.5: 512 octets with code and line end. */
const MAX_LINE = 500;

/** The reply to an error: its own where it is of the catalogue, else "could not be stored"; never its cause. */
export function replyTo(error: unknown, language: Language): Reply {
  const code = codeOf(error);
  const detail = error instanceof GatewayError ? error.detail : undefined;
  const text = errorText(code, language);
  const { smtp, enhanced } = catalogue[code];
  const line = toAscii(`${enhanced} ${text}${detail ? ` (${detail})` : ''}`);
  return { code: smtp, line: line.length > MAX_LINE ? `${line.slice(0, MAX_LINE - 3)}...` : line };
}

/** The error of the catalogue that the client is told of. */
export function codeOf(error: unknown): ErrorCode {
  if (error instanceof GatewayError) return error.code;
  return isDiskFull(error) ? 'store-full' : 'store-unavailable';
}

/** The same in the form in which smtp-server takes it from a handler. */
export function refusal(error: unknown, language: Language): Error & { responseCode: number } {
  const { code, line } = replyTo(error, language);
  return Object.assign(new Error(line), { responseCode: code });
}

function isDiskFull(error: unknown): boolean {
  for (let e = error; e instanceof Error; e = e.cause) {
    const { code } = e as NodeJS.ErrnoException;
    if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'SQLITE_FULL') return true;
  }
  return false;
}
