import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeContent } from '../mime/digest.ts';
import { headerEnd, parseHeader } from '../mime/header.ts';
import { createIndexer } from '../mime/structure.ts';
import { findXmlPart, readConfirmation } from './confirmation.ts';
import { correlate } from './correlation.ts';
import { readMetadata } from './metadata.ts';

function load(name: string) {
  const bytes = readFileSync(new URL(`../../test/vectors/cases/${name}.eml`, import.meta.url));
  const indexer = createIndexer();
  indexer.push(bytes);
  const part = findXmlPart(indexer.finish())!;
  const xml = decodeContent(bytes.subarray(part.bodyStart, part.bodyEnd), part.encoding);
  return { fields: parseHeader(bytes.subarray(0, headerEnd(bytes))), xml };
}

const header = (...list: string[]) => parseHeader(Buffer.from(`${list.join('\r\n')}\r\n`));
const retrieval = header(
  'X-de-mail-message-type: confirmation of retrieve',
  'X-de-mail-chosen-recipient: to=erika@amt.de-mail.de;cc=max@x.de-mail.de',
  'X-de-mail-private-id: mine',
);
const metadate = (name: string, value: string) =>
  `<Metadate><Name>${name}</Name><Value>${value}</Value><OriginalHeader>${name}: ${value}</OriginalHeader></Metadate>`;
const acknowledge = (inner: string, chosen = 'to=max@x.de-mail.de;b@x.de-mail.de') =>
  Buffer.from(
    `<?xml version="1.0" encoding="UTF-8"?><Acknowledge-Message xmlns="urn:de-mail"><Sender>s</Sender><Metadata>${metadate('X-de-mail-chosen-recipient', chosen)}${metadate('X-DE-MAIL-PRIVATE-ID', 'theirs')}${metadate('X-de-mail-message-id', '&lt;1@p&gt;')}</Metadata><Subject>S</Subject><Text>T</Text><Hash>h</Hash>${inner}</Acknowledge-Message>`,
  );
const time = '<Time>2026-11-16T09:15:41+01:00</Time>';

