/** Private De-Mails from the provider to a person: where they go, where they never go, and how they get there after all. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CONFIRMATIONS, INBOX } from '../../src/directory/mailboxes.ts';
import type { Entry } from '../../src/evidence/entry.ts';
import { createManualClock } from '../../src/observe/testing/manual-clock.ts';
import { type Authority, createAuthority } from '../../src/pki/authority.ts';
import { startSubmissionPeer } from '../../src/provider/testing/submission-peer.ts';
import type { TestTenants } from '../../src/provider/testing/tenants.ts';
import type { MailboxOwner } from '../../src/store/store.ts';
import {
  bodyOf,
  erika,
  headerOf,
  jan,
  max,
  openSimulator,
  openWorld,
  poststelle,
  type SimulatedProvider,
  type World,
} from './provider-world.ts';

const subject = 'Kuendigung';
const secret = 'wegen langer Krankheit';
const stadt = (local: string) => `${local}@stadt.de-mail.example`;
const actor = { type: 'operator', name: 'anna' } as const;

let provider: SimulatedProvider;
let authority: Authority;
let folder: string;
beforeAll(async () => {
  authority = await createAuthority({ name: 'Test CA' });
  folder = await mkdtemp(join(tmpdir(), 'private-mail-'));
  await writeFile(join(folder, 'ca.pem'), authority.certificate);
  provider = await openSimulator();
});
afterAll(async () => {
  await provider[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

function demail(headers: Record<string, string> = {}): Buffer {
  const all = {
    From: `Max <${max}>`,
    Subject: subject,
    'Message-ID': `<${crypto.randomUUID()}@provider.example>`,
    'X-de-mail-message-type': 'normal',
    'X-de-mail-sender': max,
    'X-de-mail-private': 'yes',
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`${lines.join('')}\r\n${secret}\r\n`);
}

interface Arrival {
  readonly link: Awaited<ReturnType<World['startLink']>>;
  /** The entry of the message. */
  readonly entry: Extract<Entry, { kind: 'inbound' }>;
}

/** The provider's mailbox is shared by all tests: a message is known by its Message-ID. */
async function arrive(w: World, bytes: Buffer, envelopeTo: string): Promise<Arrival> {
  await provider.simulator.deposit('stadt', bytes, envelopeTo);
  const link = await w.startLink();
  await link.fetchNow('stadt');
  const messageId = headerOf(bytes, 'Message-ID');
  const entry = (await w.entries()).find(
    (e): e is Arrival['entry'] => e.kind === 'inbound' && e.header.messageId === messageId,
  )!;
  return { link, entry };
}

async function open(settings: TestTenants = {}, clock?: Parameters<typeof openWorld>[1]) {
  const tenants: TestTenants = { provider: await provider.accounts(), ...settings };
  const w = await openWorld(tenants, clock);
  return { w, tenants };
}

/** Mails of a mailbox that hold what the message of the entry holds. */
/** Keywords on the messages of an inbox. */
async function keywords(w: World, owner: MailboxOwner): Promise<readonly string[]> {
  const box = (await w.store.mailbox('stadt', owner, INBOX))!;
  return (await w.store.messages('stadt', box.id)).flatMap(({ flags }) => flags);
}

async function copies(w: World, owner: MailboxOwner, messageId: string | null, mailbox = INBOX) {
  return (await w.mails(owner, mailbox)).filter((m) => headerOf(m, 'Message-ID') === messageId);
}

/** Notices of the gateway in a mailbox about this entry. */
async function notices(w: World, owner: MailboxOwner, index: number) {
  return (await w.mails(owner, INBOX)).filter(
    (m) =>
      headerOf(m, 'From')?.includes('De-Mail-Gateway') && new RegExp(`stadt/${index}\\b`).test(bodyOf(m)),
  );
}

function expectNothingSaid(mails: readonly Buffer[]) {
  for (const mail of mails) {
    expect(mail.toString('utf8')).not.toContain(subject);
    expect(mail.toString('utf8')).not.toContain(secret);
  }
}

