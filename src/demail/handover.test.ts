import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { findField, headerEnd, parseHeader } from '../mime/header.ts';
import { handoverHeader, planTransactions, remainingTransaction } from './handover.ts';
import { addressesOf, parseRecipientList } from './recipients.ts';

const lines = (...list: string[]) => Buffer.from(`${list.join('\r\n')}\r\n\r\n`, 'utf8');
let counter = 0;
function random(bytes: number): Buffer {
  counter += 1;
  return Buffer.alloc(bytes, counter);
}
const mapAddress = (address: string) =>
  address.endsWith('@amt.example') ? address.replace('@amt.example', '@amt.de-mail.example') : undefined;

describe('planTransactions', () => {
  const plan = (rcpt: string[], header: string[], clientPrivateId?: string) =>
    planTransactions({ rcpt, fields: parseHeader(lines(...header)), random, clientPrivateId, mapAddress });

  test('open recipients share one, every blind one has its own', () => {
    const planned = plan(
      ['d@x.de', 'A@x.de', 'b@x.de', 'c@x.de', 'a@x.de'],
      ['To: Anna <a@X.de>, group: c@x.de;', 'CC: b@x.de, a@x.de'],
    );
    expect(planned.map(({ privateId, ...rest }) => rest)).toEqual([
      { id: 0, to: ['a@x.de', 'c@x.de'], cc: ['b@x.de'], bcc: [] },
      { id: 1, to: [], cc: [], bcc: ['d@x.de'] },
    ]);
    expect(new Set(planned.map(({ privateId }) => privateId)).size).toBe(2);
  });

  test('Bcc alone, and addresses in internal form', () => {
    expect(plan(['a@x.de', 'b@x.de'], ['Bcc: a@x.de, b@x.de'])).toMatchObject([
      { id: 0, bcc: ['a@x.de'] },
      { id: 1, bcc: ['b@x.de'] },
    ]);
    expect(plan(['jan@amt.de-mail.example'], ['To: Jan@amt.example'])).toMatchObject([
      { to: ['jan@amt.de-mail.example'] },
    ]);
  });

  test('the private-id keeps what the client asked for and adds 128 random bits', () => {
    expect(plan(['a@x.de'], [], 'AZ 20-43')[0]!.privateId).toMatch(/^AZ 20-43\.[0-9a-f]{32}$/);
    expect(plan(['a@x.de'], [])[0]!.privateId).toMatch(/^[0-9a-f]{32}$/);
    expect(plan(['a@x.de'], [], 'a\r\nBcc: x\0\u00e4')[0]!.privateId).toMatch(/^a Bcc: x__\.[0-9a-f]{32}$/);
    expect(plan(['a@x.de'], [], 'x'.repeat(5000))[0]!.privateId).toHaveLength(933);
  });

  test('each recipient is in exactly one transaction', () => {
    const address = fc.constantFrom('a@x.de', 'A@x.de', 'b@x.de', 'c@x.de', 'd@x.de');
    const list = fc.array(address, { maxLength: 5 });
    fc.assert(
      fc.property(list, list, list, (rcpt, to, cc) => {
        const planned = plan(rcpt, [`To: ${to.join(', ')}`, `Cc: ${cc.join(',')}`]);
        const all = planned.flatMap((t) => [...t.to, ...t.cc, ...t.bcc]);
        expect(all.toSorted()).toEqual([...new Set(rcpt.map((r) => r.toLowerCase()))].toSorted());
        for (const t of planned) {
          if (t.bcc.length > 0) expect([t.bcc.length, t.to.length, t.cc.length]).toEqual([1, 0, 0]);
        }
        expect(planned.map((t) => t.id)).toEqual(planned.map((_, i) => i));
      }),
      { numRuns: 2000 },
    );
  });

  test('remainingTransaction keeps the kinds', () => {
    const [transaction] = plan(['a@x.de', 'b@x.de'], ['To: a@x.de', 'Cc: b@x.de']);
    expect(remainingTransaction(transaction!, ['B@x.de'])).toMatchObject({ to: [], cc: ['b@x.de'], bcc: [] });
  });
});

