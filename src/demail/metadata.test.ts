import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseHeader } from '../mime/header.ts';
import { type Metadata, messageKind, readMetadata, toDemailFacts } from './metadata.ts';
import { forbiddenHeaders, readOptions } from './options.ts';

const read = (text: string) => readMetadata(parseHeader(Buffer.from(text.replaceAll('\n', '\r\n'))));

describe('one header each', () => {
  test.each<[string, Partial<Metadata>]>([
    ['X-de-mail-sender: Erika@Amt.de-mail.de', { sender: 'erika@amt.de-mail.de' }],
    ['X-DE-MAIL-AUTH-LEVEL: high', { authLevel: 'high' }],
    ['x-de-mail-auth-mechanism: token', { authMechanism: 'token' }],
    ['X-de-mail-originator-provider: p.de-mail.de', { originatorProvider: 'p.de-mail.de' }],
    ['X-de-mail-message-id: <1@p.de>', { messageId: '<1@p.de>' }],
    ['X-de-mail-version: 9.9', { version: '9.9' }],
    ['X-de-mail-account-holder: Stadt\n Waren', { accountHolder: 'Stadt Waren' }],
    ['X-de-mail-notification-type: unknown-recipient', { notificationType: 'unknown-recipient' }],
    ['X-de-mail-integrity: v=1;\n a=sha256', { integrity: 'v=1; a=sha256' }],
    ['X-de-mail-signature-certificate: AAA\n BBB', { signatureCertificate: 'AAA BBB' }],
    ['X-de-mail-private-id: a b', { privateId: 'a b' }],
    ['X-de-mail-privat-id: a', { privateId: 'a' }],
    ['X-de-mail-private-id: 1\nX-de-mail-privat-id: 2', { privateId: '1' }],
    ['X-de-mail-privat-id: 2\nX-de-mail-private-id: 1', { privateId: '2' }],
    ['Envelope-to: A@x.de\nEnvelope-To: b@x.de', { envelopeTo: ['a@x.de'] }],
    ['Resent-From: a@x.de', { resent: { from: 'a@x.de', to: null, date: null, messageId: null } }],
    ['Resent-To: a@x.de', { resent: { from: null, to: 'a@x.de', date: null, messageId: null } }],
    ['Resent-Date: today', { resent: { from: null, to: null, date: 'today', messageId: null } }],
    ['Resent-Message-ID: <1@x>', { resent: { from: null, to: null, date: null, messageId: '<1@x>' } }],
    ['From: Erika\n <a@x.de>', { from: 'Erika <a@x.de>' }],
    ['Date: Mon, 1 Jun 2026 12:00:00 +0000', { date: 'Mon, 1 Jun 2026 12:00:00 +0000' }],
    ['X-de-mail-confirmation-of-dispatch: yes', { options: ['dispatch'] }],
    ['X-de-mail-confirmation-of-receipt: yes', { options: ['receipt'] }],
    ['X-de-mail-confirmation-of-retrieve: yes', { options: ['retrieval'] }],
    ['X-de-mail-authoritative: yes', { options: ['authoritative'] }],
    ['X-de-mail-private: yes', { options: ['private'] }],
    ['Reply-To: a@x.de', { replyTo: 'a@x.de' }],
    ['Message-ID: <1@x>', { internetMessageId: '<1@x>' }],
    ['Subject: one\nSubject: two', { subject: 'one' }],
    ['X-de-mail-message-type: normal', { messageType: 'normal' }],
    ['X-de-mail-message-type: confirmation of dispatch', { messageType: 'confirmation of dispatch' }],
    ['X-de-mail-message-type: Confirmation-of-\n receipt', { messageType: 'confirmation of receipt' }],
    ['X-de-mail-message-type: malware acknowledge', { messageType: 'malware-acknowledge' }],
    ['X-de-mail-message-type: new thing', { messageType: null, messageTypeRaw: 'new thing' }],
    [
      'X-de-mail-chosen-recipient: to=a@x.de;cc="B, C"\n <b@x.de>',
      {
        chosenRecipients: {
          to: [{ name: null, address: 'a@x.de' }],
          cc: [{ name: 'B, C', address: 'b@x.de' }],
          bcc: [],
        },
      },
    ],
    [
      'X-de-mail-actual-recipient: to=a@x.de',
      { actualRecipients: { to: [{ name: null, address: 'a@x.de' }], cc: [], bcc: [] } },
    ],
  ])('%j', (text, expected) => {
    expect(read(text)).toMatchObject(expected);
  });
});

