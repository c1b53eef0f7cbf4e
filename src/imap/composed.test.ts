import { describe, expect, it, test } from 'vitest';
import { createIndexer } from '../mime/structure.ts';
import type { Section } from './codec/command.ts';
import { type Composed, compose, sectionSpan } from './composed.ts';

const message = [
  'Message-ID: <1@x.example>',
  'In-Reply-To: <old@x.example>',
  'Subject: außen',
  'Content-Type: multipart/mixed; boundary=b',
  '',
  '--b',
  'Content-Type: text/plain',
  '',
  'eins',
  '--b',
  'Content-Type: message/rfc822',
  '',
  'Subject: innen',
  'Content-Type: multipart/alternative; boundary=c',
  '',
  '--c',
  '',
  'zwei',
  '--c',
  'Content-Type: text/html',
  '',
  'drei',
  '--c--',
  '--b--',
  '',
].join('\r\n');

function composed(text: string, prefix = '', from = 0): { message: Composed; bytes: Buffer } {
  const object = Buffer.from(text);
  const indexer = createIndexer();
  indexer.push(object);
  const source = { prefix: Buffer.from(prefix), object: 'o', from };
  const bytes = Buffer.concat([source.prefix, object.subarray(from)]);
  return { message: compose({ uid: 1, source, privateOf: null, index: indexer.finish() }), bytes };
}

function read(
  { message, bytes }: ReturnType<typeof composed>,
  part: number[],
  what: Section['what'] = 'ALL',
) {
  const span = sectionSpan(message, { part, what, fields: [] });
  return span && bytes.subarray(span.from, span.to).toString();
}

const prefix = 'X-Gateway: a\r\nIn-Reply-To: <new@x.example>\r\n';
const replaced = 'Message-ID: <1@x.example>\r\nSubject: neu\r\n\r\n';
const bodyAt = Buffer.byteLength(message.slice(0, message.indexOf('\r\n\r\n') + 4));

describe.each([
  ['as stored', composed(message)],
  ['with a block before it', composed(message, prefix)],
  ['with its header replaced', composed(message, replaced, bodyAt)],
])('%s', (_, one) => {
  it.each<[number[], Section['what'], string | null]>([
    [[1], 'ALL', 'eins'],
    [[1], 'MIME', 'Content-Type: text/plain\r\n\r\n'],
    [[1], 'HEADER', null],
    [[1, 1], 'ALL', null],
    [[2], 'MIME', 'Content-Type: message/rfc822\r\n\r\n'],
    [[2], 'HEADER', 'Subject: innen\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n'],
    [[2], 'TEXT', '--c\r\n\r\nzwei\r\n--c\r\nContent-Type: text/html\r\n\r\ndrei\r\n--c--'],
    [[2, 1], 'ALL', 'zwei'],
    [[2, 2], 'MIME', 'Content-Type: text/html\r\n\r\n'],
    [[2, 2], 'ALL', 'drei'],
    [[2, 3], 'ALL', null],
    [[3], 'ALL', null],
  ])('part %j %s', (part, what, wanted) => expect(read(one, part, what)).toBe(wanted));

  it('header and text make the whole', () => {
    expect(read(one, [])).toBe(one.bytes.toString());
    expect(read(one, [], 'HEADER')! + read(one, [], 'TEXT')!).toBe(one.bytes.toString());
    expect(one.message.size).toBe(one.bytes.length);
  });
});

test('part 1 of a message without parts is its body, and its header is that of the message', () => {
  const one = composed('Subject: x\r\n\r\nText', 'A: b\r\n');
  expect(read(one, [1])).toBe('Text');
  expect(read(one, [1], 'MIME')).toBe('A: b\r\nSubject: x\r\n\r\n');
  expect(read(one, [2])).toBeNull();
});

test('of a field in block and message, the block counts: it stands on top', () => {
  expect(composed(message, prefix).message.envelope).toMatchObject({
    inReplyTo: '<new@x.example>',
    messageId: '<1@x.example>',
    subject: 'außen',
  });
  expect(composed(message).message.envelope.inReplyTo).toBe('<old@x.example>');
});

test.each([
  '',
  '\r\n',
  'no header at all',
  'A: b',
  '\r\nbody',
  'Content-Type: multipart/mixed; boundary=x\r\n\r\n',
])('any message has spans within itself: %j', (text) => {
  const one = composed(text, 'P: q\r\n');
  for (const what of ['ALL', 'HEADER', 'TEXT'] as const)
    expect(read(one, [], what)?.length).toBeLessThanOrEqual(one.bytes.length);
  expect(read(one, [], 'HEADER')! + read(one, [], 'TEXT')!).toBe(one.bytes.toString());
});
