/** A real Postfix as the tenant's own mail server, and as the provider's submission. */
import { chown, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { INBOX } from '../../src/directory/mailboxes.ts';
import type { Entry } from '../../src/evidence/entry.ts';
import { headerEnd } from '../../src/mime/header.ts';
import { createAuthority } from '../../src/pki/authority.ts';
import { erika, erna, max, openSimulator, openWorld, sha256, type World } from '../flow/provider-world.ts';
import { freePort } from './peers/port.ts';
import { type Postfix, startPostfix } from './peers/postfix.ts';

/** Postfix's virtual(8) writes as this user. */
const nobody = 65_534;
let folder: string;
let postfix: Postfix;
let submission: number;
let incoming: number;
let mailDirectory: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'provider-postfix-'));
  const authority = await createAuthority({ name: 'Server CA' });
  const names = { dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'] };
  const server = await authority.issue({ commonName: 'postfix', ...names, purpose: 'server' });
  const client = await authority.issue({ commonName: 'stadt', purpose: 'client' });
  await writeFile(join(folder, 'ca.pem'), authority.certificate);
  await writeFile(join(folder, 'server.pem'), server.certificate);
  await writeFile(join(folder, 'server.key'), server.key, { mode: 0o600 });
  await writeFile(join(folder, 'client.pem'), client.certificate);
  await writeFile(join(folder, 'client.key'), client.key, { mode: 0o600 });
  mailDirectory = await mkdtemp(join(tmpdir(), 'provider-mail-'));
  await chown(mailDirectory, nobody, nobody);
  submission = await freePort();
  incoming = await freePort();
  const mutual = '-o smtpd_tls_req_ccert=yes -o smtpd_tls_security_level=encrypt';
  postfix = await startPostfix({
    main: {
      myhostname: 'localhost',
      virtual_mailbox_domains: 'stadt.example, buerger.de-mail.example',
      virtual_mailbox_base: mailDirectory,
      virtual_mailbox_maps: `inline:{ {erika@stadt.example = erika/}, {${max} = max/}, {jan@stadt.example = jan/} }`,
      virtual_uid_maps: `static:${nobody}`,
      virtual_gid_maps: `static:${nobody}`,
      smtpd_recipient_restrictions: 'reject_unlisted_recipient, reject_unauth_destination',
      smtpd_tls_cert_file: join(folder, 'server.pem'),
      smtpd_tls_key_file: join(folder, 'server.key'),
      smtpd_tls_CAfile: join(folder, 'ca.pem'),
      smtpd_tls_security_level: 'may',
    },
    services: [
      `127.0.0.1:${submission} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes ${mutual}`,
      `127.0.0.1:${incoming} inet n - n - - smtpd`,
    ],
  });
});

afterAll(async () => {
  await postfix?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
  await rm(mailDirectory, { recursive: true });
});

/** Delivered messages as they were sent: Postfix keeps LF, and puts its own lines before. */
async function delivered(user: string): Promise<Buffer[]> {
  const box = join(mailDirectory, user, 'new');
  const files = await readdir(box).catch(() => []);
  return Promise.all(
    files.map(async (file) =>
      Buffer.from((await readFile(join(box, file))).toString('latin1').replace(/\r?\n/g, '\r\n'), 'latin1'),
    ),
  );
}

const outcomes = async <K extends Entry['kind']>(world: World, kind: K) =>
  (await world.entries()).filter((e): e is Extract<Entry, { kind: K }> => e.kind === kind);