describe('handoverHeader', () => {
  const submitted = lines(
    'Return-Path: <erika@amt.example>',
    'Received: from pc by relay',
    'From: "Mustermann, Erika"',
    '\t<Erika@amt.example>',
    'To: =?utf-8?Q?M=C3=BCller?= <a@x.de>,',
    ' Jan (Zimmer 3) <jan@amt.example>',
    'Bcc: geheim@x.de',
    'Subject:  Gr\u00fc\u00dfe ',
    'X-De-Mail-Private-ID: mein',
    'X-de-mail-confirmation-of-receipt: yes',
    'X-de-mail-auth-level: high',
    'X-de-mail-integrity: forged',
    'Disposition-Notification-To: erika@amt.example',
    'X-Mailer: Thunderbird',
  );
  const fields = parseHeader(submitted);
  const transaction = {
    id: 0,
    privateId: 'mein.00ff',
    to: ['a@x.de'],
    cc: ['jan@amt.de-mail.example'],
    bcc: [],
  };
  const input = {
    fields,
    sender: 'erika@amt.de-mail.example',
    transaction,
    options: ['dispatch', 'receipt'] as const,
    messageId: '<new@gw.example>',
    date: new Date('2026-11-24T08:00:00Z'),
    mapAddress,
  };

  test('is the documented header and nothing else', () => {
    const { bytes, edits } = handoverHeader(input);
    expect(bytes.toString()).toBe(
      lines(
        'X-de-mail-sender: erika@amt.de-mail.example',
        'X-de-mail-chosen-recipient: to=a@x.de;cc=jan@amt.de-mail.example',
        'X-de-mail-confirmation-of-dispatch: yes',
        'X-de-mail-confirmation-of-receipt: yes',
        'X-de-mail-private-id: mein.00ff',
        'Date: Tue, 24 Nov 2026 08:00:00 +0000',
        'Message-ID: <new@gw.example>',
        'Received: from pc by relay',
        'From: "Mustermann, Erika"',
        '\t<erika@amt.de-mail.example>',
        'To: =?utf-8?Q?M=C3=BCller?= <a@x.de>,',
        ' Jan (Zimmer 3) <jan@amt.de-mail.example>',
        'Subject:  Gr\u00fc\u00dfe ',
        'Disposition-Notification-To: erika@amt.de-mail.example',
        'X-Mailer: Thunderbird',
      ).toString(),
    );
    expect(edits.map(({ op, name }) => `${op} ${name}`)).toEqual([
      'add X-de-mail-sender',
      'add X-de-mail-chosen-recipient',
      'add X-de-mail-confirmation-of-dispatch',
      'add X-de-mail-confirmation-of-receipt',
      'add X-de-mail-private-id',
      'add Date',
      'add Message-ID',
      'remove Return-Path',
      'replace From',
      'replace To',
      'remove Bcc',
      'remove X-De-Mail-Private-ID',
      'remove X-de-mail-confirmation-of-receipt',
      'remove X-de-mail-auth-level',
      'remove X-de-mail-integrity',
      'replace Disposition-Notification-To',
    ]);
    expect(edits[10]).toEqual({ op: 'remove', name: 'Bcc', before: 'geheim@x.de' });
  });

  test('a blind copy names nobody but its recipient as chosen', () => {
    const blind = { id: 1, privateId: 'p', to: [], cc: [], bcc: ['geheim@x.de'] };
    const parsed = parseHeader(handoverHeader({ ...input, transaction: blind }).bytes);
    expect(findField(parsed, 'x-de-mail-chosen-recipient')?.value).toBe('bcc=geheim@x.de');
    expect(handoverHeader(input).bytes.toString()).not.toContain('geheim');
  });

  test('From carries the given De-Mail address', () => {
    const { bytes } = handoverHeader({ ...input, fromDemail: 'poststelle@amt.de-mail.example' });
    expect(bytes.toString()).toContain('From: "Mustermann, Erika"\r\n\t<poststelle@amt.de-mail.example>\r\n');
  });

  test('a long list is folded at its semicolons, and reads as exactly the recipients', () => {
    const to = Array.from({ length: 100 }, (_, i) => `${'empfaenger'.repeat(5)}${i}@buerger.de-mail.example`);
    const { bytes } = handoverHeader({ ...input, transaction: { ...transaction, to, cc: [] } });
    for (const line of bytes.toString().split('\r\n')) expect(line.length).toBeLessThanOrEqual(110);
    const value = findField(parseHeader(bytes), 'x-de-mail-chosen-recipient')!.value;
    expect(addressesOf(parseRecipientList(value))).toEqual(to);
  });

  test('a line that the mapping makes too long is broken between addresses', () => {
    const to = Array.from({ length: 45 }, (_, i) => `a${i}@amt.example`);
    const header = parseHeader(lines(`To: "X, Y" <x@amt.example>,${to.join(',')}`));
    const { bytes } = handoverHeader({ ...input, fields: header });
    for (const line of bytes.toString().split('\r\n')) expect(line.length).toBeLessThanOrEqual(998);
    const value = findField(parseHeader(bytes), 'to')!.value;
    expect(value).toContain('"X, Y" <x@amt.de-mail.example>, a0@amt.de-mail.example, a1@');
    expect(value).toContain('a44@amt.de-mail.example');
  });

  test('whatever the client wrote, ours are the only headers of the norm', () => {
    const line = fc.constantFrom(
      'X-de-mail-sender: evil@x.de',
      'x-DE-MAIL-private-id : 1',
      'X-de-mail-private: yes',
      ' continued',
      'junk',
      'To: a@x.de',
      'From: erika@amt.example',
      'Bcc: x@y.de',
      'Subject: x',
      'Resent-Bcc: y@z.de',
      '\tX-de-mail-private: yes',
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 12 }), (list) => {
        const original = parseHeader(lines(...list));
        const { bytes, edits } = handoverHeader({ ...input, fields: original });
        expect(headerEnd(bytes)).toBe(bytes.length);
        const parsed = parseHeader(bytes);
        const norm = parsed.filter(({ lower }) => lower.startsWith('x-de-mail-')).map(({ value }) => value);
        expect(norm).toEqual([
          'erika@amt.de-mail.example',
          'to=a@x.de;cc=jan@amt.de-mail.example',
          'yes',
          'yes',
          'mein.00ff',
        ]);
        expect(parsed.some(({ lower }) => lower.endsWith('bcc'))).toBe(false);
        // What is neither edited nor ours is there byte for byte.
        const changed = new Set(
          edits.filter(({ op }) => op !== 'add').map(({ name, before }) => `${name}:${before}`),
        );
        const kept = original.filter(({ name, value }) => !changed.has(`${name}:${value}`));
        for (const field of kept) expect(bytes.includes(field.raw)).toBe(true);
      }),
      { numRuns: 3000 },
    );
  });
});

test('private-ids of real randomness differ', () => {
  const planned = planTransactions({ rcpt: ['a@x.de', 'b@x.de'], fields: [], random: randomBytes });
  expect(planned[0]!.privateId).not.toBe(planned[1]!.privateId);
});
