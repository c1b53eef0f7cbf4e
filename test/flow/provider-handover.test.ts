import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CONFIRMATIONS, INBOX } from '../../src/directory/mailboxes.ts';
import type { Entry } from '../../src/evidence/entry.ts';
import { createManualClock } from '../../src/observe/testing/manual-clock.ts';
import { type Authority, createAuthority } from '../../src/pki/authority.ts';
import { type SubmissionPeer, startSubmissionPeer } from '../../src/provider/testing/submission-peer.ts';
import type { Store } from '../../src/store/store.ts';
import {
  bodyOf,
  erika,
  erna,
  headerOf,
  jan,
  max,
  openSimulator,
  openWorld,
  sha256,
  type World,
} from './provider-world.ts';

let authority: Authority;
let folder: string;

beforeAll(async () => {
  authority = await createAuthority({ name: 'Test CA' });
  folder = await mkdtemp(join(tmpdir(), 'handover-'));
  await writeFile(join(folder, 'ca.pem'), authority.certificate);
});
afterAll(() => rm(folder, { recursive: true }));

/** Tenants whose provider takes mail at the peers given; nothing listens for IMAP. */
function accounts(peers: { stadt: SubmissionPeer; dorf?: SubmissionPeer }, more: object = {}) {
  const account = (name: string, peer: SubmissionPeer | undefined) => ({
    account: name,
    smtp: { host: 'localhost', port: peer?.port ?? 1 },
    trustAnchors: [join(folder, 'ca.pem')],
    ...more,
  });
  return { stadt: account('stadt', peers.stadt), dorf: account('dorf', peers.dorf ?? peers.stadt) };
}

const kindOf = <K extends Entry['kind']>(entries: readonly Entry[], kind: K) =>
  entries.filter((e): e is Extract<Entry, { kind: K }> => e.kind === kind);

async function factsOf(world: World, letter: number, recipient: string) {
  const facts = await world.store.facts('stadt', letter);
  return facts.filter((f) => f.recipient === recipient).map((f) => f.fact);
}

/** Without the white space of its folding. */
const chosen = (bytes: Buffer) => headerOf(bytes, 'X-de-mail-chosen-recipient')?.replace(/\s/g, '');

const done = (world: World) => async () => (await world.store.openTransactions('stadt')).length === 0;
const inDoubt = (world: World) => async () =>
  (await world.store.openTransactions('stadt')).find((t) => t.state === 'in-doubt');

