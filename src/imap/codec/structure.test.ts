import { expect, test } from 'vitest';
import type { Envelope, PartIndex } from '../../mime/types.ts';
import { octets, printAstring, printMailbox, printString, printText } from './printer.ts';
import { printBodyStructure, printEnvelope } from './structure.ts';

const envelope: Envelope = {
  date: 'Wed, 17 Jul 1996 02:23:25 -0700 (PDT)',
  subject: 'IMAP4rev1 WG mtg summary and minutes',
  from: [{ name: 'Terry Gray', mailbox: 'gray', host: 'cac.washington.edu' }],
  sender: [],
  replyTo: [],
  to: [
    { name: null, mailbox: 'undisclosed-recipients', host: null },
    { name: null, mailbox: null, host: null },
  ],
  cc: [],
  bcc: [],
  inReplyTo: null,
  messageId: '<B27397-0100000@cac.washington.edu>',
};

function part(over: Partial<PartIndex>): PartIndex {
  return {
    headerStart: 0,
    bodyStart: 10,
    bodyEnd: 30,
    lines: 2,
    type: 'text',
    subtype: 'plain',
    params: [],
    id: null,
    description: null,
    encoding: '7bit',
    md5: null,
    disposition: null,
    language: null,
    location: null,
    parts: [],
    envelope: null,
    ...over,
  };
}

test('ENVELOPE: sender and reply-to default to from; groups keep their marks', () => {
  const gray = '(("Terry Gray" NIL "gray" "cac.washington.edu"))';
  expect(printEnvelope(envelope)).toBe(
    `("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)" "IMAP4rev1 WG mtg summary and minutes" ${gray} ${gray} ${gray} ` +
      '((NIL NIL "undisclosed-recipients" NIL)(NIL NIL NIL NIL)) NIL NIL NIL "<B27397-0100000@cac.washington.edu>")',
  );
});

test.each<[string, PartIndex, string, string]>([
  [
    'text',
    part({ params: [['charset', 'utf-8']], language: ['de'] }),
    '("text" "plain" ("charset" "utf-8") NIL NIL "7bit" 20 2)',
    '("text" "plain" ("charset" "utf-8") NIL NIL "7bit" 20 2 NIL NIL ("de") NIL)',
  ],
  [
    'attachment',
    part({
      type: 'application',
      subtype: 'pdf',
      encoding: 'base64',
      disposition: { type: 'attachment', params: [['filename', 'a"b.pdf']] },
    }),
    '("application" "pdf" NIL NIL NIL "base64" 20)',
    '("application" "pdf" NIL NIL NIL "base64" 20 NIL ("attachment" ("filename" "a\\"b.pdf")) NIL NIL)',
  ],
  [
    'multipart',
    part({ type: 'multipart', subtype: 'mixed', params: [['boundary', 'x']], parts: [part({}), part({})] }),
    '(("text" "plain" NIL NIL NIL "7bit" 20 2)("text" "plain" NIL NIL NIL "7bit" 20 2) "mixed")',
    '(("text" "plain" NIL NIL NIL "7bit" 20 2 NIL NIL NIL NIL)("text" "plain" NIL NIL NIL "7bit" 20 2 NIL NIL NIL NIL) "mixed" ("boundary" "x") NIL NIL NIL)',
  ],
  [
    'multipart without parts',
    part({ type: 'multipart', subtype: 'mixed' }),
    '("application" "octet-stream" NIL NIL NIL "7bit" 20)',
    '("application" "octet-stream" NIL NIL NIL "7bit" 20 NIL NIL NIL NIL)',
  ],
  [
    'message without a message',
    part({ type: 'message', subtype: 'rfc822' }),
    '("application" "octet-stream" NIL NIL NIL "7bit" 20)',
    '("application" "octet-stream" NIL NIL NIL "7bit" 20 NIL NIL NIL NIL)',
  ],
])('%s', (_, index, body, structure) => {
  expect(printBodyStructure(index, false)).toBe(body);
  expect(printBodyStructure(index, true)).toBe(structure);
});

test('an enclosed message carries its envelope, structure and lines', () => {
  const index = part({ type: 'MESSAGE', subtype: 'RFC822', lines: 9, parts: [part({ envelope })] });
  expect(printBodyStructure(index, false)).toBe(
    `("MESSAGE" "RFC822" NIL NIL NIL "7bit" 20 ${printEnvelope(envelope)} ("text" "plain" NIL NIL NIL "7bit" 20 2) 9)`,
  );
});

test('strings: quoted where possible, literal where not', () => {
  expect(printString('a "b" \\')).toBe('"a \\"b\\" \\\\"');
  expect(printString(octets('ä'))).toBe('{2}\r\n\xc3\xa4');
  expect(printString('a\r\nb')).toBe('{4}\r\na\r\nb');
  expect(printString('a\0b\xff')).toBe('{3}\r\nab\xff');
  expect(printAstring('$Done]')).toBe('$Done]');
  expect(printAstring('NIL')).toBe('"NIL"');
  expect(printAstring('')).toBe('""');
  expect(printMailbox('Entwürfe')).toBe('"Entw&APw-rfe"');
  expect(printText('[x]\r\ny')).toBe('(x] y');
});
