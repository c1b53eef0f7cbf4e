import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { toAscii } from '../ascii.ts';
import { catalogue, GatewayError } from '../errors.ts';
import { errorText, smtpErrors } from '../errors-german.ts';
import { replyTo } from './reply.ts';

it('docs/smtp-replies.md lists exactly the catalogue', () => {
  const page = readFileSync(new URL('../../docs/smtp-replies.md', import.meta.url), 'utf8');
  const rows = [...page.matchAll(/^\| (\d{3} \S+) \| ([^|]+) \|/gm)].map(
    ([, reply, text]) => `${reply} ${text}`,
  );
  const expected = smtpErrors.map((code) => {
    const { smtp, enhanced, text } = catalogue[code];
    return `${smtp} ${enhanced} ${text}<br>${toAscii(errorText(code, 'de'))}`;
  });
  expect(rows).toEqual(expected);
});

it('each reply agrees with itself: code, status and "temporary" say the same', () => {
  for (const { smtp, enhanced, temporary } of Object.values(catalogue)) {
    expect(String(smtp)[0]).toBe(enhanced[0]);
    expect(temporary).toBe(smtp < 500);
  }
});

it.each<[string, unknown, string]>([
  ['an error of the catalogue', new GatewayError('sender-null'), '550 5.7.1 Mail without a sender'],
  [
    'its detail',
    new GatewayError('header-malformed', 'To occurs twice'),
    '550 5.6.0 Message header cannot be read; correct it and send again (To occurs twice)',
  ],
  ['anything else', new Error('/var/lib/secret is gone'), '451 4.3.0 The message could not be stored'],
  [
    'a full disk',
    Object.assign(new Error('write'), { code: 'ENOSPC' }),
    '452 4.3.1 The store of the gateway is full',
  ],
  [
    'a full disk as a cause',
    new Error('store', { cause: Object.assign(new Error('x'), { code: 'SQLITE_FULL' }) }),
    '452 4.3.1',
  ],
  ['no error at all', 'what', '451 4.3.0'],
])('%s', (_, error, expected) => {
  const { code, line } = replyTo(error, 'en');
  expect(`${code} ${line}`).toContain(expected);
  expect(line).not.toContain('secret');
});

it.each(smtpErrors)('%s is said in German too, in ASCII, within one line of RFC 5321', (code) => {
  const { line } = replyTo(new GatewayError(code), 'de');
  expect(line).toMatch(/^\d\.\d+\.\d+ [ -~]+$/);
  expect(line).not.toContain('?');
  expect(line).not.toContain(catalogue[code].text);
  expect(line.length).toBeLessThan(300);
});

it('a detail with anything in it stays one line', () => {
  const { line } = replyTo(
    new GatewayError('option-unknown', `x\r\n250 2.0.0 Grüße${'\u{1f600}'.repeat(999)}`),
    'de',
  );
  expect(line).toMatch(/^[ -~]{1,500}$/);
  expect(line).toContain('(x 250 2.0.0 Gruesse?');
});
