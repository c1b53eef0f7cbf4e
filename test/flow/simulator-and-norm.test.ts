/**
 * The gateway's reading of the norm meets the simulator's: what one writes, the other accepts and
 * understands. They share no code, so an agreement here is one about the norm.
 */
import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { findXmlPart, readConfirmation } from '../../src/demail/confirmation.ts';
import { correlate } from '../../src/demail/correlation.ts';
import { handoverHeader, planTransactions } from '../../src/demail/handover.ts';
import { readMetadata } from '../../src/demail/metadata.ts';
import { addressesOf } from '../../src/demail/recipients.ts';
import { headerEnd, parseHeader } from '../../src/mime/header.ts';
import { createIndexer } from '../../src/mime/structure.ts';
import { allOf, submit, testSimulator } from '../../src/simulator/testing/customer.ts';

const erika = 'erika.mustermann@stadt-waren.de-mail.example';
const max = 'max.mustermann@buerger.de-mail.example';
const erna = 'erna.schmidt@buerger.de-mail.example';
const unknown = 'unknown@buerger.de-mail.example';
const blind = 'poststelle@amt-zarrentin.de-mail.example';

const submitted = Buffer.from(
  [
    'From: =?utf-8?Q?J=C3=B6rg_M=C3=BCller=2C_Stadt?= <erika.mustermann@stadt-waren.example>',
    `To: "Mustermann, Max" <${max}>, Erna <${erna}>`,
    `Cc: ${unknown}`,
    'Subject: =?utf-8?Q?Bescheid_=C3=BCber_die_Gr=C3=BCnd?=\r\n =?utf-8?Q?ung?= & <mehr>',
    'Message-ID: <1@stadt-waren.example>',
    'Date: Tue, 24 Nov 2026 08:00:00 +0100',
    'Content-Type: text/plain; charset=utf-8',
    '',
    'Guten Tag,\r\nanbei der Bescheid.\r\n\r\n',
  ].join('\r\n'),
);

const xmlOf = (message: Buffer): Buffer => {
  const indexer = createIndexer();
  indexer.push(message);
  const part = findXmlPart(indexer.finish())!;
  return Buffer.from(message.toString('latin1', part.bodyStart, part.bodyEnd), 'base64');
};

test('a letter to four, with every option, and all that comes back', async () => {
  await using open = await testSimulator();
  const { simulator } = open;
  const fields = parseHeader(submitted);
  const transactions = planTransactions({
    rcpt: [max, erna, unknown, blind],
    fields,
    random: randomBytes,
    clientPrivateId: 'AZ 20-43/2026',
  });
  const map = (address: string) => address.replace('@stadt-waren.example', '@stadt-waren.de-mail.example');
  for (const transaction of transactions) {
    const header = handoverHeader({
      fields,
      sender: erika,
      transaction,
      options: ['dispatch', 'receipt', 'retrieval', 'private', 'authoritative'],
      messageId: '<unused@stadt-waren.example>',
      date: new Date(0),
      mapAddress: map,
    });
    const message = Buffer.concat([header.bytes, submitted.subarray(headerEnd(submitted))]);
    const to = [...transaction.to, ...transaction.cc, ...transaction.bcc];
    expect(await submit(simulator, { to, message })).toContain('250');
  }
  await simulator.settled();
  simulator.login('amt-zarrentin');
  await simulator.settled();

  const seen = (await allOf(simulator, 'stadt-waren')).map((message) => {
    const header = parseHeader(message);
    const metadata = readMetadata(header);
    expect(metadata.envelopeTo).toEqual([erika]);
    if (metadata.messageType === 'notification') {
      const keys = correlate(metadata, null).keys;
      expect(transactions.map(({ privateId }) => privateId)).toContain(keys[0]?.value);
      return `notification ${metadata.notificationType}`;
    }
    const read = readConfirmation(header, xmlOf(message));
    if (!read.ok) throw new Error(read.reason);
    const { confirmation } = read;
    const { keys, conflict } = correlate(metadata, confirmation);
    expect(conflict).toBe(false);
    const transaction = transactions.find(({ privateId }) => privateId === keys[0]?.value);
    const chosen = [...transaction!.to, ...transaction!.cc, ...transaction!.bcc];
    for (const recipient of confirmation.recipients) expect(chosen).toContain(recipient);
    expect(confirmation.statedTime).not.toBeNull();
    expect(confirmation.deliveryTime === null).toBe(confirmation.type !== 'retrieval');
    return `${confirmation.type} ${[...confirmation.recipients].sort().join(' ')}`;
  });
  expect(seen.sort()).toEqual(
    [
      `dispatch ${[erna, max, unknown].sort().join(' ')}`,
      `dispatch ${blind}`,
      ...[max, erna, blind].flatMap((address) => [`receipt ${address}`, `retrieval ${address}`]),
      'notification unknown-recipient',
    ].sort(),
  );

  const [delivered] = await allOf(simulator, 'max.mustermann');
  const metadata = readMetadata(parseHeader(delivered!));
  expect(metadata).toMatchObject({
    messageType: 'normal',
    sender: erika,
    authLevel: 'high',
    version: '1.8',
    originatorProvider: 'provider.de-mail.example',
    envelopeTo: [max],
  });
  expect(addressesOf(metadata.chosenRecipients!)).toEqual([max, erna, unknown]);
  expect(addressesOf(metadata.actualRecipients!)).toEqual([max, erna, unknown]);
  expect([...metadata.options].sort()).toEqual([
    'authoritative',
    'dispatch',
    'private',
    'receipt',
    'retrieval',
  ]);
  expect(metadata.signatureCertificate).not.toBeNull();
});
