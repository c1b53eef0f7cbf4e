import fc from 'fast-check';
import { simpleParser } from 'mailparser';
import { describe, expect, test } from 'vitest';
import { encodeQuotedPrintable } from './compose.ts';
import { decodeContent } from './digest.ts';
import { composeDsn, type DsnInput } from './dsn.ts';
import { headerEnd, parseHeader } from './header.ts';
import { createLineEndCheck } from './line-ends.ts';
import { composeNotice, type NoticeInput } from './notice.ts';
import { createIndexer } from './structure.ts';

const notice: NoticeInput = {
  from: { name: 'De-Mail-Gateway Müritz', address: 'gateway@stadt-waren.example' },
  to: [
    { address: 'erika@stadt-waren.example' },
    { name: 'Petersen, Jan', address: 'jan@stadt-waren.example' },
  ],
  subject: 'Störung: Anbieter nicht erreichbar',
  text: 'Grüße\nzweite Zeile  \n.\nFrom hier\n',
  date: new Date('2026-11-24T08:00:00Z'),
  messageId: '<n1@gw.example>',
};

/** Fit for any line of the wire: CRLF, at most 998 characters, the header in ASCII. */
function checkWire(bytes: Buffer) {
  const check = createLineEndCheck();
  check.push(bytes);
  expect(check.finish()).toBeNull();
  expect(bytes.subarray(-2).toString()).toBe('\r\n');
  expect(bytes.toString('latin1', 0, headerEnd(bytes))).toMatch(/^[\r\n\t -~]*$/);
  expect(parseHeader(bytes).every(({ name }) => name !== '')).toBe(true);
}

describe('composeNotice', () => {
  test('is read as it was meant', async () => {
    const bytes = composeNotice({ ...notice, inReplyTo: '<1@x>' });
    checkWire(bytes);
    const mail = await simpleParser(bytes);
    expect(mail.subject).toBe(notice.subject);
    expect(mail.text).toBe(notice.text);
    expect(mail.from?.value).toEqual([
      { name: 'De-Mail-Gateway Müritz', address: 'gateway@stadt-waren.example' },
    ]);
    expect((mail.to as { value: unknown }).value).toEqual([
      { name: '', address: 'erika@stadt-waren.example' },
      { name: 'Petersen, Jan', address: 'jan@stadt-waren.example' },
    ]);
    expect(mail.date).toEqual(notice.date);
    expect(mail.messageId).toBe('<n1@gw.example>');
    expect(mail.inReplyTo).toBe('<1@x>');
    expect(mail.references).toBe('<1@x>');
    expect(mail.headers.get('auto-submitted')).toBe('auto-generated');
  });

  test.each(['a\x00b', '<ü@x>', '<1@x> <2@x>', '<1 2@x>', `<${'1'.repeat(901)}>`, '1@x', ''])(
    'names no letter whose Message-ID is none: %j',
    (inReplyTo) => {
      const names = parseHeader(composeNotice({ ...notice, inReplyTo })).map(({ name }) => name);
      expect(names).not.toContain('In-Reply-To');
      expect(names).not.toContain('References');
    },
  );

  test('carries files and messages unchanged', async () => {
    const content = Buffer.from(Array.from({ length: 1000 }, (_, i) => i % 256));
    const bytes = composeNotice({
      ...notice,
      attachments: [
        {
          name: 'Übersicht mit einem recht langen Namen, der in Stücke geteilt wird.pdf',
          type: 'application/pdf',
          content,
        },
        { name: 'x', type: 'message/rfc822', content: Buffer.from('Subject: inner\r\n\r\ninner ü\r\n') },
      ],
    });
    checkWire(bytes);
    const mail = await simpleParser(bytes);
    expect(mail.attachments[0]!.filename).toBe(
      'Übersicht mit einem recht langen Namen, der in Stücke geteilt wird.pdf',
    );
    expect(mail.attachments[0]!.content.equals(content)).toBe(true);
    const indexer = createIndexer();
    indexer.push(bytes);
    expect(indexer.finish().root.parts[2]!.parts[0]!.envelope?.subject).toBe('inner');
  });

  test('no value gets a line of its own', () => {
    const subject = composeNotice({ ...notice, subject: 'a\r\nBcc: evil@x.de\u2028b' });
    expect(parseHeader(subject).some(({ lower }) => lower === 'bcc')).toBe(false);
    for (const bad of ['a@x.de\r\nBcc: evil@x.de', 'a@x.de\nx']) {
      expect(() => composeNotice({ ...notice, to: [{ address: bad }] })).toThrow(RangeError);
      expect(() => composeNotice({ ...notice, messageId: bad })).toThrow(RangeError);
      expect(() => composeNotice({ ...notice, headers: [['X-A', bad]] })).toThrow(RangeError);
    }
  });
});

