import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseHeader } from '../mime/header.ts';
import { issueCertificate, toPem } from '../simulator/certificate.ts';
import { verifyConfirmationXml } from './confirmation-xml.ts';
import { confirmationParts } from './testing/confirmation-parts.ts';
import { signXml } from './testing/sign-xml.ts';
import { parseDateTime } from './xml-time.ts';

const { privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'brainpoolP256r1' });
const certificate = issueCertificate({
  commonName: 'Confirmations',
  organization: 'Provider',
  publicKey: key,
  issuer: { name: 'Root', key },
  purpose: 'signature',
  notBefore: new Date('2026-01-01T00:00:00Z'),
  notAfter: new Date('2030-01-01T00:00:00Z'),
});
const signer = { key, certificatePem: toPem(certificate, 'CERTIFICATE') };

const provider = 'provider.de-mail.example';
const erika = 'erika.mustermann@stadt-waren.de-mail.example';
const max = 'max.mustermann@buerger.de-mail.example';
const integrity = 'v=1; a=sha256; c=simple/simple; d=p; s=1;&#13;\n h=From:Date; bh=AAAA; b=BBBB';

interface Parts {
  readonly sender?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly rawMetadata?: string;
  readonly time?: string;
  readonly deliveryTime?: string | null;
  readonly hash?: string;
  readonly text?: string;
}

function acknowledgement(parts: Parts = {}): string {
  const {
    sender = `Abholbestaetigung@${provider}`,
    time = '2026-11-16T09:15:41+01:00',
    deliveryTime = '2026-11-16T08:00:00Z',
    hash = integrity,
    text = `Absender: ${erika}\nEmpfänger: <${max}>\nBetreff: Bescheid\nEmpfänger: eve@x.example`,
  } = parts;
  const metadata = {
    From: erika,
    'X-de-mail-sender': erika,
    'X-de-mail-chosen-recipient': `to=${max}`,
    'X-de-mail-private-id': 'gw-1',
    'X-de-mail-message-id': '&lt;1@p&gt;',
    'X-de-mail-integrity': integrity,
    ...parts.metadata,
  };
  const entries = Object.entries(metadata).map(
    ([name, value]) =>
      `<Metadate><Name>${name}</Name><Value>${value.replace(/&#13;\n/g, '')}</Value><OriginalHeader>${name}: ${value}</OriginalHeader></Metadate>`,
  );
  return [
    '<Acknowledge-Message xmlns="urn:de-mail">',
    `<Sender>${sender}</Sender><Metadata>${parts.rawMetadata ?? entries.join('')}</Metadata>`,
    `<Subject>Abholbestaetigung: Bescheid</Subject><Text>Hiermit …\n${text}</Text><Hash>${hash}</Hash><Time>${time}</Time>`,
    deliveryTime === null ? '' : `<DeliveryTime>${deliveryTime}</DeliveryTime>`,
    '</Acknowledge-Message>',
  ].join('');
}

function covered(changes: Readonly<Record<string, string | null>> = {}) {
  const headers: Record<string, string | null> = {
    From: `Abholbestaetigung@${provider}`,
    Date: 'Mon, 16 Nov 2026 09:15:42 +0100',
    'X-de-mail-sender': `Abholbestaetigung@${provider}`,
    'X-de-mail-chosen-recipient': `to=${erika};cc=${max}`,
    'X-de-mail-message-type': 'confirmation of retrieve',
    'X-de-mail-private-id': 'gw-1',
    ...changes,
  };
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    value === null ? [] : [`${name}: ${value}\r\n`],
  );
  return parseHeader(Buffer.from(lines.join('')));
}

function report(xml: string, fields = covered()) {
  return verifyConfirmationXml({ xml: Buffer.from(signXml(xml, signer)), covered: fields });
}

const failing = (result: ReturnType<typeof report>) =>
  result.checks.filter(({ result }) => result !== 'passed').map(({ name, result }) => `${name} ${result}`);

test('a confirmation that is sound passes every check', () => {
  const result = report(acknowledgement());
  expect(failing(result)).toEqual([]);
  expect(result.checks.map(({ name }) => name)).toContain('xml-recipient');
  expect(result.acknowledgement).toMatchObject({
    time: { utc: '2026-11-16T08:15:41.000Z' },
    deliveryTime: { utc: '2026-11-16T08:00:00.000Z' },
  });
  expect(result.confirmation).toMatchObject({
    type: 'retrieval',
    recipients: [max],
    originalPrivateId: 'gw-1',
  });
  expect(result.acknowledgement!.hash).toContain(';\r\n h=From');
});

