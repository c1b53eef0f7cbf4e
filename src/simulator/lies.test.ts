import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { DOMParser } from '@xmldom/xmldom';
import * as pkijs from 'pkijs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Lie, lieNames } from './lies.ts';
import { checkIntegrity, partsOf } from './testing/check-message.ts';
import {
  allOf,
  type Customer,
  handover,
  header,
  max,
  openCustomer,
  type TestSimulator,
  testSimulator,
} from './testing/customer.ts';

let shared: TestSimulator;
let customer: Customer;
beforeAll(async () => {
  shared = await testSimulator({ crl: { port: 0 } });
  customer = await openCustomer(shared.simulator);
});
afterAll(async () => {
  await customer[Symbol.asyncDispose]();
  await shared[Symbol.asyncDispose]();
});

const signed = { ok: true, reason: 'signature' };
const xmlOf = (mail: Buffer) => partsOf(mail)[0]!.content.toString();
const element = (mail: Buffer, name: string) =>
  new DOMParser().parseFromString(xmlOf(mail), 'text/xml').getElementsByTagNameNS('urn:de-mail', name)[0]!
    .textContent ?? '';
const certificate = (mail: Buffer) =>
  new X509Certificate(
    Buffer.from(header(mail, 'X-de-mail-signature-certificate')!.replaceAll(/\s/g, ''), 'base64'),
  );
const root = () => new X509Certificate(shared.simulator.caPem);
const bodyHash = (value: string) => /\sbh=([^;]*)/.exec(value)?.[1];

interface Outcome {
  /** Receipt confirmations of the second of two letters, as the sender finds them. */
  readonly receipts: readonly Buffer[];
  /** That of the first letter. */
  readonly earlier: Buffer;
  readonly delivered: Buffer;
  readonly sent: Buffer;
}

/** Two letters; at the second the provider lies. */
async function tell(...lies: Lie[]): Promise<Outcome> {
  const { simulator } = shared;
  simulator.faults.lies = [];
  simulator.faults.withhold = ['dispatch', 'retrieval'];
  const privateId = `second-${lies.join('-')}`;
  const send = (id: string) =>
    customer.send({
      message: handover({ 'X-de-mail-private-id': id, 'X-de-mail-authoritative': 'yes' }),
    });
  await send('first');
  await simulator.settled();
  const known = simulator.messages('stadt-waren', 'INBOX').length;
  const [earlier] = await allOf(simulator, 'stadt-waren', 'INBOX', known - 1);
  const knownToMax = simulator.messages('max.mustermann', 'INBOX').length;
  simulator.faults.lies = lies;
  await send(privateId);
  await simulator.settled();
  const receipts = await allOf(simulator, 'stadt-waren', 'INBOX', known);
  const delivered = (await allOf(simulator, 'max.mustermann', 'INBOX', knownToMax)).find(
    (mail) =>
      header(mail, 'X-de-mail-private-id') === privateId &&
      header(mail, 'X-de-mail-message-type') === 'normal',
  )!;
  const sent = simulator.messages('stadt-waren', 'Sent').at(-1)!;
  return {
    receipts,
    earlier: earlier!,
    delivered,
    sent: await simulator.read('stadt-waren', 'Sent', sent.uid),
  };
}

test('honest, for comparison', async () => {
  const { receipts, delivered, sent } = await tell();
  expect(receipts).toHaveLength(1);
  expect(checkIntegrity(receipts[0]!)).toEqual(signed);
  expect(certificate(receipts[0]!).verify(root().publicKey)).toBe(true);
  expect(certificate(receipts[0]!).raw.includes(shared.simulator.crlUrl!)).toBe(true);
  expect(bodyHash(element(receipts[0]!, 'Hash'))).toBe(bodyHash(header(sent, 'X-de-mail-integrity')!));
  expect(checkIntegrity(delivered)).toEqual(signed);
});

