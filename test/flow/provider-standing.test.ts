/** How what is known of a confirmation changes after it came: anchors, letters, disputes, notifications, Sent copies. */
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CONFIRMATIONS } from '../../src/directory/mailboxes.ts';
import type { ConfirmationEntry, Entry, SentCopyEntry } from '../../src/evidence/entry.ts';
import type { Clock } from '../../src/observe/clock.ts';
import { silentLog } from '../../src/observe/log.ts';
import { createManualClock } from '../../src/observe/testing/manual-clock.ts';
import { createIncidents } from '../../src/provider/incidents.ts';
import { operatorTeller } from '../../src/provider/notices.ts';
import { createReports } from '../../src/provider/reports.ts';
import { startReverification } from '../../src/provider/reverify.ts';
import { createSettlement } from '../../src/provider/settle.ts';
import { type TestTenants, testDirectory } from '../../src/provider/testing/tenants.ts';
import {
  erika,
  headerOf,
  openSimulator,
  openWorld,
  type SimulatedProvider,
  type World,
} from './provider-world.ts';

const recipient = 'erika@dorf.de-mail.example';
const foreignAnchor = fileURLToPath(new URL('../vectors/trust/root.pem', import.meta.url));
const offline = { revocation: { network: false } };
let provider: SimulatedProvider;
beforeAll(async () => {
  provider = await openSimulator();
});
afterAll(() => provider[Symbol.asyncDispose]());

const log = silentLog();

/** Looks again at what is due two hours from now. */
async function lookAgain(w: World, tenants: TestTenants, tenant: string): Promise<void> {
  const current = testDirectory(tenants);
  const clock: Clock = { now: () => Date.now() + 2 * 3_600_000, after: () => ({ [Symbol.dispose]() {} }) };
  const base = { store: w.store, directory: () => current, tenant, clock, hostname: 'gateway.example', log };
  const incidents = await createIncidents({ ...base, tell: operatorTeller(base) });
  const reports = createReports(base);
  const settlement = createSettlement({ ...base, reports });
  const service = startReverification({ ...base, dataDir: w.directory, incidents, reports, settlement });
  await service.look();
  await service.close();
  await incidents.settled();
  incidents.stop();
}

async function confirmations(w: World, letter: number): Promise<(Entry & ConfirmationEntry)[]> {
  const timeline = await w.store.timeline('stadt', letter);
  return timeline.filter((e): e is Entry & ConfirmationEntry => e.kind === 'confirmation');
}

async function standing(w: World, tenant: string, letter: number): Promise<string[]> {
  return [...new Set((await w.store.standing(tenant, letter)).map(({ fact }) => fact))];
}

const incidents = async (w: World, tenant: string) =>
  (await w.store.incidents(tenant)).map(({ incident }) => incident);

describe('anchors', () => {
  it('that are missing are told at once, and no more once they are there', async () => {
    await using w = await openWorld();
    const link = await w.startLink();
    await w.until(async () => (await incidents(w, 'stadt')).includes('no-anchors'));
    w.useTenants({ provider: { stadt: { trustAnchors: [foreignAnchor] }, dorf: {} } });
    await link.refresh();
    await w.until(async () => !(await incidents(w, 'stadt')).includes('no-anchors'));
    expect(await incidents(w, 'dorf')).toContain('no-anchors');
  });

  it('configured later let a confirmation count that did not', async () => {
    const wrong = { provider: await provider.accounts({ ...offline, signatureAnchors: [foreignAnchor] }) };
    await using w = await openWorld(wrong);
    const letter = await w.submit({ rcpt: [recipient], to: recipient, options: ['dispatch', 'receipt'] });
    const link = await w.startLink();
    const came = await w.until(async () => {
      const list = await confirmations(w, letter);
      return list.length === 2 && list;
    });
    expect(came.map(({ counts }) => counts)).toEqual(['no', 'no']);
    await link.close();
    await lookAgain(w, wrong, 'stadt');
    expect(await standing(w, 'stadt', letter)).not.toContain('received');

    await w.store.planReverification('stadt', came[0]!.index, 0);
    await w.store.planReverification('stadt', came[1]!.index, 0);
    await lookAgain(w, { provider: await provider.accounts(offline) }, 'stadt');
    expect(await standing(w, 'stadt', letter)).toEqual(expect.arrayContaining(['dispatched', 'received']));
    const later = await w.store.verdictsAbout('stadt', came[0]!.index);
    expect(later.at(-1)).toMatchObject({
      letter,
      recipients: [recipient],
      confirms: { counts: 'provisional' },
    });
    const box = (await w.store.mailbox('stadt', erika, CONFIRMATIONS))!;
    const flags = (await w.store.messages('stadt', box.id)).flatMap((row) => row.flags);
    expect(flags).not.toContain('$DeMailNotCounted');
    // Said once: the next look finds the same.
    const { size } = await w.store.head('stadt');
    await w.store.planReverification('stadt', came[0]!.index, 0);
    await lookAgain(w, { provider: await provider.accounts(offline) }, 'stadt');
    expect((await w.entries()).slice(size)).toEqual([]);
  });
});

