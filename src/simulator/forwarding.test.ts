import { afterAll, beforeAll, expect, test } from 'vitest';
import { optionsSchema } from './options.ts';
import { checkIntegrity } from './testing/check-message.ts';
import {
  allOf,
  type Customer,
  handover,
  header,
  openCustomer,
  type TestSimulator,
  testSimulator,
} from './testing/customer.ts';

const at = (local: string) => `${local}@buerger.de-mail.example`;
const citizen = (id: string, more: object = {}) => ({ id, holder: id, addresses: [at(id)], ...more });

let shared: TestSimulator;
let customer: Customer;
beforeAll(async () => {
  shared = await testSimulator({
    accounts: [
      { id: 'stadt-waren', holder: 'Waren', kind: 'institution', domains: ['stadt-waren.de-mail.example'] },
      citizen('deputy'),
      citizen('boss', { forwardsTo: at('deputy') }),
      citizen('shy', { forwardsTo: at('deputy'), forwardsPrivate: false }),
      citizen('lost', { forwardsTo: at('nobody') }),
      citizen('ping', { forwardsTo: at('pong') }),
      citizen('pong', { forwardsTo: at('ping') }),
      citizen('moved', { movedTo: at('deputy') }),
      citizen('round', { movedTo: at('circle') }),
      citizen('circle', { movedTo: at('round') }),
    ],
  });
  customer = await openCustomer(shared.simulator);
});
afterAll(async () => {
  await customer[Symbol.asyncDispose]();
  await shared[Symbol.asyncDispose]();
});

const typeOf = (mail: Buffer) => header(mail, 'X-de-mail-message-type');

/** What everybody got of a letter to that citizen, by account. */
async function sendTo(local: string, headers: Record<string, string> = {}) {
  const { simulator } = shared;
  const before = simulator.counts();
  const to = [at(local)];
  await customer.send({
    to,
    message: handover({ 'X-de-mail-chosen-recipient': `to=${to[0]}`, To: to[0]!, ...headers }),
  });
  await simulator.settled();
  return async (account: string) => (await allOf(simulator, account)).slice(before[account]!.INBOX);
}

test('a copy goes on with Resent headers, sealed as it was; confirmed once, for whom it was addressed to', async () => {
  const got = await sendTo('boss', { 'X-de-mail-authoritative': 'yes', 'X-de-mail-private': 'yes' });
  const [original, ownReceipt] = await got('boss');
  const [copy, ...more] = await got('deputy');
  expect(more).toEqual([]);
  expect(header(copy!, 'Resent-From')).toBe(at('boss'));
  expect(header(copy!, 'Resent-To')).toBe(at('deputy'));
  expect(header(copy!, 'Resent-Date')).toBeDefined();
  expect(header(copy!, 'Resent-Message-ID')).not.toBe(header(copy!, 'Message-ID'));
  expect(header(copy!, 'X-de-mail-actual-recipient')).toBe(`to=${at('deputy')}`);
  expect(header(copy!, 'Envelope-to')).toBe(at('deputy'));
  expect(copy!.toString().match(/^(Envelope-to|X-de-mail-actual-recipient):/gm)).toHaveLength(2);
  for (const name of ['To', 'X-de-mail-chosen-recipient', 'Message-ID', 'X-de-mail-integrity']) {
    expect(header(copy!, name)).toBe(header(original!, name));
  }
  expect(checkIntegrity(copy!)).toEqual({ ok: true, reason: 'signature' });
  expect(typeOf(ownReceipt!)).toBe('confirmation of receipt');
  const answers = await got('stadt-waren');
  expect(answers.map((mail) => [typeOf(mail), header(mail, 'Cc')]).sort()).toEqual([
    ['confirmation of dispatch', undefined],
    ['confirmation of receipt', at('boss')],
  ]);
});

test.each([
  ['boss', { 'X-de-mail-confirmation-of-retrieve': 'yes' }],
  ['shy', { 'X-de-mail-private': 'yes' }],
])('%s, with %j: the address is only told', async (local, headers) => {
  const got = await sendTo(local, headers);
  const [told, ...more] = await got('deputy');
  expect(more).toEqual([]);
  expect(typeOf(told!)).toBe('notification');
  expect((await got(local)).map(typeOf)).toContain('normal');
});

test('a forwarder hears of an address that does not exist; the sender does not', async () => {
  const got = await sendTo('lost');
  expect((await got('lost')).map(typeOf).sort()).toEqual([
    'confirmation of receipt',
    'normal',
    'notification',
  ]);
  expect((await got('stadt-waren')).map(typeOf)).not.toContain('notification');
});

test('two who forward to each other get one copy each', async () => {
  const got = await sendTo('ping');
  expect((await got('ping')).map(typeOf).filter((type) => type === 'normal')).toHaveLength(1);
  expect((await got('pong')).map(typeOf)).toEqual(['normal']);
});

test('a closing account keeps nothing; the new address confirms', async () => {
  const got = await sendTo('moved');
  expect(await got('moved')).toEqual([]);
  const [copy] = await got('deputy');
  expect(header(copy!, 'X-de-mail-actual-recipient')).toBe(`to=${at('deputy')}`);
  expect(header(copy!, 'Resent-From')).toBeUndefined();
  expect(checkIntegrity(copy!)).toEqual({ ok: true, reason: 'hash' });
  const receipt = (await got('stadt-waren')).find((mail) => typeOf(mail) === 'confirmation of receipt');
  expect(header(receipt!, 'Cc')).toBe(at('deputy'));
});

test('a closing account whose new address sends on to it is told to the sender', async () => {
  const got = await sendTo('round');
  expect((await got('stadt-waren')).map(typeOf).sort()).toEqual(['confirmation of dispatch', 'notification']);
});

test.each([
  ['forwardsTo', 'a@example.com', 'a@example.com is not a De-Mail address'],
  ['movedTo', 'a@x.de-mail.example', 'a@x.de-mail.example belongs to the account itself'],
])('%s %s is refused', (name, target, text) => {
  const account = { id: 'a', holder: 'A', domains: ['x.de-mail.example'], [name]: target };
  expect(() => optionsSchema.parse({ directory: '/nowhere', accounts: [account] })).toThrow(text);
});