it('takes what is handed over, byte for byte, over TLS with a client certificate', async () => {
  const provider = {
    stadt: {
      account: 'stadt',
      smtp: { host: 'localhost', port: submission },
      clientIdentity: { certificate: join(folder, 'client.pem'), key: join(folder, 'client.key') },
      trustAnchors: [join(folder, 'ca.pem')],
    },
  };
  await using world = await openWorld({ provider });
  const letter = await world.submit({
    rcpt: [max, erna],
    to: `${max}, ${erna}`,
    body: `.\r\n..\r\nÜber${'ü'.repeat(300)}\r\n${'0123456789'.repeat(90)}\r\n.ende\r\n`,
  });
  await world.startLink();
  await world.until(async () => (await world.store.openTransactions('stadt')).length === 0);
  // Postfix does not know Erna: she is refused, and Max gets a copy that does not name her.
  const facts = await world.store.facts('stadt', letter);
  expect(facts.filter((f) => f.recipient === erna).map((f) => f.fact)).toContain('refused');
  expect(facts.find((f) => f.recipient === erna && f.fact === 'refused')!.detail).toMatch(/^550 5\.1\.1/);
  expect(facts.filter((f) => f.recipient === max).map((f) => f.fact)).toContain('handed-over');
  const [message] = await world.until(async () => {
    const found = await delivered('max');
    return found.length > 0 && found;
  });
  const intent = (await outcomes(world, 'handover-intent')).at(-1)!;
  const sent = message!.subarray(message!.length - intent.handed.size);
  expect(sha256(sent)).toBe(intent.handed.sha256);
  expect(sent.subarray(0, headerEnd(sent)).toString()).not.toContain(`;${erna}`);
  const outcome = (await outcomes(world, 'handover-outcome')).at(-1)!;
  expect(outcome.peer.certificate).toMatch(/^[0-9a-f]{64}$/);
  expect(outcome.reply).toMatch(/queued as/);
});

it('is not handed anything without the client certificate that it wants', async () => {
  const provider = {
    stadt: {
      account: 'stadt',
      smtp: { host: 'localhost', port: submission },
      trustAnchors: [join(folder, 'ca.pem')],
    },
  };
  await using world = await openWorld({ provider });
  const letter = await world.submit();
  const link = await world.startLink();
  await world.until(async () => (await link.status())[0]!.smtp.lastError);
  expect((await world.store.facts('stadt', letter)).map((f) => f.fact)).toEqual(['queued']);
});

it('gets forwarded mail over verified STARTTLS; who it does not know is told to the operators', async () => {
  await using simulated = await openSimulator();
  const forwardTo = {
    host: 'localhost',
    port: incoming,
    security: 'starttls',
    trustAnchors: [join(folder, 'ca.pem')],
  };
  await using world = await openWorld({ provider: await simulated.accounts(), forward: 'both', forwardTo });
  const bytes = Buffer.from(
    `Date: Mon, 05 Jan 2026 08:00:00 +0100\r\nFrom: ${max}\r\nTo: ${max}\r\nMessage-ID: <w@x.example>\r\nSubject: weiter\r\n\r\n.punkt\r\n\r\nEnde\r\n`,
  );
  await simulated.simulator.deposit('stadt', bytes, 'erika@stadt.de-mail.example');
  await simulated.simulator.deposit('stadt', bytes, 'niemand@stadt.de-mail.example');
  const link = await world.startLink();
  await link.fetchNow('stadt');
  await world.until(async () => (await world.store.openForwards('stadt')).length === 0);
  const [mail] = await world.until(async () => {
    const found = await delivered('erika');
    return found.length > 0 && found;
  });
  expect(mail!.subarray(-bytes.length).equals(bytes)).toBe(true);
  expect(mail!.toString()).toMatch(/^Return-Path: <>\r\n/);
  const results = (await outcomes(world, 'forward-outcome')).map((o) => o.result);
  expect(results).toContain('done');
  expect(results).toContain('failed');
  // The operator's notice goes both ways as well.
  await world.until(
    async () => (await world.mails({ type: 'user', name: 'jan@stadt.example' }, INBOX)).length > 0,
  );
  await world.until(async () => (await delivered('jan')).length > 0);
  expect(await world.mails(erika, INBOX)).toHaveLength(1);
});

it('gets nothing where its certificate is not trusted', async () => {
  await using simulated = await openSimulator();
  const forwardTo = { host: 'localhost', port: incoming, trustAnchors: [simulated.simulator.caFile] };
  await using world = await openWorld({ provider: await simulated.accounts(), forward: 'only', forwardTo });
  await simulated.simulator.deposit(
    'stadt',
    Buffer.from('Subject: bleibt\r\n\r\nhier\r\n'),
    'erika@stadt.de-mail.example',
  );
  const link = await world.startLink();
  await link.fetchNow('stadt');
  await world.until(async () => (await link.status())[0]!.forward?.lastError);
  expect(
    (await world.store.openForwards('stadt')).every((f) => f.state === 'queued' && f.attempts === 0),
  ).toBe(true);
  expect((await delivered('erika')).filter((m) => m.includes('bleibt'))).toEqual([]);
});
