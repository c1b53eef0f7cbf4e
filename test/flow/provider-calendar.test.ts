import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Actor, Entry } from '../../src/evidence/entry.ts';
import { createManualClock, type ManualClock } from '../../src/observe/testing/manual-clock.ts';
import { stageBytes } from '../../src/provider/staging.ts';
import { max, openSimulator, openWorld, type SimulatedProvider, type World } from './provider-world.ts';

let provider: SimulatedProvider;
let imap: Counted;
let smtp: Counted;
beforeAll(async () => {
  provider = await openSimulator();
  imap = await countingProxy(provider.simulator.ports.imap);
  smtp = await countingProxy(provider.simulator.ports.smtp);
});
afterAll(async () => {
  imap.close();
  smtp.close();
  await provider[Symbol.asyncDispose]();
});

interface Counted {
  readonly port: number;
  /** Connections since the start, and open now. */
  readonly made: number;
  readonly open: number;
  close(): void;
}

/** What the provider sees of us: every connection goes through here. */
async function countingProxy(target: number): Promise<Counted> {
  const sockets = new Set<net.Socket>();
  let made = 0;
  const server = net.createServer((inward) => {
    made += 1;
    const outward = net.connect(target, '127.0.0.1');
    sockets.add(inward);
    inward.on('close', () => {
      sockets.delete(inward);
      outward.destroy();
    });
    outward.on('close', () => inward.destroy());
    for (const socket of [inward, outward]) socket.on('error', () => socket.destroy());
    inward.pipe(outward).pipe(inward);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    get made() {
      return made;
    },
    get open() {
      return sockets.size;
    },
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

const office = {
  land: 'MV',
  windows: [{ days: ['mon', 'tue', 'wed', 'thu', 'fri'], from: '08:00', to: '16:00' }],
};
const hour = 3_600_000;
const operator: Actor = { type: 'operator', name: 'olga' };

/** Monday 5 January 2026 in Berlin. */
function monday(time: string): ManualClock {
  return createManualClock(Date.parse(`2026-01-05T${time}:00+01:00`));
}

async function world(clock: ManualClock, more: object = {}): Promise<World> {
  const { stadt } = await provider.accounts({
    authLevel: 'high',
    loginCalendar: office,
    imap: { host: '127.0.0.1', port: imap.port },
    smtp: { host: '127.0.0.1', port: smtp.port },
    ...more,
  });
  return openWorld({ provider: { stadt: stadt! } }, clock);
}

const logins = (entries: readonly Entry[]) =>
  entries.filter((e) => e.kind === 'login-intent' || e.kind === 'login-outcome');
const outcome = async (w: World, protocol: string) =>
  (await w.entries()).find((e) => e.kind === 'login-outcome' && e.protocol === protocol) as
    | Extract<Entry, { kind: 'login-outcome' }>
    | undefined;
const statusOf = async (link: Awaited<ReturnType<World['startLink']>>) =>
  (await link.status()).find(({ tenant }) => tenant === 'stadt')!;

function deposit(subject: string, more = '') {
  const bytes = `From: <${max}>\r\nTo: erika@stadt.de-mail.example\r\nSubject: ${subject}\r\nMessage-ID: <${crypto.randomUUID()}@p.example>\r\nX-de-mail-message-type: normal\r\nX-de-mail-sender: ${max}\r\n${more}\r\nGuten Tag\r\n`;
  return provider.simulator.deposit('stadt', Buffer.from(bytes), 'erika@stadt.de-mail.example');
}

it('logs in nowhere before the window opens, and hands over and fetches once it has', async () => {
  const clock = monday('06:00');
  await using w = await world(clock);
  const [imapBefore, smtpBefore] = [imap.made, smtp.made];
  await deposit('vor der Oeffnung');
  const letter = await w.submit();
  const link = await w.startLink();
  await expect(link.fetchNow('stadt')).rejects.toThrow(
    'waits for login window until 2026-01-05T07:00:00.000Z',
  );
  await clock.advance(2 * hour - 1);
  expect(logins(await w.entries())).toEqual([]);
  expect([imap.made, smtp.made]).toEqual([imapBefore, smtpBefore]);
  const shut = await statusOf(link);
  expect(shut.smtp.waits).toContain('waits for login window');
  expect(shut.smtp.lastError).toBeNull();

  await clock.advance(1);
  const picked = await w.until(() => outcome(w, 'imap').then((o) => o));
  await w.until(async () => (await w.entries()).some((e) => e.kind === 'handover-outcome'));
  expect(picked).toMatchObject({ result: 'logged-in' });
  const entries = await w.entries();
  const inbound = entries.find((e) => e.kind === 'inbound')!;
  expect(picked.detail).toContain(`stadt/${inbound.index}`);
  expect(entries[picked.intent]).toMatchObject({ kind: 'login-intent', protocol: 'imap', level: 'high' });
  expect(picked.intent).toBeLessThan(inbound.index);
  expect(inbound.index).toBeLessThan(picked.index);
  const handed = entries.find((e) => e.kind === 'handover-intent')!;
  expect(handed).toMatchObject({ letter, attempt: 1 });
  expect((await outcome(w, 'smtp'))!.index).toBeLessThan(handed.index);
});

it('ends IDLE with the window, does not reconnect, and begins anew the next day', async () => {
  const clock = monday('15:00');
  await using w = await world(clock);
  const link = await w.startLink();
  await w.until(() => outcome(w, 'imap'));
  expect(imap.open).toBe(1);
  const made = imap.made;
  await clock.advance(hour);
  await w.until(async () => imap.open === 0);
  await deposit('nach Schluss');
  await clock.advance(15 * hour);
  expect(imap.made).toBe(made);
  await clock.advance(hour);
  await w.until(async () =>
    (await w.entries()).some((e) => e.kind === 'inbound' && e.header.subject === 'nach Schluss'),
  );
  expect(imap.made).toBe(made + 1);
  expect((await statusOf(link)).imap.waits).toBeNull();
});

it('tells once that De-Mails come without integrity data, until one has it again', async () => {
  await using w = await world(monday('09:00'));
  await w.startLink();
  await deposit('ohne');
  await deposit('auch ohne');
  const told = async () =>
    (await w.entries())
      .filter((e) => e.kind === 'incident' && e.incident === 'integrity-missing')
      .map((e) => e.kind === 'incident' && e.state);
  await w.until(async () =>
    (await w.entries()).some((e) => e.kind === 'inbound' && e.header.subject === 'auch ohne'),
  );
  await w.until(async () => (await told()).length > 0);
  expect(await told()).toEqual(['opened']);
  await deposit('mit', 'X-de-mail-integrity: v=1\r\n');
  await w.until(async () => (await told()).length > 1);
  expect(await told()).toEqual(['opened', 'closed']);
});

it('tells of confirmations and notifications without integrity data on their own', async () => {
  await using w = await world(monday('09:00'));
  await w.startLink();
  const system = (type: string, more = '') =>
    provider.simulator.deposit(
      'stadt',
      Buffer.from(
        `From: system@p.example\r\nTo: erika@stadt.de-mail.example\r\nMessage-ID: <${crypto.randomUUID()}@p.example>\r\nX-de-mail-message-type: ${type}\r\n${more}\r\nMeldung\r\n`,
      ),
      'erika@stadt.de-mail.example',
    );
  await system('confirmation of receipt');
  await system('notification');
  await deposit('ganz', 'X-de-mail-integrity: v=1\r\n');
  const told = async () =>
    (await w.entries()).flatMap((e) =>
      e.kind === 'incident' && e.incident.startsWith('integrity-missing ')
        ? [`${e.incident} ${e.state}`]
        : [],
    );
  await w.until(async () => (await told()).length > 1);
  await w.until(async () =>
    (await w.entries()).some((e) => e.kind === 'inbound' && e.header.subject === 'ganz'),
  );
  expect(await told()).toEqual([
    'integrity-missing confirmations opened',
    'integrity-missing notifications opened',
  ]);
  await system('notification', 'X-de-mail-integrity: v=1\r\n');
  await w.until(async () => (await told()).length > 2);
  expect((await told())[2]).toBe('integrity-missing notifications closed');
});

it('settles a login that a kill cut off, once, and says what came before the end', async () => {
  await using w = await world(monday('18:00'));
  const cutOff = { account: 'stadt', level: 'high', reason: 'start', actor: operator } as const;
  const { index: imapIntent } = await w.store.recordLoginIntent('stadt', { ...cutOff, protocol: 'imap' });
  const { index: smtpIntent } = await w.store.recordLoginIntent('stadt', { ...cutOff, protocol: 'smtp' });
  await (await w.startLink()).close(0);
  await w.startLink();
  const outcomes = (await w.entries()).filter((e) => e.kind === 'login-outcome');
  expect(outcomes).toMatchObject([
    { intent: imapIntent, protocol: 'imap', result: 'unknown' },
    { intent: smtpIntent, protocol: 'smtp', result: 'unknown' },
  ]);
  expect(outcomes[0]!.detail).toContain('unknown; until then nothing picked up');
  const told = (await w.entries()).filter((e) => e.kind === 'notice' && e.about === 'incident');
  expect(told.map((e) => e.kind === 'notice' && e.text)).toEqual([
    expect.stringContaining(`stadt/${imapIntent}, IMAP`),
    expect.stringContaining(`stadt/${smtpIntent}, SMTP`),
  ]);
});

it('looks once outside the hours for an operator who says why', async () => {
  const clock = monday('18:00');
  await using w = await world(clock);
  const link = await w.startLink();
  await expect(link.fetchNow('stadt')).rejects.toThrow('waits for login window');
  await link.fetchNow('stadt', { actor: operator, reason: 'Frist läuft ab' });
  await w.until(async () => imap.open === 0);
  const recorded = logins(await w.entries());
  expect(recorded.map(({ kind }) => kind)).toEqual(['login-intent', 'login-outcome']);
  expect(recorded[0]).toMatchObject({ actor: operator, reason: 'Frist läuft ab' });
  await expect(link.fetchNow('stadt')).rejects.toThrow('waits for login window');
  expect(logins(await w.entries())).toHaveLength(2);
});

it('logs in to check only through the gate, with intent and outcome', async () => {
  const clock = monday('18:00');
  await using w = await world(clock, { doneFolder: 'Erledigt' });
  const link = await w.startLink();
  const why = { actor: operator, reason: 'neues Kennwort' };
  const [imapMade, smtpMade] = [imap.made, smtp.made];
  const refused = await link.checkLogin('stadt', why, false);
  expect(refused.map(({ what, good }) => [what, good])).toEqual([
    ['IMAP login', false],
    ['SMTP login', false],
  ]);
  expect(refused[0]!.detail).toContain('not tried: waits for login window');
  expect([imap.made, smtp.made]).toEqual([imapMade, smtpMade]);
  expect(logins(await w.entries())).toEqual([]);

  const found = await link.checkLogin('stadt', why, true);
  expect(found.filter(({ good }) => !good)).toEqual([]);
  expect(found.map(({ what }) => what)).toEqual(['IMAP login', 'folder', 'folder', 'mailbox', 'SMTP login']);
  expect(found[0]!.detail).toContain('FU 3.3.5');
  expect(logins(await w.entries())).toMatchObject([
    { kind: 'login-intent', protocol: 'imap', ...why },
    { kind: 'login-outcome', protocol: 'imap', result: 'logged-in' },
    { kind: 'login-intent', protocol: 'smtp', ...why },
    { kind: 'login-outcome', protocol: 'smtp', result: 'logged-in' },
  ]);
  await w.until(async () => imap.open + smtp.open === 0);

  await w.store.setLock('stadt', { locked: true, actor: operator, reason: 'Karte verloren' });
  await w.until(async () => link.isLocked('stadt'));
  const locked = await link.checkLogin('stadt', why, true);
  expect(locked.map(({ detail }) => detail)).toEqual([
    expect.stringContaining('Karte verloren'),
    expect.stringContaining('Karte verloren'),
  ]);
  expect(logins(await w.entries())).toHaveLength(4);
});

it('lets nobody in while it is closed, whoever asks: retries, resending, own server, later looks', async () => {
  const clock = monday('15:59');
  await using w = await world(clock, { sentFolder: 'Sent', onUncertain: 'resend' });
  const link = await w.startLink();
  const handed = await w.submit();
  await w.until(async () => (await w.entries()).some((e) => e.kind === 'handover-outcome'));
  // A connection that was used is kept for the next letter, but not beyond the window.
  expect(smtp.open).toBe(1);
  await clock.advance(60_000);
  await w.until(async () => imap.open + smtp.open === 0);
  await w.until(async () => (await w.store.openIntents('stadt')).length === 0);
  const made = [imap.made, smtp.made];
  const count = logins(await w.entries()).length;

  const waiting = await w.submit();
  const doubtful = await w.submit();
  const attempt = { letter: doubtful, transaction: 0, attempt: 1 };
  const item = (await w.store.transaction('stadt', doubtful, 0))!;
  const header = await stageBytes(w.store, 'stadt', Buffer.from('Subject: x\r\n\r\n'));
  await w.store.recordHandoverIntent('stadt', {
    ...attempt,
    endpoint: 'x',
    recipients: item.recipients,
    handed: { sha256: '0'.repeat(64), size: 1, header, bodyFrom: 0 },
    edits: [],
  });
  await w.store.recordHandoverOutcome('stadt', {
    ...attempt,
    result: 'in-doubt',
    recipients: [],
    reply: 'broke off',
    peer: { endpoint: 'x' },
  });
  const by = { tenant: 'stadt', actor: operator, reason: 'eilt' };
  await link.retryTransaction({ ...by, letter: waiting, transaction: 0 });
  await link.settle({ ...by, letter: doubtful, transaction: 0, decision: 'resend' });
  await link.retryNow('stadt');
  await link.refresh();
  await expect(link.fetchNow('stadt')).rejects.toThrow('waits for login window');
  await clock.advance(2 * hour);
  expect([imap.made, smtp.made]).toEqual(made);
  expect(logins(await w.entries())).toHaveLength(count);
  const open = (await w.store.openTransactions('stadt')).map(({ letter, state }) => [letter, state]);
  expect(open).toEqual([
    [waiting, 'queued'],
    [doubtful, 'queued'],
  ]);
  expect(open.flat()).not.toContain(handed);
});

it('a calendar that a reload brings ends connections at once', async () => {
  const clock = monday('20:00');
  await using w = await world(clock, { loginCalendar: undefined });
  const link = await w.startLink();
  await w.until(() => outcome(w, 'imap'));
  expect(imap.open).toBe(1);
  const { stadt } = await provider.accounts({
    authLevel: 'high',
    loginCalendar: office,
    imap: { host: '127.0.0.1', port: imap.port },
    smtp: { host: '127.0.0.1', port: smtp.port },
  });
  w.useTenants({ provider: { stadt: stadt! } });
  await link.refresh();
  await w.until(async () => imap.open === 0);
  expect((await statusOf(link)).imap.waits).toContain('waits for login window');
});

it('an account that a reload moves ends its connection to the old place, and begins at the new one', async () => {
  const clock = monday('09:00');
  await using w = await world(clock);
  const link = await w.startLink();
  await w.until(() => outcome(w, 'imap'));
  await link.refresh();
  expect(imap.open).toBe(1);
  const { stadt } = await provider.accounts({ authLevel: 'high', loginCalendar: office });
  w.useTenants({ provider: { stadt: stadt! } });
  await link.refresh();
  await w.until(async () => imap.open === 0);
  await link.fetchNow('stadt');
  const recorded = logins(await w.entries());
  expect(recorded.map(({ kind }) => kind)).toEqual([
    'login-intent',
    'login-outcome',
    'login-intent',
    'login-outcome',
  ]);
});

it('does not count closed hours against the time for retries', async () => {
  const clock = monday('16:30');
  await using w = await world(clock, { retryFor: '10h' });
  const letter = await w.submit();
  await w.startLink();
  await clock.advance(15 * hour);
  const open = await w.store.openTransactions('stadt');
  expect(open).toMatchObject([{ letter, state: 'queued', attempts: 0 }]);
  await clock.advance(hour);
  await w.until(async () => (await w.entries()).some((e) => e.kind === 'handover-outcome'));
});

it('hands over at any hour where a login by SMTP has no effect', async () => {
  const clock = monday('20:00');
  await using w = await world(clock, { smtpLoginServes: false });
  await w.submit();
  await w.startLink();
  await w.until(async () => (await w.entries()).some((e) => e.kind === 'handover-outcome'));
  expect(logins(await w.entries())).toEqual([]);
});

it('a lock ends connections at once, outlives a restart, and lets everything go on when lifted', async () => {
  const clock = monday('09:00');
  await using w = await world(clock);
  const link = await w.startLink();
  await w.until(() => outcome(w, 'imap'));
  expect(imap.open).toBe(1);
  const lock = { locked: true, actor: operator, reason: 'Karte verloren' };
  expect(await w.store.setLock('stadt', lock)).toBe(true);
  await w.until(async () => imap.open === 0);
  expect(link.isLocked('stadt')).toBe(true);
  await expect(link.fetchNow('stadt', { actor: operator, reason: 'doch' })).rejects.toThrow('Karte verloren');
  await link.close(0);

  const [imapMade, smtpMade] = [imap.made, smtp.made];
  const letter = await w.submit();
  const restarted = await w.startLink();
  await clock.advance(2 * hour);
  expect(restarted.isLocked('stadt')).toBe(true);
  expect([imap.made, smtp.made]).toEqual([imapMade, smtpMade]);
  expect(await w.store.openTransactions('stadt')).toMatchObject([{ letter, attempts: 0 }]);

  await w.store.setLock('stadt', { locked: false, actor: operator, reason: 'Karte gefunden' });
  await w.until(async () => (await w.entries()).some((e) => e.kind === 'handover-outcome'));
  expect(restarted.isLocked('stadt')).toBe(false);
  const operations = (await w.entries()).filter((e) => e.kind === 'operation');
  expect(operations).toMatchObject([
    { action: 'lock', reason: 'Karte verloren', actor: operator },
    { action: 'unlock', reason: 'Karte gefunden' },
  ]);
});
