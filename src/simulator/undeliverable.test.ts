import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { demoAccounts } from './options.ts';
import { startSimulator } from './simulator.ts';
import { checkIntegrity } from './testing/check-message.ts';
import {
  allOf,
  type Customer,
  handover,
  header,
  max,
  openCustomer,
  submit,
  type TestSimulator,
  testSimulator,
} from './testing/customer.ts';

const typeOf = (mail: Buffer) => header(mail, 'X-de-mail-message-type');
const at = (local: string) => `${local}@buerger.de-mail.example`;

let shared: TestSimulator;
let customer: Customer;
beforeAll(async () => {
  shared = await testSimulator();
  customer = await openCustomer(shared.simulator);
});
afterAll(async () => {
  await customer[Symbol.asyncDispose]();
  await shared[Symbol.asyncDispose]();
});

/** Hands over one message under a private-id of its own; what comes back to the sender about it. */
async function sendTo(local: string, headers: Record<string, string>, body?: string): Promise<Buffer[]> {
  const privateId = `about-${local}-${JSON.stringify(headers).length}-${body?.length ?? 0}`;
  const message = handover(
    { 'X-de-mail-chosen-recipient': `to=${at(local)}`, 'X-de-mail-private-id': privateId, ...headers },
    body,
  );
  await customer.send({ to: [at(local)], message });
  await shared.simulator.settled();
  const inbox = await allOf(shared.simulator, 'stadt-waren');
  return inbox.filter((mail) => header(mail, 'X-de-mail-private-id') === privateId);
}

const none = { 'X-de-mail-confirmation-of-dispatch': 'no', 'X-de-mail-confirmation-of-receipt': 'no' };
const retrieve = { 'X-de-mail-confirmation-of-retrieve': 'yes' };

test.each([
  ['unknown', {}, 'unknown-recipient', 'hash'],
  ['closed', {}, 'closed-account', 'hash'],
  ['invalid', {}, 'invalid-format', 'hash'],
  ['mismatch', {}, 'other', 'signature'],
  ['nohigh', { 'X-de-mail-private': 'yes' }, 'other', 'hash'],
  ['nohigh', retrieve, 'other', 'hash'],
])('%s@ with %j: a notification %s and no receipt', async (local, headers, type, reason) => {
  const answers = await sendTo(local, headers);
  expect(answers.map(typeOf).sort()).toEqual(['confirmation of dispatch', 'notification']);
  const notification = answers.find((mail) => typeOf(mail) === 'notification')!;
  expect(header(notification, 'X-de-mail-notification-type')).toBe(type);
  expect(header(notification, 'From')).toBe('Meldung@provider.de-mail.example');
  expect(checkIntegrity(notification)).toEqual({ ok: true, reason });
  const delivered = local === 'unknown' ? [] : await allOf(shared.simulator, local);
  expect(delivered.map(typeOf)).toEqual(local === 'mismatch' ? ['notification'] : []);
});

test('nohigh@ gets what is not private', async () => {
  const answers = await sendTo('nohigh', {});
  expect(answers.map(typeOf).sort()).toEqual(['confirmation of dispatch', 'confirmation of receipt']);
});

const eicar = Buffer.from(
  'WDVPIVAlQEFQWzRcUFpYNTQoUF4pN0NDKTd9JEVJQ0FSLVNUQU5EQVJELUFOVElWSVJVUy1URVNULUZJTEUhJEgrSCo=',
  'base64',
).toString();

test.each([
  ['the recipient malware@', 'malware', undefined],
  ['the EICAR file', 'erna.schmidt', `${eicar}\r\n`],
  ['the EICAR file in base64', 'karl.never', `${btoa(eicar).replaceAll(/.{76}/g, '$&\r\n')}\r\n`],
])('%s: signed where a confirmation was asked for, else not, never delivered', async (_, local, body) => {
  const asked = await sendTo(local, {}, body);
  expect(asked.map(typeOf).sort()).toEqual(['confirmation of dispatch', 'malware-acknowledge']);
  const signed = asked.find((mail) => typeOf(mail) === 'malware-acknowledge')!;
  expect(checkIntegrity(signed)).toEqual({ ok: true, reason: 'signature' });
  expect(header(signed, 'From')).toBe('Schadsoftware-Warnung@provider.de-mail.example');
  expect(header(signed, 'Cc')).toBe(at(local));
  const [plain, ...more] = await sendTo(local, none, body);
  expect(more).toEqual([]);
  expect(typeOf(plain!)).toBe('malware-notification');
  expect(checkIntegrity(plain!)).toEqual({ ok: true, reason: 'hash' });
  const told = (await allOf(shared.simulator, local)).map(typeOf);
  expect(told.sort()).toEqual(['malware-acknowledge', 'malware-notification']);
});

describe('the quota of level normal', () => {
  const accounts = demoAccounts().map((account) =>
    account.id === 'stadt-waren' ? { ...account, level: 'normal' as const } : account,
  );
  const exhausted = { response: expect.stringContaining('550 5.7.1 Level normal may send') };

  test('counts messages over a restart, and begins anew at midnight in Germany', async () => {
    let time = new Date('2026-11-24T22:50:00Z');
    await using open = await testSimulator({ accounts, quota: { messages: 1 } });
    await open.simulator.close();
    const options = {
      directory: open.directory,
      ports: { smtp: 0, imap: 0 },
      signature: 'p256' as const,
      accounts,
      quota: { messages: 1 },
    };
    await using first = await startSimulator(options, { now: () => time });
    expect(await submit(first)).toContain('250');
    await expect(submit(first)).rejects.toMatchObject(exhausted);
    await first.close();
    await using second = await startSimulator(options, { now: () => time });
    await expect(submit(second)).rejects.toMatchObject(exhausted);
    time = new Date('2026-11-24T23:10:00Z');
    expect(await submit(second)).toContain('250');
  });

  test('counts recipients of all messages together', async () => {
    await using open = await testSimulator({ accounts, quota: { recipients: 2 } });
    const to = [max, at('karl.never')];
    const message = handover({ 'X-de-mail-chosen-recipient': `to=${to.join(';')}` });
    expect(await submit(open.simulator, { to, message })).toContain('250');
    await expect(submit(open.simulator)).rejects.toMatchObject(exhausted);
  });
});