it('a receipt that is fetched before the De-Mail it is about counts once that has come', async () => {
  await using sender = await openWorld({ provider: await provider.accounts(offline) });
  const subject = 'vor der Nachricht';
  const letter = await sender.submit({ rcpt: [recipient], to: recipient, subject, options: ['receipt'] });
  const { privateId } = (await sender.store.submissionOf('stadt', letter))!.transactions[0]!;
  const first = await sender.startLink();
  await sender.until(async () =>
    (await sender.entries('dorf')).some(
      (e) => e.kind === 'confirmation' && e.header.subject?.includes(subject),
    ),
  );
  await first.close();
  const { simulator } = provider;
  const here = simulator.messages('dorf', 'INBOX').map(({ uid }) => simulator.read('dorf', 'INBOX', uid));
  const about = (await Promise.all(here)).filter(
    (mail) => headerOf(mail, 'X-de-mail-private-id') === privateId,
  );
  const [mail, receipt] = about;
  expect(about).toHaveLength(2);

  await using other = await openSimulator();
  const tenants = { provider: await other.accounts({ ...offline, signatureAnchors: [simulator.caFile] }) };
  await using w = await openWorld(tenants);
  const link = await w.startLink();
  await other.simulator.deposit('dorf', receipt!);
  await link.fetchNow('dorf');
  await other.simulator.deposit('dorf', mail!);
  await link.fetchNow('dorf');
  const entries = await w.entries('dorf');
  expect(entries.find((e) => e.kind === 'confirmation')).toMatchObject({ letter: null, transaction: null });
  const came = entries.find((e) => e.kind === 'inbound')!.index;
  expect(await standing(w, 'dorf', came)).toEqual(['deposited']);
  await lookAgain(w, tenants, 'dorf');
  expect(await standing(w, 'dorf', came)).toEqual(['deposited', 'received']);
  expect(await incidents(w, 'dorf')).not.toContain('unmatched-confirmation');
});

it('a notification proposes a fact and sets none, whatever it says', async () => {
  await using w = await openWorld({ provider: await provider.accounts(offline) });
  provider.simulator.faults.withhold = ['dispatch', 'receipt', 'retrieval'];
  const letter = await w.submit({ rcpt: [recipient], to: recipient, options: ['dispatch', 'receipt'] });
  const link = await w.startLink();
  await w.until(async () => (await standing(w, 'stadt', letter)).includes('handed-over'));
  await provider.simulator.settled();
  provider.simulator.faults.withhold = [];
  const { privateId } = (await w.store.submissionOf('stadt', letter))!.transactions[0]!;
  const header = {
    From: 'Meldung@provider.de-mail.example',
    Subject: `*Eingangsbestätigung* Bescheid: an ${recipient} zugestellt und abgeholt`,
    'Message-ID': '<meldung@provider.de-mail.example>',
    'X-de-mail-private-id': privateId,
    'X-de-mail-chosen-recipient': `to=erika@stadt.de-mail.example;cc=${recipient}`,
  };
  for (const type of ['notification', 'malware-acknowledge', 'malware-notification']) {
    const lines = Object.entries({ ...header, 'X-de-mail-message-type': type });
    const text = `Die Nachricht an ${recipient} konnte nicht zugestellt werden, wurde zugestellt, wurde abgeholt.`;
    const bytes = `${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${text}\r\n`;
    await provider.simulator.deposit('stadt', Buffer.from(bytes), 'erika@stadt.de-mail.example');
  }
  await link.fetchNow('stadt');
  const timeline = await w.store.timeline('stadt', letter);
  expect(timeline.filter((e) => e.kind === 'notification')).toHaveLength(3);
  expect(await standing(w, 'stadt', letter)).toEqual(['queued', 'attempting', 'handed-over', 'notified']);
  // What is awaited is awaited still.
  const later = Date.now() + 1;
  expect(await w.store.awaited('stadt', 'receipt', later, 10)).toMatchObject([{ letter, recipient }]);
  expect(await w.store.awaited('stadt', 'dispatch', later, 10)).toHaveLength(1);
});