describe('what is handed over', () => {
  it('is exactly what the intent names: header as staged, body as submitted', async () => {
    await using peer = await startSubmissionPeer({ authority });
    await using world = await openWorld({ provider: accounts({ stadt: peer }) });
    const body = `.\r\n..x\r\n.leading\r\n\r\n${'ä'.repeat(400)}\r\n${'z'.repeat(998)}\r\n.\r\n`;
    const letters = [
      await world.submit({ body }),
      await world.submit({ body: `${'0123456789abcdef'.repeat(60)}\r\n`.repeat(1000) }),
      await world.submit({ body: '' }),
    ];
    await world.startLink();
    await peer.reached(3);
    await world.until(done(world));
    const entries = await world.entries();
    const intents = kindOf(entries, 'handover-intent');
    for (const letter of letters) {
      const intent = intents.find((i) => i.letter === letter)!;
      const got = peer.received.find((r) => r.sha256 === intent.handed.sha256)!;
      expect(got.bytes.length).toBe(intent.handed.size);
      const header = await read(world, intent.handed.header.object);
      const submitted = await read(world, (await world.store.submissionOf('stadt', letter))!.message.object);
      expect(got.bytes.equals(Buffer.concat([header, submitted.subarray(intent.handed.bodyFrom)]))).toBe(
        true,
      );
      expect(sha256(header)).toBe(intent.handed.header.sha256);
      const outcome = kindOf(entries, 'handover-outcome').find((o) => o.letter === letter)!;
      expect(outcome.peer.certificate).toMatch(/^[0-9a-f]{64}$/);
      expect(outcome.recipients).toEqual([
        { address: max, result: 'accepted', reply: expect.stringMatching(/^250/) },
      ]);
    }
    expect(headerOf(peer.received[0]!.bytes, 'From')).toContain('erika@stadt.de-mail.example');
    expect(peer.received[0]!.from).toBe('erika@stadt.de-mail.example');
  });

  it('keeps a blind copy to itself', async () => {
    await using peer = await startSubmissionPeer({ authority });
    await using world = await openWorld({ provider: accounts({ stadt: peer }) });
    const letter = await world.submit({ rcpt: [max, erna, 'blind@buerger.de-mail.example'], cc: erna });
    await world.startLink();
    await peer.reached(2);
    await world.until(done(world));
    const [shared] = peer.received.filter((r) => r.recipients.length === 2);
    const [blind] = peer.received.filter((r) => r.recipients.length === 1);
    expect(new Set(shared!.recipients)).toEqual(new Set([max, erna]));
    expect(chosen(shared!.bytes)).toBe(`to=${max};cc=${erna}`);
    expect(shared!.bytes.toString('latin1').toLowerCase()).not.toContain('blind@');
    expect(blind!.recipients).toEqual(['blind@buerger.de-mail.example']);
    expect(chosen(blind!.bytes)).toBe('bcc=blind@buerger.de-mail.example');
    expect(headerOf(shared!.bytes, 'X-de-mail-private-id')).not.toBe(
      headerOf(blind!.bytes, 'X-de-mail-private-id'),
    );
    expect(await factsOf(world, letter, 'blind@buerger.de-mail.example')).toContain('handed-over');
  });

  it('never has a recipient outside De-Mail, whatever the queue says', async () => {
    await using peer = await startSubmissionPeer({ authority });
    await using world = await openWorld({ provider: accounts({ stadt: peer }) });
    const letter = await world.submit({ rcpt: [max, 'max@gmail.example'], to: `${max}, max@gmail.example` });
    const lost = await world.submit({ rcpt: ['only@gmail.example'], to: 'only@gmail.example' });
    await world.startLink();
    await world.until(done(world));
    expect(peer.received.map((r) => r.recipients)).toEqual([[max]]);
    expect(chosen(peer.received[0]!.bytes)).toBe(`to=${max}`);
    expect(await factsOf(world, letter, 'max@gmail.example')).toEqual(['queued', 'abandoned']);
    expect(await factsOf(world, lost, 'only@gmail.example')).toEqual(['queued', 'abandoned']);
    expect(kindOf(await world.entries(), 'handover-intent').flatMap((i) => i.recipients)).toEqual([max]);
    await world.until(async () => (await world.mails(erika, INBOX)).length === 2);
  });

  it('never goes out under the account of a tenant that the sender does not belong to', async () => {
    await using peer = await startSubmissionPeer({ authority });
    await using world = await openWorld({ provider: accounts({ stadt: peer }) });
    const letter = await world.submit({ tenant: 'stadt', user: 'erika@dorf.example' });
    await world.startLink();
    await world.until(done(world));
    expect(peer.received).toEqual([]);
    expect(await factsOf(world, letter, max)).toEqual(['queued', 'abandoned']);
  });
});