describe('a private De-Mail', () => {
  it('to a person goes to that person alone', async () => {
    const { w } = await open();
    await using _w = w;
    const { entry } = await arrive(w, demail(), stadt('erika'));
    const { messageId } = entry.header;
    expect(await copies(w, erika, messageId)).toHaveLength(1);
    expect(await keywords(w, erika)).toContain('$DeMailPrivate');
    expect(await copies(w, jan, messageId)).toEqual([]);
    expect(await copies(w, poststelle, messageId)).toEqual([]);
    expect(entry).toMatchObject({ private: true });
    expect(entry.waitsFor).toBeUndefined();
  });

  it('to a shared mailbox waits; members and operators hear of it, without content; an operator places it', async () => {
    const { w } = await open();
    await using _w = w;
    const { link, entry } = await arrive(w, demail(), stadt('poststelle'));
    const { messageId } = entry.header;
    expect(entry).toMatchObject({ delivered: [], waitsFor: [stadt('poststelle')] });
    for (const owner of [erika, jan, poststelle]) expect(await copies(w, owner, messageId)).toEqual([]);
    const [member] = await notices(w, erika, entry.index);
    const [operator] = await notices(w, jan, entry.index);
    expectNothingSaid([member!, operator!]);
    expect(bodyOf(member!)).toContain(max);
    expect(bodyOf(member!)).toContain(entry.time);
    const order = { tenant: 'stadt', index: entry.index, actor, reason: 'Erika leads the office' };
    await expect(link.placePrivate(order)).rejects.toThrow('--to LOGIN');
    await expect(link.placePrivate({ ...order, to: 'Poststelle' })).rejects.toThrow('privateMail.shared');
    await expect(link.placePrivate({ ...order, to: 'erika@dorf.example' })).rejects.toThrow('no login');
    await link.placePrivate({ ...order, to: 'erika@stadt.example' });
    expect(await keywords(w, erika)).toContain('$DeMailPrivate');
    const [copy] = await copies(w, erika, messageId);
    expect(headerOf(copy!, 'X-Demail-Gateway-Kind')).toBe('inbound');
    expect(copy!.toString('utf8')).toContain(secret);
    expect(await w.store.timeline('stadt', entry.index)).toContainEqual(
      expect.objectContaining({ kind: 'placed', actor, reason: order.reason }),
    );
    expect((await w.store.facts('stadt', entry.index)).map((f) => f.fact)).toContain('deposited');
    await expect(link.placePrivate({ ...order, to: 'erika@stadt.example' })).rejects.toThrow('does not wait');
  });

  it('to a shared mailbox that the configuration names goes there', async () => {
    const { w } = await open({ stadt: { privateMail: { shared: ['Poststelle'] } } });
    await using _w = w;
    const { entry } = await arrive(w, demail(), stadt('poststelle'));
    expect(await copies(w, poststelle, entry.header.messageId)).toHaveLength(1);
    expect(await notices(w, erika, entry.index)).toEqual([]);
  });

  it('to two persons, one of them unknown: one has it, and it waits for the other until there is one', async () => {
    const clock = createManualClock();
    const { w, tenants } = await open({}, clock);
    await using _w = w;
    const { entry } = await arrive(w, demail(), `${stadt('erika')}, ${stadt('neu')}`);
    const { messageId } = entry.header;
    expect(await copies(w, erika, messageId)).toHaveLength(1);
    expect(await w.store.waitingPrivate('stadt')).toContainEqual({
      index: entry.index,
      addresses: [stadt('neu')],
    });
    const neu = { type: 'user', name: 'neu@stadt.example' } as const;
    const users = ['erika', 'jan', 'neu'].map((name) => ({
      login: `${name}@stadt.example`,
      passwordHash: '$argon2id$x',
    }));
    w.useTenants({ ...tenants, stadt: { users } });
    await w.until(async () => {
      await clock.advance(30_000);
      return (await copies(w, neu, messageId)).length > 0;
    });
    expect(await copies(w, neu, messageId)).toHaveLength(1);
    expect(await copies(w, erika, messageId)).toHaveLength(1);
    expect((await w.store.waitingPrivate('stadt')).map(({ index }) => index)).not.toContain(entry.index);
  });

  it('to two persons gives each a copy, and the copy for a Bcc recipient goes to them alone', async () => {
    const { w } = await open();
    await using _w = w;
    const both = await arrive(w, demail(), `${stadt('erika')}, ${stadt('jan')}`);
    for (const owner of [erika, jan])
      expect(await copies(w, owner, both.entry.header.messageId)).toHaveLength(1);
    const bytes = demail({ 'X-de-mail-actual-recipient': `to=${stadt('erika')}` });
    await provider.simulator.deposit('stadt', bytes, stadt('jan'));
    await both.link.fetchNow('stadt');
    const messageId = headerOf(bytes, 'Message-ID')!;
    expect(await copies(w, jan, messageId)).toHaveLength(1);
    expect(await copies(w, erika, messageId)).toEqual([]);
  });

  it('stays off the own server, which gets a notice; the person finds it in the facade', async () => {
    await using server = await startSubmissionPeer({ authority });
    const { w } = await open({
      forward: 'both',
      forwardTo: {
        host: 'localhost',
        port: server.port,
        security: 'tls',
        trustAnchors: [join(folder, 'ca.pem')],
      },
    });
    await using _w = w;
    const { entry } = await arrive(w, demail(), stadt('erika'));
    expect(await copies(w, erika, entry.header.messageId)).toHaveLength(1);
    const told = await w.until(async () =>
      server.received.find(
        (r) =>
          r.recipients.includes('erika@stadt.example') &&
          new RegExp(`stadt/${entry.index}\\b`).test(bodyOf(r.bytes)),
      ),
    );
    expect(bodyOf(told.bytes)).toContain(max);
    await w.until(async () => (await w.store.openForwards('stadt')).length === 0);
    expectNothingSaid(server.received.map(({ bytes }) => bytes));
  });
});

