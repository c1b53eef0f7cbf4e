import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { blockLength } from '../../src/demail/block.ts';
import { INBOX } from '../../src/directory/mailboxes.ts';
import type { Entry } from '../../src/evidence/entry.ts';
import { createManualClock } from '../../src/observe/testing/manual-clock.ts';
import { type Authority, createAuthority } from '../../src/pki/authority.ts';
import { type SubmissionPeer, startSubmissionPeer } from '../../src/provider/testing/submission-peer.ts';
import {
  bodyOf,
  erika,
  headerOf,
  jan,
  max,
  openSimulator,
  openWorld,
  type SimulatedProvider,
  type World,
} from './provider-world.ts';

let provider: SimulatedProvider;
let authority: Authority;
let folder: string;

beforeAll(async () => {
  provider = await openSimulator();
  authority = await createAuthority({ name: 'Test CA' });
  folder = await mkdtemp(join(tmpdir(), 'forward-'));
  await writeFile(join(folder, 'ca.pem'), authority.certificate);
});
afterAll(async () => {
  await provider[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

const to = (port: number, more: object = {}) => ({
  host: 'localhost',
  port,
  security: 'tls',
  trustAnchors: [join(folder, 'ca.pem')],
  ...more,
});

function letter(subject: string, more: Record<string, string> = {}): Buffer {
  const headers = { From: max, To: 'erika@stadt.de-mail.example', Subject: subject, ...more };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`${lines.join('')}\r\nGuten Tag\r\n.\r\n`);
}

const outcomes = async (world: World) =>
  (await world.entries()).filter(
    (e): e is Extract<Entry, { kind: 'forward-outcome' }> => e.kind === 'forward-outcome',
  );

const subjects = (peer: SubmissionPeer) => peer.received.map((r) => headerOf(r.bytes, 'Subject'));

it('mail goes to the own server as well, without a sender that could be answered', async () => {
  await using server = await startSubmissionPeer({ authority });
  await using world = await openWorld({
    provider: await provider.accounts(),
    forward: 'both',
    forwardTo: to(server.port),
  });
  const bytes = letter('beides');
  await provider.simulator.deposit('stadt', bytes, 'erika@stadt.de-mail.example');
  const link = await world.startLink();
  await link.fetchNow('stadt');
  await world.until(async () => subjects(server).includes('beides'));
  const got = server.received.find((r) => headerOf(r.bytes, 'Subject') === 'beides')!;
  expect(got.from).toBe('');
  expect(got.recipients).toEqual(['erika@stadt.example']);
  expect(got.bytes.subarray(blockLength(got.bytes)).subarray(-bytes.length).equals(bytes)).toBe(true);
  expect((await world.mails(erika, INBOX)).map((m) => headerOf(m, 'Subject'))).toContain('beides');
  await world.until(async () => (await world.store.openForwards('stadt')).length === 0);
  expect((await outcomes(world)).every((o) => o.result === 'done' && o.peer.certificate !== undefined)).toBe(
    true,
  );
});

it('by LMTP, each recipient has its own result', async () => {
  await using server = await startSubmissionPeer({ authority, lmtp: true });
  server.behaviour.rcpt = (address) => (address.startsWith('jan') ? '550 5.1.1 no such user' : null);
  await using world = await openWorld({
    provider: await provider.accounts(),
    forward: 'only',
    forwardTo: to(server.port, { protocol: 'lmtp' }),
  });
  await provider.simulator.deposit(
    'stadt',
    letter('lmtp'),
    'erika@stadt.de-mail.example, jan@stadt.de-mail.example',
  );
  const link = await world.startLink();
  await link.fetchNow('stadt');
  const failed = await world.until(async () => (await outcomes(world)).find((o) => o.result === 'failed'));
  expect(failed.recipients.map((r) => [r.address, r.result]).sort()).toEqual([
    ['erika@stadt.example', 'accepted'],
    ['jan@stadt.example', 'refused'],
  ]);
  const facts = (await world.store.facts('stadt', failed.letter)).map((f) => f.fact);
  expect(facts).toContain('forwarded');
  expect(facts).toContain('forward-failed');
  // The operators are told at the own server too, since there is no facade.
  await world.until(
    async () =>
      server.received.some(
        (r) => r.recipients.includes('jan@stadt.example') || bodyOf(r.bytes).includes('no such user'),
      ) || (await world.store.openForwards('stadt')).length === 0,
  );
});

it('private mail stays, unless the configuration says so by name', async () => {
  await using server = await startSubmissionPeer({ authority });
  const accounts = await provider.accounts();
  const secret = letter('persoenlich', { 'X-de-mail-private': 'yes' });
  await provider.simulator.deposit('stadt', secret, 'erika@stadt.de-mail.example');
  await provider.simulator.deposit('stadt', letter('danach'), 'erika@stadt.de-mail.example');
  for (const includePrivate of [false, true]) {
    await using world = await openWorld({
      provider: accounts,
      forward: 'both',
      forwardTo: to(server.port, { includePrivate }),
    });
    server.received.length = 0;
    const link = await world.startLink();
    await link.fetchNow('stadt');
    await world.until(async () => (await world.store.openForwards('stadt')).length === 0);
    expect(subjects(server)).toContain('danach');
    expect(subjects(server).includes('persoenlich')).toBe(includePrivate);
    expect((await world.mails(erika, INBOX)).map((m) => headerOf(m, 'Subject'))).toContain('persoenlich');
  }
});

it('is refused at the last moment where private mail was queued under another configuration', async () => {
  await using server = await startSubmissionPeer({ authority });
  const accounts = await provider.accounts();
  await using world = await openWorld({
    provider: accounts,
    forward: 'both',
    forwardTo: to(1, { includePrivate: true }),
  });
  await provider.simulator.deposit(
    'stadt',
    letter('umgestellt', { 'X-de-mail-private': 'yes' }),
    'erika@stadt.de-mail.example',
  );
  const first = await world.startLink();
  await first.fetchNow('stadt');
  await first.close();
  world.useTenants({ provider: accounts, forward: 'both', forwardTo: to(server.port) });
  await world.startLink();
  await world.until(async () => (await world.store.openForwards('stadt')).length === 0);
  expect(subjects(server)).not.toContain('umgestellt');
  const refused = (await outcomes(world)).filter((o) => o.result === 'failed');
  expect(refused.map((o) => o.reply)).toContainEqual(
    expect.stringContaining('private De-Mail is not forwarded'),
  );
});

it('a server that is away, or says later, gets it later; one that refuses is told about', async () => {
  const clock = createManualClock();
  await using server = await startSubmissionPeer({ authority });
  let busy = true;
  server.behaviour.rcpt = () => (busy ? '451 4.3.0 busy' : null);
  server.behaviour.data = ({ bytes }) =>
    headerOf(bytes, 'Subject') === 'abgelehnt' ? '554 5.6.0 content' : null;
  await using world = await openWorld(
    { provider: await provider.accounts(), forward: 'both', forwardTo: to(server.port) },
    clock,
  );
  await provider.simulator.deposit('stadt', letter('abgelehnt'), 'erika@stadt.de-mail.example');
  await provider.simulator.deposit('stadt', letter('spaeter'), 'erika@stadt.de-mail.example');
  const link = await world.startLink();
  await link.fetchNow('stadt');
  await world.until(async () => (await outcomes(world)).some((o) => o.result === 'deferred'));
  expect(server.received).toEqual([]);
  busy = false;
  for (;;) {
    // The clock stands while an attempt runs, else it would run into the time limit.
    const waiting = await world.until(async () => {
      const open = await world.store.openForwards('stadt');
      return open.every(({ state, nextAttempt }) => state === 'queued' && nextAttempt > clock.now()) && open;
    });
    if (waiting.length === 0) break;
    await clock.jump(Math.min(...waiting.map(({ nextAttempt }) => nextAttempt)) - clock.now());
  }
  expect(subjects(server)).toContain('spaeter');
  expect(subjects(server)).not.toContain('abgelehnt');
  const told = await world.until(async () =>
    (await world.mails(jan, INBOX)).find((m) => bodyOf(m).includes('5.6.0')),
  );
  expect(headerOf(told, 'Auto-Submitted')).toBe('auto-generated');
});