/** What each lie changes. What the integrity check says comes first: many lies are well signed. */
const seen: Record<Lie, (outcome: Outcome, receipt: Buffer) => void> = {
  'integrity-hash': ({ delivered }, receipt) => {
    expect([receipt, delivered].map((mail) => checkIntegrity(mail).reason)).toEqual(
      Array(2).fill('signature value'),
    );
  },
  'body-hash': ({ delivered }, receipt) => {
    expect([receipt, delivered].map((mail) => checkIntegrity(mail).reason)).toEqual(
      Array(2).fill('body hash'),
    );
  },
  'no-integrity': ({ delivered }, receipt) => {
    for (const mail of [receipt, delivered]) {
      expect(checkIntegrity(mail).reason).toBe('no integrity header');
      expect(header(mail, 'X-de-mail-signature-certificate')).toBeUndefined();
    }
  },
  unsigned: (_, receipt) => {
    expect(checkIntegrity(receipt)).toEqual({ ok: true, reason: 'hash' });
    expect(xmlOf(receipt)).toContain('<ds:Signature ');
  },
  'unsigned-xml': (_, receipt) => {
    expect(checkIntegrity(receipt)).toEqual(signed);
    expect(xmlOf(receipt)).not.toContain('Signature');
  },
  'wrong-key': ({ earlier }, receipt) => {
    expect(checkIntegrity(receipt).reason).toBe('signature value');
    expect(certificate(receipt).verify(root().publicKey)).toBe(true);
    expect(certificate(receipt).fingerprint256).not.toBe(certificate(earlier).fingerprint256);
  },
  'expired-certificate': (_, receipt) => {
    expect(checkIntegrity(receipt)).toEqual(signed);
    expect(certificate(receipt).validToDate.getTime()).toBeLessThan(Date.parse(header(receipt, 'Date')!));
  },
  'revoked-certificate': (_, receipt) => {
    expect(checkIntegrity(receipt)).toEqual(signed);
    expect(certificate(receipt).verify(root().publicKey)).toBe(true);
  },
  'self-signed-certificate': (_, receipt) => {
    expect(checkIntegrity(receipt)).toEqual(signed);
    expect(certificate(receipt).verify(certificate(receipt).publicKey)).toBe(true);
  },
  'foreign-authority': (_, receipt) => {
    expect(checkIntegrity(receipt)).toEqual(signed);
    expect(certificate(receipt).issuer).toBe(root().subject);
    expect(certificate(receipt).verify(root().publicKey)).toBe(false);
  },
  swapped: ({ earlier }, receipt) => {
    expect(checkIntegrity(receipt)).toEqual(signed);
    expect(element(receipt, 'Hash')).toBe(element(earlier, 'Hash'));
    expect(header(receipt, 'X-de-mail-private-id')).toBe('second-swapped');
  },
  'private-id': ({ earlier }, receipt) => {
    expect(checkIntegrity(receipt)).toEqual(signed);
    expect(header(receipt, 'X-de-mail-private-id')).toBe('first');
    expect(element(receipt, 'Hash')).not.toBe(element(earlier, 'Hash'));
  },
  replayed: ({ receipts, earlier }) => {
    expect(receipts).toHaveLength(2);
    expect(receipts[1]!.equals(earlier)).toBe(true);
  },
  'replayed-renamed': ({ receipts: [first, second] }) => {
    expect([first!, second!].map(checkIntegrity)).toEqual([signed, signed]);
    expect(element(second!, 'Hash')).toBe(element(first!, 'Hash'));
    expect(header(second!, 'Message-ID')).not.toBe(header(first!, 'Message-ID'));
  },
  stranger: ({ receipts }) => {
    expect(receipts.map((mail) => header(mail, 'Cc'))).toEqual([
      max,
      'fremde.person@buerger.de-mail.example',
    ]);
    expect(receipts.map(checkIntegrity)).toEqual([signed, signed]);
  },
  'forged-sender': (_, receipt) => {
    expect(checkIntegrity(receipt)).toEqual(signed);
    expect(header(receipt, 'From')).toBe('Eingangsbestaetigung@angreifer.de-mail.example');
  },
  'xml-recipient': (_, receipt) => {
    expect(checkIntegrity(receipt)).toEqual(signed);
    expect(header(receipt, 'Cc')).toBe(max);
    expect(element(receipt, 'Text')).toContain('Empfänger: fremde.person@');
  },
  'xml-type': (_, receipt) => {
    expect(header(receipt, 'X-de-mail-message-type')).toBe('confirmation of receipt');
    expect(element(receipt, 'Sender')).toBe('Versandbestaetigung@provider.de-mail.example');
  },
  'xml-time': (_, receipt) => {
    const apart = Date.parse(element(receipt, 'Time')) - Date.parse(header(receipt, 'Date')!);
    expect(apart).toBe(86_400_000);
  },
  'original-header': (_, receipt) => {
    expect(checkIntegrity(receipt)).toEqual(signed);
    expect(xmlOf(receipt)).toContain('<OriginalHeader>Subject: Etwas ganz anderes</OriginalHeader>');
  },
  'hash-bh': ({ sent }, receipt) => {
    expect(checkIntegrity(receipt)).toEqual(signed);
    expect(bodyHash(element(receipt, 'Hash'))).not.toBe(bodyHash(header(sent, 'X-de-mail-integrity')!));
  },
  'wrapped-xml': (_, receipt) => {
    expect(checkIntegrity(receipt)).toEqual(signed);
    const xml = xmlOf(receipt);
    expect(xml.match(/<Acknowledge-Message /g)).toHaveLength(2);
    expect(xml).toContain('URI="#bestaetigung"');
    expect(xml.match(/<Time>([^<]*)</g)![0]).not.toBe(xml.match(/<Time>([^<]*)</g)![1]);
  },
  'doctype-xml': (_, receipt) => {
    expect(checkIntegrity(receipt)).toEqual(signed);
    expect(xmlOf(receipt)).toContain('<!DOCTYPE Acknowledge-Message [');
  },
};

