import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mboxMessage } from './mbox.ts';

const time = new Date('2026-03-01T08:05:09Z');

/** As qmail's mbox(5) tells readers to: up to the next From_ line, one `>` taken off, the last blank line dropped. */
function read(mbox: Buffer): string {
  const [, ...lines] = mbox.toString('latin1').split('\n');
  return lines
    .slice(0, -2)
    .map((line) => (/^>+From /.test(line) ? line.slice(1) : line))
    .join('\n');
}

describe('mbox', () => {
  it.each([
    ['From me', '>From me'],
    ['>From me', '>>From me'],
    ['>>From me', '>>>From me'],
    ['From: me', 'From: me'],
    [' From me', ' From me'],
    ['from me', 'from me'],
  ])('quotes as qmail does: %s', (line, written) => {
    const text = mboxMessage(
      Buffer.from(`Subject: x\r\n\r\n${line}\r\n`),
      'max@example.org',
      time,
    ).toString();
    expect(text).toBe(`From max@example.org Sun Mar  1 08:05:09 2026\nSubject: x\n\n${written}\n\n`);
  });

  it('gives the lines again, whatever they are', () => {
    const line = fc.stringMatching(/^>{0,3}(From |from |F|)[\x20-\x7e]{0,9}$/);
    fc.assert(
      fc.property(fc.array(line, { minLength: 1 }), (lines) => {
        const message = Buffer.from(`${lines.join('\r\n')}\r\n`);
        expect(read(mboxMessage(message, null, time))).toBe(lines.join('\n'));
      }),
    );
  });

  it('names nobody where the address would break the line', () => {
    for (const sender of [null, '', 'a b@example.org', 'a\nFrom b', 'ü@example.org'])
      expect(mboxMessage(Buffer.from('a: b\r\n'), sender, time).toString()).toMatch(
        /^From MAILER-DAEMON Sun /,
      );
  });
});