it('the Sent copy is compared field by field, and a changed one settles nothing', async () => {
  await using w = await openWorld({ provider: await provider.accounts({ ...offline, sentFolder: 'Sent' }) });
  const letter = await w.submit({ rcpt: [recipient], to: recipient, subject: 'Verglichen', options: [] });
  const link = await w.startLink();
  await w.until(async () => (await standing(w, 'stadt', letter)).includes('handed-over'));
  await link.fetchNow('stadt');
  const [copy] = await sentCopies(w, letter);
  const listed = new Map(copy!.comparisons!.map(({ name, ...rest }) => [name, rest]));
  expect(listed.get('sent-copy body')).toMatchObject({ result: 'passed' });
  for (const name of ['x-de-mail-integrity', 'x-de-mail-message-id', 'x-de-mail-auth-level'])
    expect(listed.get(`sent-copy ${name}`)).toMatchObject({
      result: 'passed',
      reason: expect.stringContaining('added by the provider'),
    });
  expect([...listed.values()].filter(({ result }) => result === 'failed')).toEqual([]);
  const differing = [...listed.keys()].filter((name) => name !== 'sent-copy body');
  // Whatever does not differ is not listed.
  expect(differing).not.toContain('sent-copy subject');

  const { simulator } = provider;
  const uid = simulator.messages('stadt', 'Sent').at(-1)!.uid;
  const honest = (await simulator.read('stadt', 'Sent', uid)).toString('latin1');
  const changed = honest
    .replace(/^Subject: .*$/m, 'Subject: Etwas anderes')
    .replace(/^X-de-mail-chosen-recipient: .*$/m, 'X-de-mail-chosen-recipient: to=eve@x.de-mail.example')
    .replace('Guten Tag', 'Guten Abend');
  await using other = await openSimulator();
  await other.simulator.deposit('stadt', Buffer.from(changed, 'latin1'));
  const tenants = { provider: await other.accounts({ ...offline, inbox: 'Sent', sentFolder: 'INBOX' }) };
  w.useTenants(tenants);
  await link.close();
  const again = await w.startLink();
  await again.fetchNow('stadt');
  const bad = (await sentCopies(w, letter)).at(-1)!;
  const failed = bad.comparisons!.filter(({ result }) => result === 'failed').map(({ name }) => name);
  expect(failed).toEqual(['sent-copy body', 'sent-copy x-de-mail-chosen-recipient', 'sent-copy subject']);
  await w.until(async () =>
    (await w.entries()).some(
      (e) => e.kind === 'incident' && e.incident === `sent-copy-differs ${bad.index}` && e.state === 'opened',
    ),
  );
});

it('a Sent copy that does not come is told once, and until it is there', async () => {
  const { simulator } = provider;
  const clock = createManualClock(Date.now());
  const elsewhere = { ...offline, sentFolder: 'Archiv' };
  expect(simulator.messages('stadt', 'Archiv')).toEqual([]);
  await using w = await openWorld({ provider: await provider.accounts(elsewhere) }, clock);
  const letter = await w.submit({ rcpt: [recipient], to: recipient, options: [] });
  const link = await w.startLink();
  await w.until(async () => (await standing(w, 'stadt', letter)).includes('handed-over'));
  await link.fetchNow('stadt');
  expect(await incidents(w, 'stadt')).not.toContain('sent-copy-missing');
  await clock.advance(3_700_000);
  await link.fetchNow('stadt');
  await w.until(async () => (await incidents(w, 'stadt')).includes('sent-copy-missing'));
  const [told] = (await w.store.incidents('stadt')).filter((i) => i.incident === 'sent-copy-missing');
  expect(told!.text).toContain(`stadt/${letter}`);
  await link.close();
  w.useTenants({ provider: await provider.accounts({ ...offline, sentFolder: 'Sent' }) });
  const again = await w.startLink();
  await again.fetchNow('stadt');
  await w.until(async () => !(await incidents(w, 'stadt')).includes('sent-copy-missing'));
  expect(await sentCopies(w, letter)).toHaveLength(1);
});

async function sentCopies(w: World, letter: number): Promise<(Entry & SentCopyEntry)[]> {
  const timeline = await w.store.timeline('stadt', letter);
  return timeline.filter((e): e is Entry & SentCopyEntry => e.kind === 'sent-copy');
}