describe('differences between header and XML', () => {
  const table: [string, Parts, Record<string, string | null>, string[]][] = [
    [
      'the header makes it another type',
      {},
      { 'X-de-mail-message-type': 'confirmation of receipt' },
      ['xml-type failed', 'xml-delivery-time failed'],
    ],
    ['no system address', { sender: `mallory@${provider}` }, {}, ['xml-type failed', 'xml-sender failed']],
    [
      'another provider in the header',
      {},
      { 'X-de-mail-sender': 'Abholbestaetigung@evil.example' },
      ['xml-sender failed'],
    ],
    ['another From', {}, { From: 'Abholbestaetigung@evil.example' }, ['xml-sender failed']],
    [
      'a recipient who was none',
      {},
      { 'X-de-mail-chosen-recipient': `to=${erika};cc=someone@else.example` },
      ['xml-recipient failed'],
    ],
    ['a text about another recipient', { text: 'Empfänger: eve@x.example' }, {}, ['xml-recipient failed']],
    [
      'an addressee who did not send',
      {},
      { 'X-de-mail-chosen-recipient': `to=eve@x.example;cc=${max}` },
      ['xml-addressee failed'],
    ],
    ['another private-id', {}, { 'X-de-mail-private-id': 'gw-2' }, ['xml-private-id failed']],
    ['replayed after days', {}, { Date: 'Fri, 20 Nov 2026 09:15:42 +0100' }, ['xml-time failed']],
    ['younger than its mail', {}, { Date: 'Mon, 16 Nov 2026 09:00:00 +0100' }, ['xml-time failed']],
    ['no Date', {}, { Date: null }, ['xml-time undecided']],
    [
      'no time zone',
      { time: '2026-11-16T09:15:41' },
      {},
      ['xml-time undecided', 'xml-delivery-time undecided'],
    ],
    ['no time of deposit', { deliveryTime: null }, {}, ['xml-delivery-time failed']],
    ['deposited after the login', { deliveryTime: '2026-11-16T10:00:00Z' }, {}, ['xml-delivery-time failed']],
    ['Hash of another message', { hash: integrity.replace('BBBB', 'CCCC') }, {}, ['xml-hash failed']],
    [
      'a value that its header does not have',
      {
        rawMetadata: `<Metadate><Name>X-de-mail-chosen-recipient</Name><Value>to=${max}</Value><OriginalHeader>X-de-mail-chosen-recipient: to=other@x.example</OriginalHeader></Metadate><Metadate><Name>X-de-mail-sender</Name><Value>${erika}</Value><OriginalHeader>X-de-mail-sender: ${erika}</OriginalHeader></Metadate><Metadate><Name>X-de-mail-private-id</Name><Value>gw-1</Value><OriginalHeader>X-de-mail-private-id: gw-1</OriginalHeader></Metadate>`,
      },
      {},
      ['xml-metadata failed'],
    ],
    ['not a confirmation at all', {}, { 'X-de-mail-message-type': 'normal' }, ['xml-type failed']],
  ];
  test.each(table)('%s', (_name, parts, headers, expected) => {
    expect(failing(report(acknowledgement(parts), covered(headers)))).toEqual(expected);
  });

  test('where nobody says which recipient is meant, it names none', () => {
    const metadata = { 'X-de-mail-chosen-recipient': `to=${max};cc=amt@x.example` };
    const result = report(
      acknowledgement({ metadata }),
      covered({ 'X-de-mail-chosen-recipient': `to=${erika}` }),
    );
    expect(failing(result)).toEqual([]);
    expect(result.confirmation?.recipients).toEqual([]);
    expect(result.checks.find(({ name }) => name === 'xml-recipient')?.reason).toMatch(/which of 2/);
  });

  test('Reply-To is an addressee too, and encoded words may be decoded in Value', () => {
    const xml = acknowledgement({
      metadata: { 'Reply-To': 'poststelle@stadt-waren.de-mail.example' },
    }).replace(
      '</Metadata>',
      '<Metadate><Name>Subject</Name><Value>Süd</Value><OriginalHeader>Subject: =?utf-8?Q?S=C3=BCd?=</OriginalHeader></Metadate></Metadata>',
    );
    const to = `to=poststelle@stadt-waren.de-mail.example;cc=${max}`;
    expect(failing(report(xml, covered({ 'X-de-mail-chosen-recipient': to })))).toEqual([]);
  });
});