describe('about a private letter that the tenant sent', () => {
  it('reports name neither subject nor more of the header than Message-ID and Date', async () => {
    await using peer = await startSubmissionPeer({ authority });
    peer.behaviour.data = () => '554 5.7.1 refused by the provider';
    const account = {
      account: 'stadt',
      smtp: { host: 'localhost', port: peer.port, security: 'tls' },
      imap: { host: '127.0.0.1', port: 1, security: 'none' },
      trustAnchors: [join(folder, 'ca.pem')],
      authLevel: 'high',
    };
    await using w = await openWorld({ provider: { stadt: account } });
    const letter = await w.submit({
      subject,
      body: `${secret}\r\n`,
      ret: 'FULL',
      options: ['private'],
    });
    await w.startLink();
    const report = await w.until(async () => (await w.mails(erika, INBOX))[0]);
    expectNothingSaid([report]);
    const submission = await w.store.submissionOf('stadt', letter);
    expect(report.toString('utf8')).toContain(submission!.header.messageId!);
  });

  it('a confirmation waits where its sender has only a shared mailbox', async () => {
    const { w, tenants } = await open();
    await using _w = w;
    const letter = await w.submit({
      user: 'poststelle@stadt.example',
      subject,
      options: ['private', 'dispatch'],
    });
    const { transactions } = (await w.store.submissionOf('stadt', letter))!;
    const bytes = demail({
      Subject: `*Versandbestätigung* ${subject}`,
      'X-de-mail-message-type': 'confirmation of dispatch',
      // Even where the provider forgets to say so.
      'X-de-mail-private': 'no',
      'X-de-mail-private-id': transactions[0]!.privateId,
    });
    w.useTenants({ ...tenants });
    await provider.simulator.deposit('stadt', bytes, stadt('poststelle'));
    const link = await w.startLink();
    await link.fetchNow('stadt');
    const messageId = headerOf(bytes, 'Message-ID')!;
    const entry = (await w.entries()).find(
      (e) => e.kind === 'confirmation' && e.header.messageId === messageId,
    );
    expect(entry).toMatchObject({ letter, private: true, delivered: [] });
    expect(await copies(w, poststelle, messageId, CONFIRMATIONS)).toEqual([]);
    expectNothingSaid(await notices(w, erika, entry!.index));
    await link.placePrivate({
      tenant: 'stadt',
      index: entry!.index,
      to: 'jan@stadt.example',
      actor,
      reason: 'Jan sent it',
    });
    expect(await copies(w, jan, messageId, CONFIRMATIONS)).toHaveLength(1);
  });
});
