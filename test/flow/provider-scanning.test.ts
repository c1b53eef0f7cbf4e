/** Malware and sender's signatures in what is fetched, from the provider's mailbox to the reader's. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CONFIRMATIONS, INBOX, QUARANTINE } from '../../src/directory/mailboxes.ts';
import type { Entry } from '../../src/evidence/entry.ts';
import { createScanner } from '../../src/inspection/scanner.ts';
import { type ClamdPeer, FOUND, MALWARE, startClamdPeer } from '../../src/inspection/testing/clamd-peer.ts';
import { createManualClock, type ManualClock } from '../../src/observe/testing/manual-clock.ts';
import type { ProviderLink } from '../../src/provider/link.ts';
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

let provider: SimulatedProvider;
let clamd: ClamdPeer;
beforeAll(async () => {
  provider = await openSimulator();
});
afterAll(() => provider[Symbol.asyncDispose]());
beforeEach(async () => {
  clamd = await startClamdPeer();
  return () => clamd[Symbol.asyncDispose]();
});

const stadt = (local: string) => `${local}@stadt.de-mail.example`;

async function world(more: object = {}): Promise<World> {
  return openWorld({ provider: await provider.accounts(), stadt: more });
}

const scanner = (tooLarge: 'hold' | 'pass' = 'hold') => createScanner({ clamd: clamd.address, tooLarge });

async function deposit(
  mark: string,
  body: string,
  headers: Record<string, string> = {},
  to = stadt('erika'),
): Promise<void> {
  const all = {
    From: `Max <${max}>`,
    To: stadt('erika'),
    Subject: mark,
    'Message-ID': `<${crypto.randomUUID()}@provider.example>`,
    'X-de-mail-message-type': 'normal',
    'X-de-mail-sender': max,
    ...headers,
  };
  const header = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  await provider.simulator.deposit('stadt', Buffer.from(`${header.join('')}\r\n${body}`), to);
}

async function subjects(w: World, owner: MailboxOwner, mailbox: string, mark: string): Promise<Buffer[]> {
  return (await w.mails(owner, mailbox)).filter((mail) => headerOf(mail, 'Subject') === mark);
}

const inboundOf = async (w: World, mark: string) =>
  (await w.entries()).find((e) => e.kind === 'inbound' && e.header.subject === mark) as Extract<
    Entry,
    { kind: 'inbound' }
  >;
const scanOf = async (w: World, about: number) =>
  (await w.entries()).find((e) => e.kind === 'scan' && e.about === about);
/** Minutes pass until the condition holds. */
function passes<T>(w: World, clock: ManualClock, condition: () => Promise<T>) {
  return w.until(async () => {
    await clock.advance(61_000);
    return await condition();
  });
}
const incidentsOf = async (w: World) => (await w.store.incidents('stadt')).map(({ incident }) => incident);

describe('malware in a fetched De-Mail', () => {
  it('keeps the copy back, quarantines it, tells the recipient and the operators, keeps the bytes', async () => {
    await using w = await world({ quarantine: 'Poststelle' });
    await deposit('find-1', MALWARE);
    const link = await w.startLink({ scanner: scanner() });
    await link.fetchNow('stadt');
    const entry = await inboundOf(w, 'find-1');
    expect(entry).toMatchObject({ scan: { result: 'infected', detail: FOUND }, delivered: [] });
    const scan = await w.until(() => scanOf(w, entry.index));
    expect(scan).toMatchObject({
      result: 'infected',
      delivered: [{ owner: 'shared:Poststelle', mailbox: QUARANTINE, reason: 'malware' }],
    });
    expect(await subjects(w, erika, INBOX, 'find-1')).toEqual([]);
    expect(await subjects(w, poststelle, QUARANTINE, 'find-1')).toHaveLength(1);
    const notice = (await w.mails(erika, INBOX)).find((mail) => bodyOf(mail).includes(FOUND));
    expect(bodyOf(notice!)).toContain(FOUND);
    expect(bodyOf(notice!)).toContain(`stadt/${entry.index}`);
    expect(bodyOf(notice!)).not.toContain('find-1');
    expect((await w.mails(jan, INBOX)).map(bodyOf).join()).toContain(FOUND);
    expect(await w.store.object('stadt', entry.message.object)).not.toBeNull();
    // Nothing of it is deposited as far as the facts go.
    expect((await w.store.facts('stadt', entry.index)).map(({ fact }) => fact)).not.toContain('deposited');
  });

  it('in private mail leaves no copy at all', async () => {
    await using w = await world({ quarantine: 'Poststelle' });
    await deposit('find-2', MALWARE, { 'X-de-mail-private': 'yes' });
    const link = await w.startLink({ scanner: scanner() });
    await link.fetchNow('stadt');
    const { index } = await inboundOf(w, 'find-2');
    expect(await w.until(() => scanOf(w, index))).toMatchObject({ result: 'infected', delivered: [] });
    expect(await subjects(w, poststelle, QUARANTINE, 'find-2')).toEqual([]);
  });
});

