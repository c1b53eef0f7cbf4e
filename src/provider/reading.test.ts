import { readFile } from 'node:fs/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Entry, SubmissionEntry } from '../evidence/entry.ts';
import { createIndexer } from '../mime/structure.ts';
import { codePoint } from '../mime/testing/code-points.ts';
import { confirmedRecipients, type Match, notifiedRecipients } from './match.ts';
import { createCapture, type Reading, readMessage } from './reading.ts';

function read(bytes: Buffer, chunk = 64 * 1024): Reading {
  const capture = createCapture();
  const indexer = createIndexer();
  for (let at = 0; at < bytes.length; at += chunk) {
    capture.push(bytes.subarray(at, at + chunk));
    indexer.push(bytes.subarray(at, at + chunk));
  }
  return readMessage(capture, indexer.finish());
}

const vector = (name: string) => readFile(new URL(`../../test/vectors/cases/${name}.eml`, import.meta.url));

it.each([
  ['X-de-mail-private: yes', true],
  ['X-de-mail-confirmation-of-retrieve: yes', true],
  ['X-de-mail-private: YES', false],
  ['X-de-mail-confirmation-of-receipt: yes', false],
])('%s makes it private: %s', (line, isPrivate) => {
  expect(read(Buffer.from(`${line}\r\n\r\n`)).isPrivate).toBe(isPrivate);
});

describe('a confirmation', () => {
  it.each([
    ['confirm-dispatch-rsa-exc', 'dispatch'],
    ['confirm-retrieve-bp256-inc', 'retrieval'],
  ])('%s is read, whatever pieces it comes in', async (name, type) => {
    const bytes = await vector(name);
    const whole = read(bytes);
    expect(whole.kind).toBe('confirmation');
    expect(whole.confirmationType).toBe(type);
    expect(whole.confirmation?.type).toBe(type);
    expect(whole.confirmation?.statedTime).not.toBeNull();
    expect(whole.correlation.keys.length).toBeGreaterThan(0);
    for (const chunk of [1, 7, 1000]) expect(read(bytes, chunk)).toEqual(whole);
  });

  it('whose XML cannot be read is still a confirmation by its header', async () => {
    const bytes = await vector('confirm-dispatch-rsa-exc');
    const broken = Buffer.from(
      bytes.toString('latin1').replaceAll('application/xml', 'application/octet'),
      'latin1',
    );
    const reading = read(Buffer.from(broken.toString('latin1').replaceAll('.xml', '.dat'), 'latin1'));
    expect(reading.kind).toBe('confirmation');
    expect(reading.confirmation).toBeNull();
  });
});

describe('an ordinary message', () => {
  it.each([
    ['no type at all', 'Subject: x\r\n\r\nbody\r\n'],
    ['an unknown type', 'X-de-mail-message-type: fax\r\n\r\nbody\r\n'],
    ['no header', '\r\nbody\r\n'],
    ['nothing', ''],
  ])('is what has %s', (_what, text) => {
    expect(read(Buffer.from(text)).kind).toBe('normal');
  });

  it('is not kept in memory beyond its header and one piece', () => {
    const capture = createCapture();
    capture.push(Buffer.from('Subject: x\r\n\r\n'));
    for (let i = 0; i < 100; i += 1) capture.push(Buffer.alloc(64 * 1024));
    expect(capture.bytes().length).toBeLessThanOrEqual(65 * 1024);
    expect(capture.whole()).toBe(false);
  });

  it('with a header that does not end is kept up to a limit', () => {
    const capture = createCapture();
    for (let i = 0; i < 100; i += 1) capture.push(Buffer.alloc(64 * 1024, 'a'));
    expect(capture.bytes().length).toBeLessThanOrEqual(512 * 1024);
  });
});

it('any bytes give a reading', () => {
  const line = fc.oneof(
    fc.constantFrom(
      'X-de-mail-message-type: notification',
      'X-de-mail-message-type: confirmation of receipt',
      'X-de-mail-chosen-recipient: to=a@x;cc=;bcc=<',
      'Content-Type: multipart/mixed; boundary=b',
      'Content-Type: application/xml',
      'Content-Transfer-Encoding: base64',
      '--b',
      '--b--',
      '',
      '<Notification-Message xmlns="urn:de-mail"/>',
    ),
    fc.string({ unit: codePoint, maxLength: 80 }),
  );
  fc.assert(
    fc.property(fc.array(line, { maxLength: 40 }), fc.constantFrom('\r\n', '\n', '\r'), (lines, end) => {
      const reading = read(Buffer.from(lines.join(end)));
      expect(['normal', 'confirmation', 'notification']).toContain(reading.kind);
      confirmedRecipients(reading, null);
      notifiedRecipients(reading, null);
    }),
    { numRuns: 50 },
  );
});

describe('whom it speaks of', () => {
  const recipients = ['max@x.example', 'erna@x.example', 'lina@x.example.org'];
  const match: Match = {
    letter: 1,
    transaction: 0,
    matchedBy: 'private-id',
    submission: {} as Entry & SubmissionEntry,
    recipients,
  };
  const notification = (text: string) =>
    read(
      Buffer.from(
        `X-de-mail-message-type: notification\r\nContent-Type: application/xml\r\n\r\n<Text>${text}</Text>\r\n`,
      ),
    );

  it.each([
    ['Der Empfänger max@x.example ist unbekannt.', ['max@x.example']],
    ['Unbekannt: MAX@X.EXAMPLE, erna@x.example', ['max@x.example', 'erna@x.example']],
    ['climax@x.example', recipients],
    ['lina@x.example ist ein anderer', recipients],
    ['es ging etwas schief', recipients],
  ])('"%s" speaks of %j', (text, expected) => {
    expect(notifiedRecipients(notification(text), match)).toEqual(expected);
  });

  it('a confirmation never speaks of somebody whom the transaction did not have', () => {
    const reading = read(
      Buffer.from(
        'X-de-mail-message-type: confirmation of receipt\r\nX-de-mail-chosen-recipient: to=s@y.example;cc=fremd@x.example\r\n\r\n',
      ),
    );
    expect(confirmedRecipients(reading, match)).toEqual([]);
    expect(confirmedRecipients(reading, null)).toEqual(['fremd@x.example']);
  });
});
