/** Fetching from a real Dovecot, handing over to a real Postfix, forwarding through both. */
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ImapFlow } from 'imapflow';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { blockLength } from '../../src/demail/block.ts';
import { INBOX } from '../../src/directory/mailboxes.ts';
import { createManualClock } from '../../src/observe/testing/manual-clock.ts';
import { createAuthority } from '../../src/pki/authority.ts';
import { erika, openWorld, type World } from '../flow/provider-world.ts';
import { type Dovecot, startDovecot } from './peers/dovecot.ts';

const run = promisify(execFile);
let dovecot: Dovecot;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'provider-dovecot-'));
  const authority = await createAuthority({ name: 'Provider CA' });
  const server = await authority.issue({
    commonName: 'provider',
    dnsNames: ['localhost'],
    ipAddresses: ['127.0.0.1'],
    purpose: 'server',
  });
  await writeFile(join(folder, 'ca.pem'), authority.certificate);
  await writeFile(join(folder, 'server.pem'), server.certificate);
  await writeFile(join(folder, 'server.key'), server.key, { mode: 0o600 });
  await writeFile(join(folder, 'password'), 'geheim\n');
  dovecot = await startDovecot({
    certificate: join(folder, 'server.pem'),
    key: join(folder, 'server.key'),
    users: { corpus: 'geheim', stadt: 'geheim', moved: 'geheim', full: 'geheim' },
    quota: '200M',
  });
});
afterAll(async () => {
  await dovecot?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

function account(user: string, more: object = {}) {
  return {
    account: user,
    smtp: { host: '127.0.0.1', port: 1, security: 'none' },
    imap: { host: 'localhost', port: dovecot.imaps },
    user,
    password: { file: join(folder, 'password') },
    trustAnchors: [join(folder, 'ca.pem')],
    ...more,
  };
}

const open = (user: string, more: object = {}) => openWorld({ provider: { stadt: account(user, more) } });

async function client(user: string) {
  const imap = new ImapFlow({
    host: 'localhost',
    port: dovecot.imaps,
    secure: true,
    auth: { user, pass: 'geheim' },
    tls: { ca: await readFile(join(folder, 'ca.pem'), 'utf8') },
    logger: false,
  });
  imap.on('error', () => {});
  await imap.connect();
  return imap;
}

const inbound = async (world: World) => (await world.entries()).filter((e) => e.kind === 'inbound');

it('every mail of the corpus, deposited at the provider, comes out byte for byte', async () => {
  const corpus = process.env.DEMAIL_CORPUS ?? '../shared/corpus';
  const files = (await readdir(corpus, { recursive: true })).filter((name) => /\.(eml|txt|msg)$/i.test(name));
  expect(files.length).toBeGreaterThan(50);
  const imap = await client('corpus');
  for (const file of files) {
    // Appended as it lies there: what Dovecot makes of odd line ends is the provider's form.
    await imap.append('INBOX', await readFile(join(corpus, file)));
  }
  const lock = await imap.getMailboxLock('INBOX');
  const kept = new Map<string, number>();
  for await (const { source } of imap.fetch('1:*', { source: true })) {
    const text = source!.toString('latin1');
    kept.set(text, (kept.get(text) ?? 0) + 1);
  }
  lock.release();
  await imap.logout();

  await using world = await open('corpus');
  const link = await world.startLink();
  await link.fetchNow('stadt');
  const entries = (await world.entries()).filter((e) => 'source' in e);
  expect(entries).toHaveLength(kept.size);
  const owners = ['inbound', 'notification', 'confirmation'];
  expect(entries.every((e) => owners.includes(e.kind))).toBe(true);
  const out = [
    ...(await world.mails({ type: 'shared', name: 'Poststelle' }, INBOX)),
    ...(await world.mails(erika, INBOX)),
  ];
  for (const mail of out) {
    const bytes = mail.subarray(blockLength(mail)).toString('latin1');
    expect(kept.has(bytes)).toBe(true);
    kept.delete(bytes);
  }
  expect([...kept.keys()].map((bytes) => bytes.slice(0, 200))).toEqual([]);
}, 120_000);

it('fetched mail moves to the done folder, which is made; what is flagged at the provider stays there', async () => {
  await using world = await open('moved', { doneFolder: 'Erledigt' });
  const imap = await client('moved');
  await imap.append('INBOX', 'Subject: eins\r\nTo: erika@stadt.de-mail.example\r\n\r\neins\r\n');
  const link = await world.startLink();
  await link.fetchNow('stadt');
  await imap.append('INBOX', 'Subject: zwei\r\nTo: erika@stadt.de-mail.example\r\n\r\nzwei\r\n');
  await world.until(async () => (await inbound(world)).length === 2);
  await link.fetchNow('stadt');
  expect(await imap.status('INBOX', { messages: true })).toMatchObject({ messages: 0 });
  expect(await imap.status('Erledigt', { messages: true, unseen: true })).toMatchObject({
    messages: 2,
    unseen: 0,
  });
  await imap.logout();
});

it("deletes old copies of what it fetched, and nothing else, and knows Dovecot's QUOTA", async () => {
  const clock = createManualClock(Date.now());
  await using world = await openWorld(
    { provider: { stadt: account('full', { deleteAfter: '90d', doneFolder: 'Erledigt' }) } },
    clock,
  );
  const imap = await client('full');
  const mail = (subject: string, body: string) =>
    `Subject: ${subject}\r\nTo: erika@stadt.de-mail.example\r\nMessage-ID: <${subject}@x>\r\n\r\n${body}\r\n`;
  await imap.append('INBOX', mail('alt', 'z'.repeat(500_000)));
  // Marked by somebody else: a plain EXPUNGE would take it along.
  await imap.append('INBOX', mail('markiert', 'y'), ['\\Deleted']);
  const first = await world.startLink();
  await first.fetchNow('stadt');
  const usage = async (link: typeof first) =>
    (await link.status()).find(({ tenant }) => tenant === 'stadt')!.mailbox;
  const before = await world.until(() => usage(first));
  expect(before).toMatchObject({ limit: 200 * 1024 ** 2, source: 'quota' });
  expect(before.used).toBeGreaterThanOrEqual(500_000);
  await first.close(0);
  // In the folder of what is done, and of no bytes that the store has.
  const stranger = mail('fremd', 'nie abgeholt');
  await imap.append('Erledigt', stranger, [], new Date(Date.now() - 200 * 86_400_000));
  await imap.append('Erledigt', mail('alt', `${'z'.repeat(499_999)}y`), ['\\Deleted']);

  const link = await world.startLink({ clock: createManualClock(Date.now() + 91 * 86_400_000) });
  const outcome = await world.until(async () =>
    (await world.entries()).find((e) => e.kind === 'deletion-outcome'),
  );
  expect(outcome).toMatchObject({ result: 'deleted', folder: 'Erledigt' });
  const after = await world.until(() => usage(link));
  const lock = await imap.getMailboxLock('Erledigt');
  const subjects: string[] = [];
  for await (const { envelope, flags } of imap.fetch('1:*', { envelope: true, flags: true })) {
    subjects.push(`${envelope!.subject}${flags!.has('\\Deleted') ? ' (marked)' : ''}`);
  }
  lock.release();
  expect(subjects.sort()).toEqual(['alt (marked)', 'fremd']);
  expect(after.used).toBeLessThan(before.used + 10_000);
  await imap.logout();
});

it('survives a Dovecot that is cut off, and a mailbox that was made anew', async () => {
  await using world = await open('stadt', { fetchInterval: '1s' });
  const imap = await client('stadt');
  const mail = (n: number) => `Subject: mail ${n}\r\nMessage-ID: <${n}@x>\r\n\r\n${'z'.repeat(2_000)}\r\n`;
  await imap.append('INBOX', mail(1));
  await imap.append('INBOX', mail(2));
  const link = await world.startLink();
  await link.fetchNow('stadt');
  expect(await inbound(world)).toHaveLength(2);
  await imap.logout();

  // The session is cut off, and the mailbox comes back under another UIDVALIDITY, with the same mails and one more.
  const doveadm = (...args: string[]) =>
    run('doveadm', ['-c', join(dovecot.directory, 'dovecot.conf'), ...args]);
  await doveadm('mailbox', 'update', '-u', 'stadt', '--uid-validity', '4711', 'INBOX');
  await doveadm('kick', 'stadt');
  const again = await client('stadt');
  await again.append('INBOX', mail(3));
  await world.until(async () => {
    await link.fetchNow('stadt').catch(() => {});
    return (await inbound(world)).length === 3;
  });
  const validities = new Set((await inbound(world)).map((e) => e.source.uidValidity));
  expect(validities.size).toBe(2);
  expect((await inbound(world)).map((e) => e.header.subject).sort()).toEqual(['mail 1', 'mail 2', 'mail 3']);
  await again.logout();
});