describe('options', () => {
  const fields = (text: string) => parseHeader(Buffer.from(text));
  test.each([
    ['X-de-mail-confirmation-of-dispatch: yes', ['dispatch']],
    ['X-de-mail-confirmation-of-receipt: yes', ['receipt']],
    ['X-de-mail-confirmation-of-retrieve: yes', ['retrieval']],
    ['X-de-mail-authoritative: yes', ['authoritative']],
    ['X-de-mail-private: yes', ['private']],
    ['x-DE-mail-PRIVATE:yes', ['private']],
    ['X-de-mail-private: Yes', []],
    ['X-de-mail-private: no', []],
    ['X-de-mail-private: no\nX-de-mail-private: yes', []],
    ['', []],
  ])('%j', (text, expected) => {
    expect(readOptions(fields(text))).toEqual(expected);
  });

  test('what only a provider may set', () => {
    const text = [
      'X-de-mail-auth-level: high',
      'X-de-mail-private: yes',
      'X-De-Mail-Anything: x',
      'Envelope-To: a@x.de',
      'Subject: x',
      'X-de-mail-private-id: 1',
    ].join('\r\n');
    expect(forbiddenHeaders(fields(text)).map(({ name }) => name)).toEqual([
      'X-de-mail-auth-level',
      'X-De-Mail-Anything',
      'Envelope-To',
    ]);
  });
});

test('the vectors read sensibly', () => {
  const folder = new URL('../../test/vectors/cases/', import.meta.url);
  for (const name of readdirSync(folder)) {
    const metadata = readMetadata(parseHeader(readFileSync(new URL(name, folder))));
    const facts = toDemailFacts(metadata);
    expect(metadata.integrity, name).toMatch(/\ba=sha(256|384|512)/);
    expect(facts.privateId, name).toBe('gw-00000001');
    expect(facts.originatorProvider, name).toBe('provider.de-mail.example');
    expect(messageKind(metadata.messageType), name).toBe(
      name.startsWith('confirm') ? 'confirmation' : 'normal',
    );
    if (!name.startsWith('confirm')) {
      expect(facts, name).toMatchObject({
        messageType: 'normal',
        messageId: '<2026-1@provider.de-mail.example>',
        sender: 'erika.mustermann@stadt-waren.de-mail.example',
        authLevel: 'high',
        options: ['dispatch', 'receipt'],
        chosenRecipients: [
          'max.mustermann@buerger.de-mail.example',
          'poststelle@amt-zarrentin.de-mail.example',
        ],
        envelopeTo: [],
      });
    }
  }
});

/** How each value comes back, by header. */
const printed = {
  'X-de-mail-sender': 'sender',
  'X-de-mail-private-id': 'privateId',
  'X-de-mail-message-id': 'messageId',
  'X-de-mail-auth-level': 'authLevel',
  'X-de-mail-auth-mechanism': 'authMechanism',
  'X-de-mail-originator-provider': 'originatorProvider',
  'X-de-mail-version': 'version',
  'X-de-mail-account-holder': 'accountHolder',
  'X-de-mail-notification-type': 'notificationType',
  'X-de-mail-integrity': 'integrity',
  'X-de-mail-signature-certificate': 'signatureCertificate',
  'Reply-To': 'replyTo',
  Subject: 'subject',
  From: 'from',
  Date: 'date',
  'Message-ID': 'internetMessageId',
} as const satisfies Record<string, keyof Metadata>;

test('read ∘ print is the identity: in any order, case and folding, with the same name again below', () => {
  const names = fc.shuffledSubarray(Object.keys(printed) as (keyof typeof printed)[]);
  const value = fc
    .array(fc.stringMatching(/^[!-~]{1,10}$/), { minLength: 1, maxLength: 4 })
    .map((words) => words.join(' '));
  const line = fc.record({ value, upper: fc.boolean(), folded: fc.boolean(), again: fc.option(value) });
  fc.assert(
    fc.property(names, fc.array(line, { minLength: 16, maxLength: 16 }), (order, lines) => {
      const expected: Record<string, string> = {};
      const [above, below] = [[] as string[], [] as string[]];
      for (const [i, name] of order.entries()) {
        const { value, upper, folded, again } = lines[i]!;
        const said = name === 'X-de-mail-sender' ? `${'a'.repeat(i + 1)}@amt.de-mail.de` : value;
        expected[printed[name]] = said;
        above.push(
          `${upper ? name.toUpperCase() : name}: ${folded ? said.replaceAll(' ', '\r\n ') : said}\r\n`,
        );
        if (again !== null) below.push(`${name}: ${again}\r\n`);
      }
      const bytes = Buffer.from(`${above.join('')}${below.join('')}`);
      expect(readMetadata(parseHeader(bytes))).toMatchObject(expected);
    }),
    { numRuns: 1000 },
  );
});

test('any header reads without an exception', () => {
  const names = fc.constantFrom(
    'X-de-mail-chosen-recipient',
    'X-de-mail-sender',
    'Envelope-to',
    'x-de-mail-message-type',
  );
  const value = fc.string({ unit: fc.constantFrom(...'to=cb@x.;,<>"\\()[]: \r\n\täyes-'), maxLength: 40 });
  fc.assert(
    fc.property(fc.array(fc.tuple(names, value), { maxLength: 6 }), (pairs) => {
      const text = pairs.map(([name, text]) => `${name}: ${text}\r\n`).join('');
      const facts = toDemailFacts(read(text));
      for (const address of facts.chosenRecipients) expect(address).toBe(address.toLowerCase());
    }),
    { numRuns: 10_000 },
  );
});
