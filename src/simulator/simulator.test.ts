import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DOMParser } from '@xmldom/xmldom';
import { expect, test } from 'vitest';
import { startSimulator } from './simulator.ts';
import { checkIntegrity, partsOf } from './testing/check-message.ts';
import { allOf, erika, handover, header, max, submit, testSimulator } from './testing/customer.ts';

const byType = (messages: Buffer[], type: string) =>
  messages.filter((message) => header(message, 'X-de-mail-message-type') === type);

test('a De-Mail with all three confirmations', async () => {
  await using open = await testSimulator();
  const { simulator } = open;
  const message = handover({ 'X-de-mail-confirmation-of-retrieve': 'yes' });
  await submit(simulator, { message });
  await simulator.settled();

  const [delivered] = await allOf(simulator, 'max.mustermann');
  expect(header(delivered!, 'Envelope-to')).toBe(max);
  expect(header(delivered!, 'X-de-mail-private')).toBe('yes');
  expect(checkIntegrity(delivered!)).toEqual({ ok: true, reason: 'hash' });
  const [sent] = await allOf(simulator, 'stadt-waren', 'Sent');
  expect(checkIntegrity(sent!)).toEqual({ ok: true, reason: 'hash' });
  expect(delivered!.includes(sent!)).toBe(true);

  const inbox = await allOf(simulator, 'stadt-waren');
  const kinds = ['confirmation of dispatch', 'confirmation of receipt', 'confirmation of retrieve'];
  for (const kind of kinds) {
    const [confirmation, ...more] = byType(inbox, kind);
    expect(more).toEqual([]);
    expect(checkIntegrity(confirmation!)).toEqual({ ok: true, reason: 'signature' });
    expect(header(confirmation!, 'X-de-mail-private-id')).toBe('gw-0001');
    expect(header(confirmation!, 'To')).toBe(erika);
    expect(header(confirmation!, 'Cc')).toBe(kind === kinds[0] ? undefined : max);
    const [xml, pdf] = partsOf(confirmation!);
    expect(xml!.type).toBe('application/xml');
    expect(xml!.content.toString().includes('<DeliveryTime>')).toBe(kind === kinds[2]);
    expect(pdf!.content.subarray(0, 5).toString()).toBe('%PDF-');
  }
  expect(byType(await allOf(simulator, 'max.mustermann'), kinds[1]!)).toHaveLength(1);
  expect(byType(await allOf(simulator, 'max.mustermann'), kinds[0]!)).toHaveLength(0);
});

test('a confirmation repeats the headers and the checksum of its original, folds included', async () => {
  await using open = await testSimulator();
  const { simulator } = open;
  await submit(simulator, { message: handover({ 'X-de-mail-authoritative': 'yes' }) });
  await simulator.settled();
  const [sent] = await allOf(simulator, 'stadt-waren', 'Sent');
  const [receipt] = byType(await allOf(simulator, 'stadt-waren'), 'confirmation of receipt');
  const xml = new DOMParser().parseFromString(partsOf(receipt!)[0]!.content.toString(), 'text/xml');
  const texts = (name: string) =>
    [...xml.getElementsByTagNameNS('urn:de-mail', name)].map((node) => node.textContent ?? '');
  for (const original of texts('OriginalHeader')) expect(sent!.includes(`${original}\r\n`)).toBe(true);
  const hash = texts('Hash')[0]!;
  expect(hash).toMatch(/^v=1; a=sha256\/ec-dsa; c=simple\/simple;\r\n d=provider/);
  expect(sent!.includes(`X-de-mail-integrity: ${hash}\r\n`)).toBe(true);
  const names = texts('Name').map((name) => name.toLowerCase());
  const covered = /h=([^;]*);/.exec(hash)![1]!.replaceAll(/\s/g, '').toLowerCase().split(':');
  const present = covered.filter((name) => header(sent!, name) !== undefined);
  expect(present.filter((name) => !names.includes(name))).toEqual([]);
  expect(texts('Subject')).toEqual(['Eingangsbestätigung: Bescheid über die Grundsteuer 2026']);
  expect(texts('Text')[0]).toContain(`Empfänger: ${max}\n`);
  expect(texts('Sender')).toEqual(['Eingangsbestaetigung@provider.de-mail.example']);
});

test('a directory too deep for a control socket does without', async () => {
  await using open = await testSimulator({ controlSocket: join(tmpdir(), 'x'.repeat(120)) });
  expect(await submit(open.simulator)).toContain('250');
});

test('a port that is taken is named, and nothing stays behind', async () => {
  await using open = await testSimulator();
  const { smtp, imap } = open.simulator.ports;
  const directory = join(open.directory, 'second');
  await expect(startSimulator({ directory, signature: 'p256', ports: { smtp: 0, imap } })).rejects.toThrow(
    `${imap}`,
  );
  await expect(startSimulator({ directory, signature: 'p256', ports: { smtp, imap: 0 } })).rejects.toThrow(
    `${smtp}`,
  );
  await using third = await startSimulator({ directory, signature: 'p256', ports: { smtp: 0, imap: 0 } });
  expect(third.ports.smtp).toBeGreaterThan(0);
});