describe('readConfirmation', () => {
  test('reads the dispatch confirmation of the vectors', () => {
    const { fields, xml } = load('confirm-dispatch-rsa-exc');
    const result = readConfirmation(fields, xml);
    expect(result).toMatchObject({
      ok: true,
      confirmation: {
        type: 'dispatch',
        sender: 'Versandbestaetigung@provider.de-mail.example',
        subject: 'Versandbestaetigung: Bescheid',
        statedTime: '2026-11-16T09:15:41+01:00',
        deliveryTime: null,
        originalPrivateId: 'gw-00000001',
        originalMessageId: '<2026-1@provider.de-mail.example>',
        recipients: ['max.mustermann@buerger.de-mail.example', 'poststelle@amt-zarrentin.de-mail.example'],
      },
    });
    if (!result.ok) return;
    expect(result.confirmation.hash).toMatch(/^v=1; a=sha256\/ec-dsa;/);
    const subject = result.confirmation.original.find(({ name }) => name === 'Subject');
    expect(subject?.originalHeader).toContain('Aktenzeichen\r\n 20-43');
  });

  test('reads the retrieval confirmation of the vectors, which names no recipient of its own', () => {
    const { fields, xml } = load('confirm-retrieve-bp256-inc');
    expect(readConfirmation(fields, xml)).toMatchObject({
      ok: true,
      confirmation: { type: 'retrieval', deliveryTime: '2026-11-16T09:15:40+01:00', recipients: [] },
    });
  });

  test.each<[string, string, string, string[]]>([
    [
      'Cc is the recipient',
      'to=erika@amt.de-mail.de;cc=Max@x.de-mail.de',
      'to=a@x.de;max@x.de-mail.de',
      ['max@x.de-mail.de'],
    ],
    [
      'to, where it is one of the original',
      'to=erika@amt.de-mail.de;max@x.de-mail.de',
      'to=max@x.de-mail.de;b@x.de',
      ['max@x.de-mail.de'],
    ],
    ['the only one there was', 'to=erika@amt.de-mail.de', 'to=max@x.de-mail.de', ['max@x.de-mail.de']],
    ['nobody is guessed', 'to=erika@amt.de-mail.de', 'to=max@x.de-mail.de;b@x.de', []],
  ])('recipient: %s', (_, chosen, original, expected) => {
    const fields = header(
      'X-de-mail-message-type: confirmation of receipt',
      `X-de-mail-chosen-recipient: ${chosen}`,
    );
    expect(readConfirmation(fields, acknowledge(time, original))).toMatchObject({
      ok: true,
      confirmation: { recipients: expected },
    });
  });

  test.each([
    ['2026-11-16T09:15:41Z', '2026-11-16T09:15:41Z'],
    ['2026-11-16T09:15:41.123+01:00', '2026-11-16T09:15:41.123+01:00'],
    ['2026-11-16T09:15:41', null],
    ['16.11.2026', null],
    ['2026-13-45T99:00:00Z', null],
  ])('time %s', (text, expected) => {
    expect(readConfirmation(retrieval, acknowledge(`<Time>${text}</Time>`))).toMatchObject({
      ok: true,
      confirmation: { statedTime: expected },
    });
  });

  const good = acknowledge(time).toString();
  test.each<[string, string | Buffer, RegExp]>([
    ['a DOCTYPE', good.replace('<Ack', '<!DOCTYPE x [<!ENTITY a "b">]><Ack'), /DOCTYPE/],
    ['another root', '<x xmlns="urn:de-mail"/>', /no Acknowledge-Message/],
    ['no namespace', good.replace(' xmlns="urn:de-mail"', ''), /no Acknowledge-Message/],
    ['a missing element', good.replace('<Hash>h</Hash>', ''), /no element Hash/],
    ['an element twice', good.replace('<Hash>h</Hash>', '<Hash>h</Hash><Hash>i</Hash>'), /2 elements Hash/],
    ['broken markup', good.slice(0, -10), /cannot be read/],
    ['an unknown entity', good.replace('<Text>T', '<Text>&foo;'), /cannot be read/],
    ['another encoding', good.replace('UTF-8', 'UTF-7'), /encoding/],
    ['bytes that are no UTF-8', Buffer.concat([Buffer.from(good), Buffer.from([0xff])]), /UTF-8/],
    ['nothing', '', /cannot be read|no element/],
    ['2 MiB', 'x'.repeat(2 * 1024 * 1024), /more than/],
    ['a million tags', '<a>'.repeat(100_000), /tags/],
  ])('refuses %s', (_, xml, reason) => {
    const result = readConfirmation(retrieval, Buffer.from(xml));
    expect(result.ok).toBe(false);
    if (!result.ok) expect(result.reason).toMatch(reason);
  });

  test('refuses what its header calls something else', () => {
    expect(readConfirmation(header('X-de-mail-message-type: normal'), acknowledge(time)).ok).toBe(false);
    expect(readConfirmation([], acknowledge(time)).ok).toBe(false);
  });

  test('deep nesting within an element is read or refused', () => {
    const deep = good.replace('<Text>T', `<Text>${'<a>'.repeat(4_900)}x${'</a>'.repeat(4_900)}`);
    expect(readConfirmation(retrieval, Buffer.from(deep))).toHaveProperty('ok');
  });

  test('hostile XML ends within the time limit of a test', () => {
    const half = 'x="1" '.repeat(80_000);
    readConfirmation(retrieval, Buffer.from(`<a ${half}/>`));
    readConfirmation(retrieval, Buffer.from('<a>'.repeat(9_000)));
    readConfirmation(retrieval, Buffer.from(`<a>${'&lt;'.repeat(200_000)}</a>`));
    readConfirmation(
      retrieval,
      Buffer.from(`<a ${Array.from({ length: 50_000 }, (_, i) => `x${i}=""`).join(' ')}/>`),
    );
  });

  test('mutated confirmations never throw', () => {
    const { fields, xml } = load('confirm-retrieve-bp256-inc');
    const text = xml.toString().replace(/<ds:Signature[\s\S]*<\/ds:Signature>/, '');
    const small = acknowledge(`${time}<DeliveryTime>2026-11-16T09:15:40Z</DeliveryTime>`);
    expect(readConfirmation(fields, Buffer.from(text)).ok).toBe(true);
    const edit = fc.tuple(
      fc.nat(small.length - 1),
      fc.nat(20),
      fc.constantFrom(
        '',
        '<',
        '>',
        '&',
        '"',
        '\0',
        ']]>',
        '<!--',
        '<Time/>',
        '<![CDATA[',
        '\ufffd',
        'xmlns:a=""',
      ),
    );
    fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 3 }), (edits) => {
        let mutated = small.toString('latin1');
        for (const [at, length, insert] of edits)
          mutated = mutated.slice(0, at) + insert + mutated.slice(at + length);
        const result = readConfirmation(retrieval, Buffer.from(mutated));
        if (result.ok) expect(result.confirmation.type).toBe('retrieval');
        else expect(result.reason).not.toBe('');
      }),
      { numRuns: 5000 },
    );
  });
});

describe('correlate', () => {
  const metadata = readMetadata(retrieval);
  const read = (xml: Buffer) => {
    const result = readConfirmation(retrieval, xml);
    return result.ok ? result.confirmation : null;
  };

  test('private-ids first, then the message id of the original', () => {
    expect(correlate(metadata, read(acknowledge(time)))).toEqual({
      keys: [
        { by: 'private-id', value: 'mine' },
        { by: 'private-id', value: 'theirs' },
        { by: 'message-id', value: '<1@p>' },
      ],
      conflict: true,
    });
  });

  test('without XML the header alone counts', () => {
    expect(correlate(metadata, null)).toEqual({
      keys: [{ by: 'private-id', value: 'mine' }],
      conflict: false,
    });
    expect(correlate(readMetadata([]), null)).toEqual({ keys: [], conflict: false });
  });
});

test('findXmlPart goes by type, then by name, and not into enclosed messages', () => {
  const find = (text: string) => {
    const indexer = createIndexer();
    indexer.push(Buffer.from(text));
    const part = findXmlPart(indexer.finish());
    return part && text.slice(part.bodyStart, part.bodyEnd);
  };
  const mixed = (parts: string[]) =>
    `Content-Type: multipart/mixed; boundary=b\n\n${parts.map((part) => `--b\n${part}\n`).join('')}--b--\n`;
  expect(find(mixed(['Content-Type: text/plain\n\nx', 'Content-Type: text/xml\n\n<x/>']))).toBe('<x/>');
  expect(find(mixed(['Content-Type: application/octet-stream; name="A.XML"\n\n<x/>']))).toBe('<x/>');
  expect(find(mixed(['Content-Type: message/rfc822\n\nContent-Type: text/xml\n\n<x/>']))).toBeNull();
});
