import { readFileSync } from 'node:fs';
import { type FetchMessageObject, ImapFlow } from 'imapflow';
import { expect, test } from 'vitest';
import { demoAccounts } from './options.ts';
import { startSimulator } from './simulator.ts';
import { allOf, handover, reader, submit, testSimulator } from './testing/customer.ts';

const vector = readFileSync(new URL('../../test/vectors/cases/signed-rsa-sha256.eml', import.meta.url));

/** imapflow answers false where nothing was fetched. */
function found(message: FetchMessageObject | false): FetchMessageObject {
  if (!message) throw new Error('nothing was fetched');
  return message;
}

test('a deposited message is fetched byte for byte, whole and in parts', async () => {
  await using open = await testSimulator();
  await open.simulator.deposit('stadt-waren', vector);
  await using client = await reader(open.simulator);
  await client.mailboxOpen('INBOX');
  const message = found(
    await client.fetchOne('1', {
      uid: true,
      source: true,
      flags: true,
      size: true,
      internalDate: true,
    }),
  );
  expect(message.source?.equals(vector)).toBe(true);
  expect(message.size).toBe(vector.length);
  expect([...message.flags!]).toEqual([]);
  const part = await client.fetchOne('1', { source: { start: 10, maxLength: 25 } });
  expect(found(part).source?.equals(vector.subarray(10, 35))).toBe(true);
  const head = await client.fetchOne('1', { headers: ['message-id'] });
  expect(found(head).headers?.toString()).toBe('Message-ID: <2026-1@provider.de-mail.example>\r\n\r\n');
});

test('flags, search, copy, move and expunge', async () => {
  await using open = await testSimulator();
  const { simulator } = open;
  for (let count = 0; count < 4; count++) await simulator.deposit('stadt-waren', vector);
  await using client = await reader(simulator);
  await client.mailboxCreate('Erledigt');
  await client.mailboxOpen('INBOX');
  await client.messageFlagsAdd('1:2', ['\\Seen', '$Geholt']);
  expect(await client.search({ seen: false })).toEqual([3, 4]);
  expect(await client.search({ header: { 'message-id': '2026-1@' }, uid: '2:3' })).toEqual([2, 3]);
  await client.messageCopy('1', 'Sent');
  const moved = await client.messageMove('2:3', 'Erledigt', { uid: true });
  expect(moved && [...moved.uidMap!]).toEqual([
    [2, 1],
    [3, 2],
  ]);
  await client.messageDelete('1', { uid: true });
  expect(simulator.messages('stadt-waren', 'INBOX').map(({ uid }) => uid)).toEqual([4]);
  expect(simulator.messages('stadt-waren', 'Sent')).toHaveLength(1);
  expect([...simulator.messages('stadt-waren', 'Erledigt')[0]!.flags]).toEqual(['\\Seen', '$Geholt']);
  const folders = await client.list();
  expect(folders.map(({ path, specialUse }) => [path, specialUse])).toEqual([
    ['INBOX', '\\Inbox'],
    ['Sent', '\\Sent'],
    ['Erledigt', undefined],
  ]);
  expect(await client.status('Erledigt', { messages: true, unseen: true })).toMatchObject({
    messages: 2,
    unseen: 1,
  });
});

test('IDLE tells of a new message, unless told to be silent', async () => {
  await using open = await testSimulator();
  await using client = await reader(open.simulator);
  await client.mailboxOpen('INBOX');
  const told = new Promise<number>((resolve) => client.on('exists', ({ count }) => resolve(count)));
  const idle = client.idle();
  await open.simulator.deposit('stadt-waren', vector);
  expect(await told).toBe(1);
  await client.noop();
  await idle;
  open.simulator.faults.silentIdle = true;
  const order: string[] = [];
  client.on('exists', ({ count }) => order.push(`exists ${count}`));
  const silent = client.idle().then(() => order.push('idle ended'));
  await open.simulator.deposit('stadt-waren', vector);
  await client.noop();
  await silent;
  expect(order).toEqual(['idle ended', 'exists 2']);
});