it('malware in private mail that waits for a person cannot be placed', async () => {
  await using w = await world();
  const headers = { 'X-de-mail-private': 'yes', To: stadt('unbekannt') };
  await deposit('find-3', MALWARE, headers, stadt('unbekannt'));
  const link = await w.startLink({ scanner: scanner() });
  await link.fetchNow('stadt');
  const { index } = await inboundOf(w, 'find-3');
  const order = { tenant: 'stadt', index, to: 'erika@stadt.example', reason: 'asked for it' };
  const place = () => link.placePrivate({ ...order, actor: { type: 'operator', name: 'root' } });
  await expect(place()).rejects.toThrow(/scanned for malware yet|contains malware/);
  await w.until(() => scanOf(w, index));
  await expect(place()).rejects.toThrow('it contains malware');
  expect(await subjects(w, erika, INBOX, 'find-3')).toEqual([]);
});

describe('a scanner that is away', () => {
  async function fetched(
    mark: string,
    more: object = {},
  ): Promise<{ w: World; link: ProviderLink; clock: ManualClock }> {
    const clock = createManualClock(Date.now());
    const w = await openWorld({ provider: await provider.accounts(), stadt: more }, clock);
    await deposit(mark, 'Guten Tag\r\n');
    const link = await w.startLink({ scanner: scanner(), clock });
    await link.fetchNow('stadt');
    return { w, link, clock };
  }

  it('holds the copies; evidence is there at once, an incident tells, and later they go their way', async () => {
    await clamd[Symbol.asyncDispose]();
    const { w, clock } = await fetched('held-1');
    await using _w = w;
    const entry = await inboundOf(w, 'held-1');
    expect(entry).toMatchObject({ scan: { result: 'not-scanned' }, delivered: [] });
    expect(await subjects(w, erika, INBOX, 'held-1')).toEqual([]);
    await w.until(async () => (await incidentsOf(w)).includes('malware-scanner'));

    clamd = await startClamdPeer(clamd.address.port);
    expect(await passes(w, clock, () => scanOf(w, entry.index))).toMatchObject({
      result: 'clean',
      scanner: expect.stringMatching(/^ClamAV/),
      delivered: [{ owner: 'erika@stadt.example', mailbox: INBOX }],
    });
    const [mail] = await subjects(w, erika, INBOX, 'held-1');
    expect(bodyOf(mail!)).toBe('Guten Tag\r\n');
    expect(headerOf(mail!, 'X-Demail-Gateway-Verdict')).toBe('indeterminate');
    await passes(w, clock, async () => !(await incidentsOf(w)).includes('malware-scanner'));
    expect((await w.store.facts('stadt', entry.index)).map(({ fact }) => fact)).toContain('deposited');
  });

  it('holds the report of delivery as well, and sends it beside the confirmation', async () => {
    const clock = createManualClock(Date.now());
    await using w = await openWorld({ provider: await provider.accounts() }, clock);
    await clamd[Symbol.asyncDispose]();
    const letter = await w.submit({
      rcpt: [{ address: max, notify: ['SUCCESS'] }],
      options: ['receipt'],
      subject: 'held-2',
    });
    const link = await w.startLink({ scanner: scanner(), clock });
    await w.until(async () => (await w.store.openTransactions('stadt')).length === 0);
    await provider.simulator.settled();
    await link.fetchNow('stadt');
    const timeline = () => w.store.timeline('stadt', letter);
    await w.until(async () => (await timeline()).some(({ kind }) => kind === 'confirmation'));
    const told = async () => (await timeline()).filter((e) => e.kind === 'notice').map(({ about }) => about);
    // The fact is known; who wants to hear of it hears with the confirmation.
    expect((await w.store.facts('stadt', letter)).map(({ fact }) => fact)).toContain('received');
    expect(await told()).toEqual([]);

    clamd = await startClamdPeer(clamd.address.port);
    await passes(w, clock, async () => (await timeline()).some(({ kind }) => kind === 'scan'));
    expect(await told()).toEqual(['delivered']);
    const mails = await w.mails(erika, CONFIRMATIONS);
    expect(mails.map((mail) => headerOf(mail, 'X-Demail-Gateway-Kind'))).toEqual(['confirmation of receipt']);
  });

  it('that was met by the listener is an incident too', async () => {
    await using w = await world();
    const clock = createManualClock(Date.now());
    const shared = scanner();
    await w.startLink({ scanner: shared, clock });
    await clamd[Symbol.asyncDispose]();
    const nothing = (async function* () {})();
    await expect(shared.scan(nothing)).rejects.toThrow();
    await passes(w, clock, async () => (await incidentsOf(w)).includes('malware-scanner'));
    clamd = await startClamdPeer(clamd.address.port);
  });
});

