import { once } from 'node:events';
import { createInterface } from 'node:readline/promises';
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { demoAccounts } from './options.ts';
import { startSimulator } from './simulator.ts';
import { checkIntegrity, partsOf } from './testing/check-message.ts';
import {
  allOf,
  erika,
  handover,
  header,
  max,
  reader,
  submit,
  type TestSimulator,
  testSimulator,
} from './testing/customer.ts';

const zarrentin = 'poststelle@amt-zarrentin.de-mail.example';
const other = 'erna.schmidt@buerger.de-mail.example';

let shared: TestSimulator;
beforeAll(async () => {
  shared = await testSimulator();
});
afterAll(() => shared[Symbol.asyncDispose]());

// Each connection waits 100 ms for its greeting; together they wait once.
describe.concurrent('hand-over', () => {
  test.each([
    ['a foreign sender', { 'X-de-mail-sender': zarrentin }, '550 5.7.1'],
    ['a foreign From', { From: zarrentin }, '550 5.7.1'],
    ['two From addresses', { From: `${erika}, ${erika}` }, '554 5.6.0'],
    ['no sender header', { 'X-de-mail-sender': null }, '554 5.6.0'],
    ['no recipient header', { 'X-de-mail-chosen-recipient': null }, '554 5.6.0'],
    [
      'a recipient too many in the header',
      { 'X-de-mail-chosen-recipient': `to=${max};${other}` },
      '554 5.6.0',
    ],
    ['another recipient in the header', { 'X-de-mail-chosen-recipient': `to=${other}` }, '554 5.6.0'],
    ['to twice', { 'X-de-mail-chosen-recipient': `to=${max};to=${max}` }, '554 5.6.0'],
    ['Reply-To outside De-Mail', { 'Reply-To': 'a@example.com' }, '554 5.6.0'],
    ['an option that is neither yes nor no', { 'X-de-mail-private': 'YES' }, '554 5.6.0'],
    ['a private-id that is too long', { 'X-de-mail-private-id': 'x'.repeat(1025) }, '554 5.6.0'],
  ])('refuses %s', async (_, headers, reply) => {
    const sent = submit(shared.simulator, { message: handover(headers) });
    await expect(sent).rejects.toMatchObject({ response: expect.stringContaining(reply) });
    expect(shared.simulator.messages('stadt-waren', 'Sent')).toEqual([]);
  });

  test('refuses at MAIL and RCPT, and strangers', async () => {
    await using open = await testSimulator();
    const { simulator } = open;
    const refused = (response: string) => ({ response: expect.stringContaining(response) });
    await expect(submit(simulator, { from: zarrentin })).rejects.toMatchObject(refused('550 5.7.1'));
    await expect(submit(simulator, { to: ['a@example.com'] })).rejects.toMatchObject(refused('550 5.1.2'));
    const stranger = { user: 'stadt-waren', pass: 'none' };
    await expect(submit(simulator, { password: stranger })).rejects.toMatchObject(refused('535 5.7.8'));
  });

  test.each(['bare\nLF', 'bare\rCR', 'LF first\n\r'])('refuses a %j', async (line) => {
    const { simulator } = shared;
    const { certificatePem, keyPem } = await simulator.clientIdentity('stadt-waren');
    const { smtp: port } = simulator.ports;
    const socket = connect({
      port,
      host: '127.0.0.1',
      ca: simulator.caPem,
      cert: certificatePem,
      key: keyPem,
    });
    const replies = createInterface({ input: socket })[Symbol.asyncIterator]();
    const say = async (text: string): Promise<string> => {
      socket.write(text);
      for (;;) {
        const reply = await replies.next();
        if (reply.done) throw new Error('connection ended');
        if (reply.value[3] === ' ') return reply.value;
      }
    };
    await once(socket, 'secureConnect');
    expect(await say('')).toMatch(/^220/);
    expect(await say('EHLO localhost\r\n')).toMatch(/^250/);
    expect(await say(`MAIL FROM:<${erika}>\r\n`)).toMatch(/^250/);
    expect(await say(`RCPT TO:<${max}>\r\n`)).toMatch(/^250/);
    expect(await say('DATA\r\n')).toMatch(/^354/);
    expect(await say(`${handover({}, `${line}\r\n`)}.\r\n`)).toMatch(/^550 5\.6\.0/);
    socket.destroy();
  });

  test('level normal cannot choose what needs level high', async () => {
    const accounts = demoAccounts().map((account) =>
      account.id === 'stadt-waren' ? { ...account, level: 'normal' as const } : account,
    );
    await using open = await testSimulator({ accounts });
    for (const option of ['private', 'authoritative', 'confirmation-of-retrieve']) {
      const sent = submit(open.simulator, { message: handover({ [`X-de-mail-${option}`]: 'yes' }) });
      await expect(sent).rejects.toMatchObject({ response: expect.stringContaining('level high') });
    }
    expect(await submit(open.simulator)).toContain('250');
  });

  test('headers that only a provider may set are replaced', async () => {
    await using open = await testSimulator();
    const forged = {
      'X-de-mail-auth-level': 'forged',
      'X-de-mail-message-type': 'confirmation of receipt',
      'X-de-mail-integrity': 'v=1',
      'Envelope-to': zarrentin,
      'Message-ID': '<mine@example>',
      Date: 'Thu, 01 Jan 1970 00:00:00 +0000',
    };
    await submit(open.simulator, { message: handover(forged) });
    await open.simulator.settled();
    const [delivered] = await allOf(open.simulator, 'max.mustermann');
    const text = delivered!.toString('latin1');
    for (const name of Object.keys(forged))
      expect(text.match(new RegExp(`^${name}:`, 'gim'))).toHaveLength(1);
    expect(text).not.toMatch(/forged|mine@example|1970/);
    expect(header(delivered!, 'X-de-mail-message-type')).toBe('normal');
    expect(header(delivered!, 'X-de-mail-auth-level')).toBe('high');
    expect(header(delivered!, 'X-de-mail-account-holder')).toContain('=?utf-8?B?');
    expect(header(delivered!, 'X-de-mail-message-id')).toBe(header(delivered!, 'Message-ID'));
    expect(checkIntegrity(delivered!).ok).toBe(true);
  });

  test('each bcc gets a copy of its own that nobody else knows of', async () => {
    await using open = await testSimulator();
    const { simulator } = open;
    const karl = 'karl.never@buerger.de-mail.example';
    const list = { 'X-de-mail-chosen-recipient': `to=${max};cc=${zarrentin};bcc=${other};${karl}` };
    await submit(simulator, { to: [max, zarrentin, other, karl], message: handover(list) });
    await simulator.settled();
    const sent = await allOf(simulator, 'stadt-waren', 'Sent');
    expect(sent.map((message) => header(message, 'X-de-mail-chosen-recipient'))).toEqual([
      `to=${max}; cc=${zarrentin}`,
      `bcc=${other}`,
      `bcc=${karl}`,
    ]);
    expect(new Set(sent.map((message) => header(message, 'X-de-mail-message-id'))).size).toBe(3);
    expect(sent.map((message) => checkIntegrity(message).ok)).toEqual([true, true, true]);
    for (const account of ['max.mustermann', 'amt-zarrentin']) {
      for (const mail of await allOf(simulator, account)) {
        const xml = header(mail, 'Content-Type')?.startsWith('multipart') ? partsOf(mail)[0]!.content : '';
        expect(`${mail}${xml}`).not.toMatch(/bcc=|erna\.schmidt|karl\.never/i);
      }
    }
    const types = (await allOf(simulator, 'stadt-waren'))
      .map((m) => header(m, 'X-de-mail-message-type'))
      .sort();
    expect(types).toEqual([
      ...Array(3).fill('confirmation of dispatch'),
      ...Array(4).fill('confirmation of receipt'),
    ]);
  });

  test('authoritative messages are signed, confirmations go to Reply-To', async () => {
    await using open = await testSimulator({ signature: 'brainpoolP256r1', hash: 'sha512' });
    const headers = {
      'X-de-mail-authoritative': 'yes',
      'Reply-To': `Waren <poststelle@stadt-waren.de-mail.example>`,
    };
    await submit(open.simulator, { message: handover(headers) });
    await open.simulator.settled();
    const [delivered] = await allOf(open.simulator, 'max.mustermann');
    expect(checkIntegrity(delivered!)).toEqual({ ok: true, reason: 'signature' });
    for (const confirmation of await allOf(open.simulator, 'stadt-waren')) {
      expect(header(confirmation, 'To')).toBe('poststelle@stadt-waren.de-mail.example');
      expect(header(confirmation, 'Envelope-to')).toBe('poststelle@stadt-waren.de-mail.example');
    }
  });

  test('unknown@: dispatch confirmation and notification, no receipt', async () => {
    await using open = await testSimulator();
    const unknown = 'unknown@buerger.de-mail.example';
    const message = handover({ 'X-de-mail-chosen-recipient': `to=${unknown}` });
    await submit(open.simulator, { to: [unknown], message });
    await open.simulator.settled();
    const inbox = await allOf(open.simulator, 'stadt-waren');
    const types = inbox.map((mail) => header(mail, 'X-de-mail-message-type')).sort();
    expect(types).toEqual(['confirmation of dispatch', 'notification']);
    const notification = inbox.find((mail) => header(mail, 'X-de-mail-message-type') === 'notification')!;
    expect(header(notification, 'X-de-mail-notification-type')).toBe('unknown-recipient');
    expect(header(notification, 'X-de-mail-private-id')).toBe('gw-0001');
    expect(checkIntegrity(notification)).toEqual({ ok: true, reason: 'hash' });
  });

  test('slow@: two attempts refused with 451, the third taken', async () => {
    await using open = await testSimulator();
    const slow = 'slow@buerger.de-mail.example';
    const message = handover({ 'X-de-mail-chosen-recipient': `to=${slow}` });
    for (let attempt = 0; attempt < 2; attempt++) {
      const sent = submit(open.simulator, { to: [slow], message });
      await expect(sent).rejects.toMatchObject({ responseCode: 451 });
    }
    expect(await submit(open.simulator, { to: [slow], message })).toContain('250');
    await open.simulator.settled();
    expect(await allOf(open.simulator, 'stadt-waren')).toHaveLength(2);
  });

  test('drop@ and the faults: processed and cut, cut and not processed, deferred', async () => {
    await using open = await testSimulator();
    const { simulator } = open;
    const drop = 'drop@buerger.de-mail.example';
    const message = handover({ 'X-de-mail-chosen-recipient': `to=${drop}` });
    await expect(submit(simulator, { to: [drop], message })).rejects.toThrow();
    expect(await allOf(simulator, 'stadt-waren', 'Sent')).toHaveLength(1);
    simulator.faults.cutAfterData = 1;
    await expect(submit(simulator)).rejects.toThrow();
    expect(await allOf(simulator, 'stadt-waren', 'Sent')).toHaveLength(2);
    simulator.faults.cutDuringData = 1;
    await expect(submit(simulator)).rejects.toThrow();
    simulator.faults.deferData = 1;
    await expect(submit(simulator)).rejects.toMatchObject({ responseCode: 451 });
    expect(await allOf(simulator, 'stadt-waren', 'Sent')).toHaveLength(2);
    expect(await submit(simulator)).toContain('250');
    await simulator.settled();
  });

  test('confirmations withheld and doubled', async () => {
    await using open = await testSimulator();
    const { simulator } = open;
    simulator.faults.withhold = ['receipt'];
    simulator.faults.duplicateConfirmations = true;
    await submit(simulator);
    await simulator.settled();
    const inbox = await allOf(simulator, 'stadt-waren');
    expect(inbox.map((mail) => header(mail, 'X-de-mail-message-type'))).toEqual(
      Array(2).fill('confirmation of dispatch'),
    );
    expect(inbox[0]!.equals(inbox[1]!)).toBe(true);
  });

  test('the first login at level high confirms what lies there, once', async () => {
    await using open = await testSimulator();
    const { simulator } = open;
    const karl = 'karl.never@buerger.de-mail.example';
    const headers = {
      'X-de-mail-chosen-recipient': `to=${karl}`,
      'X-de-mail-confirmation-of-retrieve': 'yes',
    };
    await submit(simulator, { to: [karl], message: handover(headers) });
    await simulator.settled();
    const retrievals = async () =>
      (await allOf(simulator, 'stadt-waren')).filter(
        (mail) => header(mail, 'X-de-mail-message-type') === 'confirmation of retrieve',
      );
    expect(await retrievals()).toHaveLength(0);
    simulator.login('karl.never');
    simulator.login('karl.never');
    await simulator.settled();
    expect(await retrievals()).toHaveLength(1);
  });

  test.each([
    [true, 1],
    [false, 0],
  ])('smtpLoginServes %s: a login by SMTP confirms %i, one by IMAP all', async (smtpLoginServes, served) => {
    await using open = await testSimulator({ smtpLoginServes });
    const { simulator } = open;
    const retrievals = async () =>
      (await allOf(simulator, 'stadt-waren')).filter(
        (mail) => header(mail, 'X-de-mail-message-type') === 'confirmation of retrieve',
      ).length;
    const headers = {
      'X-de-mail-chosen-recipient': `to=${zarrentin}`,
      'X-de-mail-confirmation-of-retrieve': 'yes',
    };
    await submit(simulator, { to: [zarrentin], message: handover(headers) });
    await simulator.settled();
    simulator.login('amt-zarrentin', 'normal');
    const from = 'a@amt-zarrentin.de-mail.example';
    await submit(simulator, { account: 'amt-zarrentin', from, message: Buffer.from('x\r\n') }).catch(
      () => {},
    );
    await simulator.settled();
    expect(await retrievals()).toBe(served);
    await using _ = await reader(simulator, 'amt-zarrentin');
    await simulator.settled();
    expect(await retrievals()).toBe(1);
  });

  test('confirmations that wait for their time outlive a restart', async () => {
    await using open = await testSimulator();
    open.simulator.faults.delayConfirmationsMs = 3_600_000;
    await submit(open.simulator);
    await open.simulator.close();
    expect(await allOf(open.simulator, 'stadt-waren')).toHaveLength(0);
    const ports = { smtp: 0, imap: 0 };
    await using again = await startSimulator({ directory: open.directory, ports, signature: 'p256' });
    again.setClock(new Date(Date.now() + 3_700_000));
    await again.settled();
    const types = (await allOf(again, 'stadt-waren')).map((mail) => header(mail, 'X-de-mail-message-type'));
    expect(types.sort()).toEqual(['confirmation of dispatch', 'confirmation of receipt']);
  });

  test('a retrieval confirmation that waits for the login outlives a restart', async () => {
    await using open = await testSimulator();
    const karl = 'karl.never@buerger.de-mail.example';
    const headers = {
      'X-de-mail-chosen-recipient': `to=${karl}`,
      'X-de-mail-confirmation-of-retrieve': 'yes',
    };
    await submit(open.simulator, { to: [karl], message: handover(headers) });
    await open.simulator.settled();
    await open.simulator.close();
    const ports = { smtp: 0, imap: 0 };
    await using again = await startSimulator({ directory: open.directory, ports, signature: 'p256' });
    again.login('karl.never');
    await again.settled();
    const types = (await allOf(again, 'stadt-waren')).map((mail) => header(mail, 'X-de-mail-message-type'));
    expect(types).toContain('confirmation of retrieve');
  });

  test('sink mode takes everything and keeps nothing', async () => {
    await using open = await testSimulator({ sink: true });
    expect(await submit(open.simulator, { message: Buffer.from('anything\r\n') })).toContain('250');
    expect(open.simulator.messages('stadt-waren', 'Sent')).toEqual([]);
  });
});