async function read(world: World, object: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of (await world.store.object('stadt', object))!.read()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

describe('refusals and delays', () => {
  const three = [max, erna, 'karl@buerger.de-mail.example'];

  it('a refused recipient does not go along: the others get a copy that does not name them', async () => {
    await using peer = await startSubmissionPeer({ authority });
    peer.behaviour.rcpt = (address) => (address === erna ? '550 5.1.1 unknown at this provider' : null);
    await using world = await openWorld({ provider: accounts({ stadt: peer }) });
    const letter = await world.submit({ rcpt: three, to: three.join(', ') });
    await world.startLink();
    await world.until(done(world));
    expect(peer.received).toHaveLength(1);
    expect(new Set(peer.received[0]!.recipients)).toEqual(new Set([max, three[2]]));
    expect(new Set(chosen(peer.received[0]!.bytes)?.slice(3).split(';'))).toEqual(new Set([max, three[2]]));
    expect(await factsOf(world, letter, erna)).toContain('refused');
    expect(await factsOf(world, letter, erna)).not.toContain('handed-over');
    expect(await factsOf(world, letter, max)).toContain('handed-over');
    const [report] = await world.until(async () => {
      const mails = await world.mails(erika, INBOX);
      return mails.length > 0 && mails;
    });
    expect(report!.toString('utf8')).toContain(erna);
    expect(report!.toString('utf8')).toContain('5.1.1');
    expect(report!.toString('utf8')).not.toContain('handed over to');
  });

  it('a recipient that is deferred follows later, alone', async () => {
    const clock = createManualClock();
    await using peer = await startSubmissionPeer({ authority });
    peer.behaviour.rcpt = (address) => (address === erna ? '450 4.2.1 mailbox busy' : null);
    await using world = await openWorld({ provider: accounts({ stadt: peer }) }, clock);
    await world.submit({ rcpt: three, to: three.join(', ') });
    await world.startLink();
    await peer.reached(1);
    const [waiting] = await world.until(async () => {
      const open = await world.store.openTransactions('stadt');
      return open[0]?.state === 'queued' && open[0].recipients.length === 1 && open;
    });
    expect(waiting!.recipients).toEqual([erna]);
    peer.behaviour.rcpt = () => null;
    await clock.advance(2 * 60_000);
    await peer.reached(2);
    await world.until(done(world));
    expect(peer.received.map((r) => new Set(r.recipients))).toEqual([
      new Set([max, three[2]]),
      new Set([erna]),
    ]);
    expect(await world.mails(erika, INBOX)).toEqual([]);
  });

  it('a temporary refusal of the message is tried again, later each time', async () => {
    const clock = createManualClock();
    await using peer = await startSubmissionPeer({ authority });
    let refusals = 3;
    peer.behaviour.data = () => (refusals-- > 0 ? '451 4.3.0 try later' : null);
    await using world = await openWorld({ provider: accounts({ stadt: peer }) }, clock);
    const letter = await world.submit();
    await world.startLink();
    for (const wait of [60_000, 120_000, 240_000]) {
      const item = await world.until(async () => {
        const [open] = await world.store.openTransactions('stadt');
        return open?.state === 'queued' && open.nextAttempt > clock.now() && open;
      });
      expect(item.nextAttempt - clock.now()).toBe(wait);
      expect(item.lastReply).toContain('451');
      await clock.advance(wait);
    }
    await peer.reached(1);
    await world.until(done(world));
    expect((await factsOf(world, letter, max)).filter((f) => f === 'deferred')).toHaveLength(3);
  });

  it('a final refusal is reported at once, unless the sender wants no report', async () => {
    await using peer = await startSubmissionPeer({ authority });
    peer.behaviour.data = () => '554 5.7.1 refused by the provider';
    await using world = await openWorld({ provider: accounts({ stadt: peer }) });
    await world.submit({ subject: 'still', rcpt: [{ address: max, notify: ['NEVER'] }] });
    await world.submit({ subject: 'laut', envid: 'akte-7', ret: 'FULL', body: 'der ganze Text\r\n' });
    await world.startLink();
    await world.until(done(world));
    const mails = await world.until(async () => {
      const found = await world.mails(erika, INBOX);
      return found.length > 0 && found;
    });
    expect(mails).toHaveLength(1);
    const report = mails[0]!.toString('utf8');
    expect(report).toContain('laut');
    expect(report).toContain('554 5.7.1 refused by the provider');
    expect(report).toContain('Original-Envelope-Id: akte-7');
    expect(report).toContain('Status: 5.7.1');
    expect(report).toContain('der ganze Text');
  });

  it('tells of the hand-over where NOTIFY=SUCCESS asked for it, and nothing will be confirmed', async () => {
    await using peer = await startSubmissionPeer({ authority });
    await using world = await openWorld({ provider: accounts({ stadt: peer }) });
    const rcpt = [{ address: max, notify: ['SUCCESS', 'FAILURE'] }];
    await world.submit({ rcpt, options: ['receipt'] });
    await world.submit({ rcpt, options: ['dispatch'] });
    await world.submit({ options: [] });
    await world.submit({ rcpt, options: [] });
    await world.startLink();
    await world.until(async () => (await world.mails(erika, INBOX)).length > 0);
    await world.until(done(world));
    const notices = kindOf(await world.entries(), 'notice');
    expect(notices.map((n) => n.about)).toEqual(['relayed']);
  });

  it('waits up to the limit with a dead account, tells after 1, 4 and 24 hours, then gives up', async () => {
    const clock = createManualClock();
    await using peer = await startSubmissionPeer({ authority });
    await using world = await openWorld({ provider: accounts({ stadt: peer }) }, clock);
    world.useTenants({ provider: { stadt: { smtp: { host: '127.0.0.1', port: 1, security: 'none' } } } });
    const letter = await world.submit();
    await world.startLink();
    const told = async () => kindOf(await world.store.timeline('stadt', letter), 'notice');
    const hour = 3_600_000;
    const stages: [number, string[]][] = [
      [0.9, []],
      [1.1, ['delayed']],
      [3.9, ['delayed']],
      [4.1, ['delayed', 'delayed']],
      [24.1, ['delayed', 'delayed', 'delayed']],
      [95.9, ['delayed', 'delayed', 'delayed']],
      [96.1, ['delayed', 'delayed', 'delayed', 'failed']],
    ];
    const start = clock.now();
    for (const [hours, expected] of stages) {
      await clock.jump(start + hours * hour - clock.now());
      await clock.advance(2 * 60_000);
      // What looks for deadlines takes real time to do so, and looks again a minute later.
      while ((await told()).length < expected.length) await clock.advance(30_000);
      expect((await told()).map((n) => n.about)).toEqual(expected);
    }
    expect(await factsOf(world, letter, max)).toEqual(['queued', 'expired']);
    expect(await world.mails(erika, INBOX)).toHaveLength(4);
  });
});

describe('in doubt', () => {
  it('is what was cut after the final dot: held, told, and settled by the dispatch confirmation', async () => {
    await using provider = await openSimulator();
    provider.simulator.faults.cutAfterData = 1;
    provider.simulator.faults.refuseLogins = false;
    await using world = await openWorld({ provider: await provider.accounts() });
    const letter = await world.submit({ options: ['dispatch'] });
    await world.startLink();
    await world.until(async () => (await factsOf(world, letter, max)).includes('handed-over'));
    expect(await factsOf(world, letter, max)).toContain('in-doubt');
    const settled = kindOf(await world.entries(), 'handover-settled');
    expect(settled).toMatchObject([
      { decision: 'handed-over', by: 'dispatch-confirmation', recipients: [max] },
    ]);
    await world.until(async () => (await world.mails(erika, INBOX)).length === 2);
    await world.until(async () => (await world.mails(jan, INBOX)).length === 2);
    expect(await world.mails(erika, CONFIRMATIONS)).toHaveLength(1);
    // The confirmation settled it; nothing was sent twice.
    expect(provider.simulator.messages('max.mustermann', 'INBOX')).toHaveLength(1);
  });

  it('is settled by the provider’s Sent copy where no dispatch confirmation was asked for', async () => {
    await using provider = await openSimulator();
    provider.simulator.faults.cutAfterData = 1;
    await using world = await openWorld({ provider: await provider.accounts({ sentFolder: 'Sent' }) });
    const letter = await world.submit({ options: [] });
    const link = await world.startLink();
    await world.until(inDoubt(world)).catch(() => {});
    await link.fetchNow('stadt');
    await world.until(async () => (await factsOf(world, letter, max)).includes('handed-over'));
    expect(kindOf(await world.entries(), 'handover-settled')[0]).toMatchObject({ by: 'sent-copy' });
    expect(kindOf(await world.entries(), 'sent-copy')).toMatchObject([{ letter, transaction: 0 }]);
  });

  it('an attempt without outcome, after a crash, is never sent again by itself', async () => {
    await using peer = await startSubmissionPeer({ authority });
    await using world = await openWorld({ provider: accounts({ stadt: peer }) });
    const letter = await world.submit();
    const writer = world.store.stage('stadt');
    await writer.write(Buffer.from('X-de-mail-sender: x\r\n\r\n'));
    await world.store.recordHandoverIntent('stadt', {
      letter,
      transaction: 0,
      attempt: 1,
      endpoint: 'localhost:465',
      recipients: [max],
      handed: { sha256: '0'.repeat(64), size: 1, header: await writer.finish(), bodyFrom: 0 },
      edits: [],
    });
    const link = await world.startLink();
    expect(await world.until(inDoubt(world))).toMatchObject({ letter });
    await world.until(async () => (await world.mails(erika, INBOX)).length === 1);
    await link.retryNow('stadt');
    expect(peer.received).toEqual([]);
    expect(await link.status()).toMatchObject([
      { tenant: 'stadt', inDoubt: 1, queued: 0 },
      { tenant: 'dorf' },
    ]);

    const actor = { type: 'operator', name: 'root' } as const;
    await link.settle({
      tenant: 'stadt',
      letter,
      transaction: 0,
      decision: 'resend',
      actor,
      reason: 'provider says it has nothing',
    });
    await peer.reached(1);
    await world.until(done(world));
    expect(kindOf(await world.entries(), 'handover-settled')[0]).toMatchObject({ by: 'operator', actor });
    await expect(
      link.settle({ tenant: 'stadt', letter, transaction: 0, decision: 'abandoned', actor, reason: 'x' }),
    ).rejects.toThrow(/not in doubt/);
  });

  it('holds only what was on its way; what waited for another attempt goes on once it is settled', async () => {
    const clock = createManualClock();
    await using peer = await startSubmissionPeer({ authority });
    peer.behaviour.rcpt = (address) => (address === erna ? '450 4.2.1 mailbox busy' : null);
    peer.behaviour.data = () => 'cut';
    await using world = await openWorld({ provider: accounts({ stadt: peer }) }, clock);
    const letter = await world.submit({ rcpt: [max, erna], to: `${max}, ${erna}` });
    const link = await world.startLink();
    await world.until(inDoubt(world));
    peer.behaviour.rcpt = () => null;
    peer.behaviour.data = () => null;
    await link.settle({
      tenant: 'stadt',
      letter,
      transaction: 0,
      decision: 'handed-over',
      actor: { type: 'operator', name: 'root' },
      reason: 'the provider has it',
    });
    await world.until(done(world));
    expect(peer.received.map((r) => r.recipients)).toEqual([[max], [erna]]);
    expect(kindOf(await world.entries(), 'handover-settled')[0]!.recipients).toEqual([max]);
  });

  it('a report that a crash cut off is written at the next start, and only then', async () => {
    await using peer = await startSubmissionPeer({ authority });
    peer.behaviour.data = () => '554 5.7.1 no';
    await using world = await openWorld({ provider: accounts({ stadt: peer }) });
    await world.submit();
    const failing: Store = new Proxy(world.store, {
      get: (target, name) =>
        name === 'deliverNotice'
          ? () => Promise.reject(new Error('killed'))
          : (Reflect.get(target, name) as unknown),
    });
    const first = await world.startLink({ store: failing });
    await world.until(done(world));
    await first.close();
    expect(await world.mails(erika, INBOX)).toEqual([]);
    for (let start = 0; start < 2; start += 1) {
      const link = await world.startLink();
      await link.close();
      expect(await world.mails(erika, INBOX)).toHaveLength(1);
    }
  });

  it.each([
    [['dispatch'] as const, true],
    [['dispatch', 'retrieval', 'private'] as const, false],
  ])(
    'with onUncertain: resend and options %j, is it sent again after a while? %s',
    async (options, again) => {
      const clock = createManualClock();
      await using peer = await startSubmissionPeer({ authority });
      let cuts = 1;
      peer.behaviour.data = () => (cuts-- > 0 ? 'cut' : null);
      await using world = await openWorld(
        { provider: accounts({ stadt: peer }, { onUncertain: 'resend' }) },
        clock,
      );
      await world.submit({ options });
      await world.startLink();
      await world.until(inDoubt(world));
      await clock.advance(14 * 60_000);
      expect(peer.received).toHaveLength(1);
      await clock.advance(3 * 60_000);
      if (again) {
        await peer.reached(2);
        await world.until(done(world));
      } else {
        await clock.jump(24 * 3_600_000);
        await clock.advance(2 * 60_000);
        expect(peer.received).toHaveLength(1);
        expect(await inDoubt(world)()).toBeDefined();
      }
    },
  );
});

describe('accounts', () => {
  it('a dead account does not delay another tenant, and its mail waits without using up attempts', async () => {
    await using peer = await startSubmissionPeer({ authority });
    await using world = await openWorld({ provider: accounts({ stadt: peer }) });
    world.useTenants({
      provider: {
        ...accounts({ stadt: peer }),
        dorf: { smtp: { host: '127.0.0.1', port: 1, security: 'none' } },
      },
    });
    for (let i = 0; i < 20; i += 1) await world.submit({ tenant: 'dorf' });
    await world.submit({ tenant: 'stadt' });
    const link = await world.startLink();
    await peer.reached(1);
    await world.until(done(world));
    await world.until(async () => (await link.status()).find((s) => s.tenant === 'dorf')?.smtp.lastError);
    const waiting = await world.store.openTransactions('dorf');
    expect(waiting).toHaveLength(20);
    expect(waiting.every((item) => item.attempts === 0 && item.state === 'queued')).toBe(true);
  });

  it('operators hear of an account that fails within five minutes, once, and not of the end', async () => {
    const clock = createManualClock();
    await using peer = await startSubmissionPeer({ authority });
    peer.behaviour.login = () => false;
    const secret = join(folder, 'password');
    await writeFile(secret, 'falsch\n');
    const provider = accounts({ stadt: peer }, { user: 'stadt', password: { file: secret } });
    await using world = await openWorld({ provider }, clock);
    await world.submit();
    await world.startLink();
    await world.until(async () => peer.connections() > 0);
    const incidents = async () =>
      kindOf(await world.entries(), 'incident').filter((i) => i.incident === 'account-smtp');
    for (let minute = 0; minute < 5; minute += 1) await clock.advance(60_000);
    await world.until(async () => (await incidents()).length === 1);
    const told = async () => (await world.mails(jan, INBOX)).filter((m) => bodyOf(m).includes('535'));
    await world.until(async () => (await told()).length === 1);
    peer.behaviour.login = () => true;
    await clock.advance(20 * 60_000);
    await peer.reached(1);
    await world.until(async () => (await incidents()).length === 2);
    expect((await incidents()).map((i) => i.state)).toEqual(['opened', 'closed']);
    expect(await world.store.incidents('stadt')).not.toContainEqual(
      expect.objectContaining({ incident: 'account-smtp' }),
    );
    expect(await told()).toHaveLength(1);
  });

  it('connections are kept and are no more than configured', async () => {
    await using peer = await startSubmissionPeer({ authority });
    await using world = await openWorld({ provider: accounts({ stadt: peer }, { connections: 3 }) });
    for (let i = 0; i < 30; i += 1) await world.submit();
    await world.startLink();
    await peer.reached(30);
    await world.until(done(world));
    expect(peer.connections()).toBeLessThanOrEqual(3);
    expect(new Set(peer.received.map((r) => r.sha256)).size).toBe(30);
  });

  it('closing lets a running hand-over finish', async () => {
    await using peer = await startSubmissionPeer({ authority });
    await using world = await openWorld({ provider: accounts({ stadt: peer }) });
    const letter = await world.submit();
    const link = await world.startLink();
    await world.until(async () => (await factsOf(world, letter, max)).includes('attempting'));
    await link.close(5_000);
    expect(await factsOf(world, letter, max)).toContain('handed-over');
  });
});