test('quoted-printable comes back, in lines of at most 76', () => {
  const text = fc.string({
    unit: fc.constantFrom('a', ' ', '\t', '=', 'ü', '😀', '\r\n', '.', 'wort wort '),
    maxLength: 200,
  });
  fc.assert(
    fc.property(text, (input) => {
      const encoded = encodeQuotedPrintable(input);
      for (const line of encoded.split('\r\n')) {
        expect(line.length).toBeLessThanOrEqual(76);
        expect(line).not.toMatch(/[ \t]$/);
      }
      expect(decodeContent(Buffer.from(encoded), 'quoted-printable').toString()).toBe(input);
    }),
    { numRuns: 2000 },
  );
});

describe('composeDsn', () => {
  const dsn: DsnInput = {
    ...notice,
    language: 'de',
    reportingMta: 'gw.example',
    envid: 'QQ314159',
    arrivalDate: new Date('2026-11-23T08:00:00Z'),
    letterSubject: 'Bescheid über die Grundsteuer',
    inReplyTo: '<letter@stadt-waren.example>',
    recipients: [
      {
        address: 'unknown@buerger.de-mail.example',
        orcpt: 'rfc822;unknown@buerger.de-mail.example',
        action: 'failed',
        status: '5.1.1',
        diagnostic: '550 5.1.1 Empfänger unbekannt\r\nFake-Field: x',
        remoteMta: 'smtp.provider.example',
        lastAttempt: new Date('2026-11-24T07:59:00Z'),
      },
      {
        address: 'slow@buerger.de-mail.example',
        action: 'delayed',
        willRetryUntil: new Date('2026-11-27T08:00:00Z'),
      },
    ],
    original: { headers: Buffer.from('Subject: Bescheid\r\nFrom: erika@stadt-waren.example\r\n\r\n') },
  };
  const part = (bytes: Buffer, n: number) => {
    const indexer = createIndexer();
    indexer.push(bytes);
    const found = indexer.finish().root.parts[n]!;
    return { ...found, text: bytes.toString('latin1', found.bodyStart, found.bodyEnd) };
  };

  test('has the three parts of RFC 3464', async () => {
    const bytes = composeDsn(dsn);
    checkWire(bytes);
    const mail = await simpleParser(bytes);
    expect(mail.subject).toBe('Nicht zugestellt: Bescheid über die Grundsteuer');
    expect(mail.text).toContain('konnte diesen Empfängern nicht zugestellt werden:\n\n  unknown@buerger');
    expect(mail.text).toContain('die Versuche gehen weiter:\n\n  slow@buerger');
    expect(mail.headers.get('auto-submitted')).toBe('auto-replied');
    expect(parseHeader(bytes).find(({ lower }) => lower === 'content-type')?.value).toMatch(
      /^multipart\/report; report-type=delivery-status; boundary=/,
    );
    expect(part(bytes, 1)).toMatchObject({
      type: 'message',
      subtype: 'delivery-status',
      text: [
        'Original-Envelope-Id: QQ314159',
        'Reporting-MTA: dns; gw.example',
        'Arrival-Date: Mon, 23 Nov 2026 08:00:00 +0000',
        '',
        'Original-Recipient: rfc822; unknown@buerger.de-mail.example',
        'Final-Recipient: rfc822; unknown@buerger.de-mail.example',
        'Action: failed',
        'Status: 5.1.1',
        'Remote-MTA: dns; smtp.provider.example',
        'Diagnostic-Code: smtp; 550 5.1.1 Empf?nger unbekannt Fake-Field: x',
        'Last-Attempt-Date: Tue, 24 Nov 2026 07:59:00 +0000',
        '',
        'Final-Recipient: rfc822; slow@buerger.de-mail.example',
        'Action: delayed',
        'Status: 4.0.0',
        'Will-Retry-Until: Fri, 27 Nov 2026 08:00:00 +0000',
        '',
      ].join('\r\n'),
    });
    expect(part(bytes, 2)).toMatchObject({ type: 'text', subtype: 'rfc822-headers' });
  });

  test.each([
    ['failed', '4.4.7', '5.0.0'],
    ['delayed', '4.4.1', '4.4.1'],
    ['relayed', null, '2.0.0'],
    ['delivered', 'nonsense', '2.0.0'],
  ] as const)('%s with status %s says %s', (action, status, expected) => {
    const bytes = composeDsn({ ...dsn, language: 'en', recipients: [{ address: 'a@x.de', action, status }] });
    checkWire(bytes);
    expect(part(bytes, 1).text).toContain(`Action: ${action}\r\nStatus: ${expected}\r\n`);
  });

  test('RET=FULL carries the letter byte for byte', () => {
    const letter = Buffer.from('Subject: Grüße\r\n\r\n--=_x\r\nüber\r\n');
    const bytes = composeDsn({ ...dsn, original: { message: letter } });
    const found = part(bytes, 2);
    expect(found).toMatchObject({ type: 'message', subtype: 'rfc822', encoding: '8bit' });
    expect(bytes.subarray(found.bodyStart, found.bodyEnd).equals(letter)).toBe(true);
  });

  test('needs a recipient', () => {
    expect(() => composeDsn({ ...dsn, recipients: [] })).toThrow(RangeError);
  });
});
