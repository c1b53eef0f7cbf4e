/** mbox (RFC 4155 appendix A), with From_ lines quoted as qmail does; TR-01201 IO 3.6 wants exports in it. */

/** `>From ` and `>>From ` are quoted as well, so that reading it gives the very lines again. */
const QUOTED = /^>*From /;

/**
 * One message as part of an mbox.
 * @param sender address without angle brackets; null: nobody is known
 * @param time when it was received
 */
export function mboxMessage(message: Buffer, sender: string | null, time: Date): Buffer {
  // Latin-1: one character for each byte, whatever the charset.
  const lines = message.toString('latin1').split(/\r?\n/);
  if (lines.at(-1) === '') lines.pop();
  const quoted = lines.map((line) => (QUOTED.test(line) ? `>${line}` : line));
  const from = `From ${envelope(sender)} ${asctime(time)}`;
  return Buffer.from(`${[from, ...quoted].join('\n')}\n\n`, 'latin1');
}

/** A reader takes what stands before the first space for the address. */
function envelope(sender: string | null): string {
  return sender !== null && /^[\x21-\x7e]{1,320}$/.test(sender) ? sender : 'MAILER-DAEMON';
}

/** `Thu Jan  1 00:00:00 1970`, UTC, as RFC 4155 wants it. */
function asctime(time: Date): string {
  const [day, date, month, year, clock] = time.toUTCString().replace(',', '').split(' ');
  return `${day} ${month} ${String(Number(date)).padStart(2)} ${clock} ${year}`;
}