test('UIDs and UIDVALIDITY outlive a restart; a rebuilt mailbox ends the connection', async () => {
  await using open = await testSimulator();
  const { simulator, directory } = open;
  await simulator.deposit('stadt-waren', vector);
  await simulator.deposit('stadt-waren', vector);
  const identity = await simulator.clientIdentity('stadt-waren');
  const first = await reader(simulator);
  const before = await first.mailboxOpen('INBOX');
  await first.messageDelete('1');
  first.close();
  await simulator.close();

  await using again = await startSimulator({ directory, ports: { smtp: 0, imap: 0 }, signature: 'p256' });
  expect((await again.clientIdentity('stadt-waren')).certificatePem).toBe(identity.certificatePem);
  await using second = await reader(again);
  const after = await second.mailboxOpen('INBOX');
  expect(after.uidValidity).toBe(before.uidValidity);
  expect(after.uidNext).toBe(3);
  expect(await second.search({ all: true }, { uid: true })).toEqual([2]);
  const closed = new Promise((resolve) => second.on('close', () => resolve('closed')));
  again.renumber('stadt-waren', 'INBOX');
  await second.noop().catch(() => {});
  expect(await closed).toBe('closed');
  await using third = await reader(again);
  expect((await third.mailboxOpen('INBOX')).uidValidity).toBe(before.uidValidity + 1n);
  expect(await third.search({ all: true }, { uid: true })).toEqual([1]);
});

test('a connection cut in the middle of a message', async () => {
  await using open = await testSimulator();
  await open.simulator.deposit('stadt-waren', vector);
  open.simulator.faults.cutDuringFetch = 1;
  await using client = await reader(open.simulator);
  await client.mailboxOpen('INBOX');
  await expect(client.fetchOne('1', { source: true })).rejects.toThrow();
  await using next = await reader(open.simulator);
  await next.mailboxOpen('INBOX');
  const message = await next.fetchOne('1', { source: true });
  expect(found(message).source?.equals(vector)).toBe(true);
});

test('password logins, refused logins, and what level normal may see', async () => {
  const accounts = demoAccounts().map((account) =>
    account.id === 'ego-mv' ? { ...account, password: 'geheim' } : account,
  );
  await using open = await testSimulator({ accounts });
  const { simulator } = open;
  const to = 'a@ego-mv.de-mail.example';
  const headers = { 'X-de-mail-chosen-recipient': `to=${to}` };
  await submit(simulator, { to: [to], message: handover({ ...headers, 'X-de-mail-private': 'yes' }) });
  await submit(simulator, {
    to: [to],
    message: handover({ ...headers, 'X-de-mail-confirmation-of-receipt': 'no' }),
  });
  await simulator.settled();
  const identity = await simulator.clientIdentity('ego-mv');
  const login = async (pass: string, certificate: boolean) => {
    const client = new ImapFlow({
      host: '127.0.0.1',
      port: simulator.ports.imap,
      secure: true,
      tls: {
        ca: simulator.caPem,
        ...(certificate ? { cert: identity.certificatePem, key: identity.keyPem } : {}),
      },
      auth: { user: 'ego-mv', pass },
      logger: false,
    });
    client.on('error', () => {});
    await client.connect();
    const { exists } = await client.mailboxOpen('INBOX');
    client.close();
    return exists;
  };
  expect(await allOf(simulator, 'ego-mv')).toHaveLength(3);
  // The private message and its receipt confirmation, which is private as well, stay out of sight.
  expect(await login('geheim', false)).toBe(1);
  expect(await login('geheim', true)).toBe(3);
  await expect(login('falsch', true)).rejects.toThrow();
  simulator.faults.refuseLogins = true;
  await expect(login('geheim', true)).rejects.toThrow();
});