test.each(lieNames)('lie: %s', async (lie) => {
  const outcome = await tell(lie);
  expect(outcome.receipts.length).toBeGreaterThan(0);
  expect(checkIntegrity(outcome.sent)).toEqual(signed);
  seen[lie](outcome, outcome.receipts[0]!);
});

test('lies add up', async () => {
  const { receipts } = await tell('expired-certificate', 'xml-time', 'body-hash');
  expect(checkIntegrity(receipts[0]!).reason).toBe('body hash');
  expect(certificate(receipts[0]!).validToDate.getTime()).toBeLessThan(Date.now());
  seen['xml-time']({} as Outcome, receipts[0]!);
});

test('the revocation list names the revoked certificate alone, in the file and over http', async () => {
  const { receipts, earlier } = await tell('revoked-certificate');
  const { crlFile, crlUrl, caPem } = shared.simulator;
  const response = await fetch(crlUrl!);
  expect(response.headers.get('content-type')).toBe('application/pkix-crl');
  const anchor = pkijs.Certificate.fromBER(Uint8Array.from(new X509Certificate(caPem).raw));
  for (const bytes of [await readFile(crlFile), Buffer.from(await response.arrayBuffer())]) {
    const list = pkijs.CertificateRevocationList.fromBER(Uint8Array.from(bytes));
    expect(await list.verify({ issuerCertificate: anchor })).toBe(true);
    expect(list.nextUpdate!.value.getTime()).toBeGreaterThan(Date.now());
    const serials = (list.revokedCertificates ?? []).map(({ userCertificate }) =>
      Buffer.from(userCertificate.valueBlock.valueHexView).toString('hex').toUpperCase(),
    );
    expect(serials).toEqual([certificate(receipts[0]!).serialNumber]);
    expect(serials).not.toContain(certificate(earlier).serialNumber);
  }
});
