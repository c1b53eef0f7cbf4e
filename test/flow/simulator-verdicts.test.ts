/** What the simulator signs, judged by the gateway's own verification: identification, forwarded copies, revocation. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readRevocationFolder, readTrustFiles, revocationMemory } from '../../src/pki/revocation-sources.ts';
import { verifyDeMail } from '../../src/pki/verify-demail.ts';
import { cardNames } from '../../src/simulator/identity-card.ts';
import { demoAccounts } from '../../src/simulator/options.ts';
import {
  allOf,
  handover,
  header,
  submit,
  type TestSimulator,
  testSimulator,
} from '../../src/simulator/testing/customer.ts';

const amt = 'poststelle@stadt-waren.de-mail.example';
const max = 'max.mustermann@buerger.de-mail.example';
const identify = 'identify@buerger.de-mail.example';

let shared: TestSimulator;
beforeAll(async () => {
  const accounts = demoAccounts().map(({ logsInAfterMs: _, ...account }) =>
    account.id === 'erna.schmidt' ? { ...account, forwardsTo: 'a@ego-mv.de-mail.example' } : account,
  );
  shared = await testSimulator({ signature: 'brainpoolP256r1', accounts });
});
afterAll(() => shared[Symbol.asyncDispose]());

async function verdictOf(message: Buffer) {
  const { simulator } = shared;
  const crls = join(simulator.directory, 'crls');
  await mkdir(crls, { recursive: true });
  // A list says something only of signatures made before it.
  const time = new Date(Date.now() + 3_600_000);
  simulator.setClock(time);
  await writeFile(join(crls, 'root.crl'), simulator.crl());
  simulator.setClock();
  const { verdict, checks } = await verifyDeMail([message], {
    trust: await readTrustFiles([simulator.caFile]),
    revocation: revocationMemory(await readRevocationFolder(crls)),
    time,
  });
  return { verdict, problems: checks.filter(({ result }) => result !== 'passed') };
}

const valid = { verdict: 'valid', problems: [] };

async function identifications(account: string): Promise<Buffer[]> {
  await shared.simulator.settled();
  const all = await allOf(shared.simulator, account);
  return all.filter((mail) => header(mail, 'X-de-mail-message-type') === 'identification');
}

test.each(cardNames)('an identification, card %s', async (card) => {
  const before = (await identifications('stadt-waren')).length;
  shared.simulator.identify('max.mustermann', amt, card);
  const message = (await identifications('stadt-waren'))[before]!;
  expect(header(message, 'From')).toBe('Ident-Bestaetigung@provider.de-mail.example');
  expect(header(message, 'Cc')).toBe(max);
  expect(header(message, 'X-de-mail-private')).toBe('yes');
  expect(await verdictOf(message)).toEqual(valid);
});

test('an institution is identified as a legal person, and identify@ answers a letter', async () => {
  const { simulator } = shared;
  simulator.identify('ego-mv', max);
  expect(await verdictOf((await identifications('max.mustermann')).at(-1)!)).toEqual(valid);
  const to = [identify];
  await submit(simulator, { to, message: handover({ 'X-de-mail-chosen-recipient': `to=${identify}` }) });
  const answer = (await identifications('stadt-waren')).at(-1)!;
  expect(header(answer, 'Cc')).toBe(identify);
  expect(await verdictOf(answer)).toEqual(valid);
});

test('none for whom level high is out of reach, and no age of an institution', () => {
  expect(() => shared.simulator.identify('nohigh', amt)).toThrow('level high');
  expect(() => shared.simulator.identify('ego-mv', amt, 'age')).toThrow('no card age');
});

test('a forwarded copy is as valid as the original', async () => {
  const { simulator } = shared;
  const erna = 'erna.schmidt@buerger.de-mail.example';
  const headers = { 'X-de-mail-chosen-recipient': `to=${erna}`, 'X-de-mail-authoritative': 'yes' };
  await submit(simulator, { to: [erna], message: handover(headers) });
  await simulator.settled();
  const copy = (await allOf(simulator, 'ego-mv')).at(-1)!;
  expect(header(copy, 'Resent-From')).toBe(erna);
  expect(await verdictOf(copy)).toEqual(valid);
});

test('a certificate revoked before the signature invalidates it', async () => {
  const { simulator } = shared;
  await simulator.revokeSigner(new Date(Date.now() - 60_000));
  simulator.identify('max.mustermann', amt);
  const message = (await identifications('stadt-waren')).at(-1)!;
  expect(await verdictOf(message)).toMatchObject({ verdict: 'invalid' });
});