describe('the schema', () => {
  const good = acknowledgement();
  const table: [string, string, RegExp][] = [
    ['another root', good.replaceAll('Acknowledge-Message', 'Acknowledge'), /no Acknowledge-Message/],
    ['another name space', good.replace('urn:de-mail', 'urn:evil'), /no Acknowledge-Message/],
    ['Sender twice', good.replace('<Metadata>', '<Sender>x</Sender><Metadata>'), /where Metadata must stand/],
    ['no Subject', good.replace(/<Subject>.*<\/Subject>/, ''), /where Subject must stand/],
    ['another order', good.replace(/(<Subject>.*<\/Subject>)(<Text>.*<\/Text>)/s, '$2$1'), /where Subject/],
    ['an element more', good.replace('</Acknowledge-Message>', '<X/></Acknowledge-Message>'), /at its end/],
    ['two times', good.replace(/(<Time>.*<\/Time>)/, '$1$1'), /at its end/],
    ['no time', good.replace(/<Time>.*<\/Time>/, '<Time>yesterday</Time>'), /no xs:dateTime/],
    ['text between', good.replace('<Metadata>', 'text<Metadata>'), /text between/],
    ['an element within text', good.replace('Hiermit …', '<b xmlns="">x</b>'), /more than text/],
    ['an attribute', good.replace('<Sender>', '<Sender x="1">'), /attribute "x"/],
    ['no metadata', good.replace(/<Metadata>.*<\/Metadata>/s, '<Metadata/>'), /Metadata is empty/],
    ['a metadate without name', good.replace(/<Name>From<\/Name>/, ''), /where Name must stand/],
    ['an unqualified child', good.replace('<Sender>', '<Sender xmlns="">'), /where Sender must stand/],
  ];
  test.each(table)('%s', (_name, xml, reason) => {
    const result = report(xml);
    expect(failing(result)).toEqual(['xml-schema failed']);
    expect(result.checks.at(-1)!.reason).toMatch(reason);
    expect(result.acknowledgement).toBeNull();
  });

  test('white space between elements and a hint at the schema are permitted', () => {
    const xml = good
      .replace('<Metadata>', '\n  <Metadata>\n')
      .replace(
        'urn:de-mail"',
        'urn:de-mail" xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:schemaLocation="a b"',
      );
    expect(failing(report(xml))).toEqual([]);
  });

  test('the signature stands last', () => {
    const signed = signXml(good, signer);
    const signature = /<ds:Signature[\s\S]*<\/ds:Signature>/.exec(signed)![0];
    const moved = signed.replace(signature, '').replace('<Sender>', `${signature}<Sender>`);
    const result = verifyConfirmationXml({ xml: Buffer.from(moved), covered: covered() });
    expect(failing(result)).toEqual(['xml-schema failed']);
  });
});

describe('xs:dateTime', () => {
  test.each([
    ['2026-11-16T09:15:41+01:00', '2026-11-16T08:15:41.000Z'],
    [' 2026-11-16T09:15:41.123456Z\n', '2026-11-16T09:15:41.123Z'],
    ['2026-11-16T24:00:00Z', '2026-11-17T00:00:00.000Z'],
    ['2028-02-29T00:00:00-14:00', '2028-02-29T14:00:00.000Z'],
    ['2026-11-16T09:15:41', null],
  ])('%s', (text, utc) => {
    expect(parseDateTime(text)).toEqual({ text: text.trim(), utc });
  });
  test.each([
    '',
    '2026-11-16',
    '2026-02-29T00:00:00Z',
    '2026-13-01T00:00:00Z',
    '2026-11-16T24:00:01Z',
    '2026-11-16T09:60:00Z',
    '0000-01-01T00:00:00Z',
    '2026-11-16 09:15:41Z',
    '2026-11-16T09:15:41+15:00',
    '26-11-16T09:15:41Z',
  ])('%s is none', (text) => {
    expect(parseDateTime(text)).toBeNull();
  });
  test('prints back to the same moment', () => {
    fc.assert(
      fc.property(
        fc.date({ min: new Date('0001-01-01'), max: new Date('9999-12-31'), noInvalidDate: true }),
        (date) => {
          expect(parseDateTime(date.toISOString())?.utc).toBe(date.toISOString());
        },
      ),
    );
  });
});

describe('vectors', () => {
  const load = (name: string) =>
    confirmationParts(readFileSync(new URL(`../../test/vectors/cases/${name}.eml`, import.meta.url)));

  test.each(['confirm-dispatch-rsa-exc', 'confirm-header-pss-xml-rsa', 'confirm-retrieve-bp256-inc'])(
    '%s is sound',
    (name) => {
      const result = verifyConfirmationXml(load(name));
      expect(failing(result)).toEqual([]);
      expect(result.confirmation?.originalPrivateId).toBe('gw-00000001');
    },
  );

  test('confirm-bad-xml-time: the changed time is found by the digest', () => {
    const result = verifyConfirmationXml(load('confirm-bad-xml-time'));
    expect(failing(result)).toEqual(['xml-signature failed']);
    expect(result.checks[0]!.reason).toMatch(/digest differs/);
    expect(result.acknowledgement).toBeNull();
  });

  test('no changed octet gets other content through, and nothing raises an exception', () => {
    const { xml, covered: fields } = load('confirm-retrieve-bp256-inc');
    const sound = verifyConfirmationXml({ xml, covered: fields }).signed!.octets;
    fc.assert(
      fc.property(fc.nat(xml.length - 1), fc.integer({ min: 0, max: 255 }), (at, value) => {
        const bytes = Buffer.from(xml);
        bytes[at] = value;
        const { signed } = verifyConfirmationXml({ xml: bytes, covered: fields });
        if (signed !== null) expect(signed.octets.equals(sound)).toBe(true);
      }),
      { numRuns: 120 },
    );
  });
});