describe('a message beyond StreamMaxLength', () => {
  it('is held until the limit is raised', async () => {
    clamd.behaviour.limit = 20;
    const clock = createManualClock(Date.now());
    await using w = await openWorld({ provider: await provider.accounts() }, clock);
    await deposit('large-1', 'Guten Tag\r\n');
    const link = await w.startLink({ scanner: scanner(), clock });
    await link.fetchNow('stadt');
    const { index } = await inboundOf(w, 'large-1');
    await w.until(async () => (await incidentsOf(w)).includes('malware-scanner-limit'));
    expect(await subjects(w, erika, INBOX, 'large-1')).toEqual([]);
    clamd.behaviour.limit = 1e9;
    expect(await passes(w, clock, () => scanOf(w, index))).toMatchObject({ result: 'clean' });
    expect(await subjects(w, erika, INBOX, 'large-1')).toHaveLength(1);
  });

  it('is delivered unscanned where that is configured', async () => {
    clamd.behaviour.limit = 20;
    await using w = await world();
    await deposit('large-2', 'Guten Tag\r\n');
    const link = await w.startLink({ scanner: scanner('pass') });
    await link.fetchNow('stadt');
    expect(await inboundOf(w, 'large-2')).toMatchObject({
      scan: { result: 'not-scanned' },
      delivered: [{ owner: 'erika@stadt.example' }],
    });
  });
});

it('what waits for a scanner that was taken out of the configuration waits no longer', async () => {
  await using w = await world();
  await clamd[Symbol.asyncDispose]();
  await deposit('gone-1', 'Guten Tag\r\n');
  const link = await w.startLink({ scanner: scanner() });
  await link.fetchNow('stadt');
  const { index } = await inboundOf(w, 'gone-1');
  await link.close();
  const clock = createManualClock(Date.now() + 1000);
  await w.startLink({ clock });
  expect(await passes(w, clock, () => scanOf(w, index))).toMatchObject({
    result: 'not-scanned',
    delivered: [{ owner: 'erika@stadt.example' }],
  });
  clamd = await startClamdPeer();
});

it("a sender's .p7s in a fetched De-Mail is recorded with its verdict", async () => {
  await using w = await world();
  const cms = readFileSync(new URL('../fixtures/cms/pss.p7s', import.meta.url));
  const content = readFileSync(new URL('../fixtures/cms/content.txt', import.meta.url));
  const part = (name: string, bytes: Buffer) =>
    `--b\r\nContent-Type: application/octet-stream; name="${name}"\r\nContent-Disposition: attachment; filename="${name}"\r\nContent-Transfer-Encoding: base64\r\n\r\n${bytes.toString('base64').replace(/.{76}/g, '$&\r\n')}\r\n`;
  await deposit('signed-1', `${part('rechnung.txt', content)}${part('rechnung.txt.p7s', cms)}--b--\r\n`, {
    'Content-Type': 'multipart/mixed; boundary=b',
  });
  const link = await w.startLink();
  await link.fetchNow('stadt');
  const entry = await inboundOf(w, 'signed-1');
  expect(entry.signatures).toMatchObject([
    { kind: 'p7s', part: '2', verdict: 'indeterminate', object: { size: cms.length } },
  ]);
  const found = await w.store.search({ sha256: entry.signatures![0]!.sha256 });
  expect(found.map(({ index }) => index)).toContain(entry.index);
});
