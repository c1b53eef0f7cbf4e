/** The gateway as one process, from the outside: real mail through the public ports, a real Postfix in front. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ImapFlow } from 'imapflow';
import { createTransport } from 'nodemailer';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { openReader } from '../../src/cli/reader.ts';
import { headerEnd, parseHeader } from '../../src/mime/header.ts';
import { storePaths } from '../../src/store/sqlite/open.ts';
import { type GatewayProcess, installWithSimulator } from './peers/gateway.ts';
import { freePort } from './peers/port.ts';
import { startPostfix } from './peers/postfix.ts';
import { connectSmtp } from './peers/smtp-client.ts';

const tenant = 'stadt-waren';
const login = `erika.mustermann@${tenant}.example`;
const citizen = 'karl.never@buerger.de-mail.example';
const corpus = process.env.DEMAIL_CORPUS ?? '../shared/corpus';

let world: Awaited<ReturnType<typeof installWithSimulator>>;
let gateway: GatewayProcess;
let files: string[];

beforeAll(async () => {
  const found = await readdir(corpus, { recursive: true });
  files = found.filter((name) => name.endsWith('.eml')).sort();
  world = await installWithSimulator();
  gateway = await world.installation.start();
});
afterAll(async () => {
  gateway?.kill('SIGTERM');
  await gateway?.exited;
  await world?.[Symbol.asyncDispose]();
});

const store = () => openReader(storePaths({ directory: world.installation.directory }));

/** Replaces who it is from and for, as the only change; the rest stays as broken as it is. */
function addressed(bytes: Buffer): Buffer {
  // Some files begin with the separator of the mbox that they were taken from: no part of a message.
  const text = bytes
    .toString('latin1')
    .replace(/\r\n|\r|\n/g, '\r\n')
    .replace(/^From .*\r\n/, '');
  const end = headerEnd(Buffer.from(text, 'latin1'));
  const kept = parseHeader(Buffer.from(text.slice(0, end), 'latin1')).filter(
    ({ name }) => !/^(from|sender|reply-to|to|cc|bcc|resent-.*|auto-submitted|return-path)$/i.test(name),
  );
  const header = kept.map(({ raw }) => raw.toString('latin1')).join('');
  return Buffer.from(`From: ${login}\r\nTo: ${citizen}\r\n${header}\r\n${text.slice(end)}`, 'latin1');
}

it('the corpus is there', () => {
  expect(files.length, `no mails under ${corpus}: set DEMAIL_CORPUS`).toBeGreaterThan(90);
});

it('every mail of the corpus, deposited at the provider, comes out of the facade byte for byte', async () => {
  const expected: Buffer[] = [];
  for (const file of files) {
    const bytes = await readFile(join(corpus, file));
    expected.push(bytes);
    await world.simulator.deposit(tenant, bytes);
  }
  // The same bytes in the same account are one message, however often they are met (some files are twins).
  const distinct = new Set(expected.map((bytes) => bytes.toString('latin1'))).size;
  const client = new ImapFlow({
    host: '127.0.0.1',
    port: world.installation.ports.imaps,
    secure: true,
    tls: { ca: await readFile(world.installation.caFile, 'utf8'), servername: 'localhost' },
    auth: { user: login, pass: 'demo' },
    logger: false,
  });
  client.on('error', () => {});
  await client.connect();
  try {
    // Nobody of the tenant is addressed: the fallback mailbox gets them all.
    const { path } = await client.mailboxOpen('Geteilt/Poststelle');
    await vi.waitUntil(
      async () => {
        const status = await client.status(path, { messages: true });
        return status !== false && status.messages === distinct;
      },
      { timeout: 120_000, interval: 500 },
    );
    const got: Buffer[] = [];
    for await (const { source } of client.fetch('1:*', { source: true })) got.push(source!);
    expect(got.length).toBe(distinct);
    const missing = new Set(expected.keys());
    for (const delivered of got) {
      for (const n of missing) {
        const bytes = expected[n]!;
        const same = bytes.equals(delivered.subarray(delivered.length - bytes.length));
        if (same && onlyTheBlock(delivered, bytes)) missing.delete(n);
      }
    }
    expect([...missing].map((n) => files[n])).toEqual([]);
  } finally {
    await client.logout();
  }
});

/** What stands before the provider's bytes is the gateway's block of header fields and nothing else. */
function onlyTheBlock(delivered: Buffer, bytes: Buffer): boolean {
  const block = delivered.subarray(0, delivered.length - bytes.length);
  const fields = parseHeader(Buffer.concat([block, Buffer.from('\r\n')]));
  const whole = fields.reduce((sum, { raw }) => sum + raw.length, 0);
  return block.length > 0 && whole === block.length;
}

it('every mail of the corpus, submitted, is handed over, or refused with a reason', async () => {
  using client = await connectSmtp(world.installation.ports.relay);
  const accepted: number[] = [];
  const refused: string[] = [];
  for (const file of files) {
    const reply = await client.send(login, [citizen], addressed(await readFile(join(corpus, file))));
    const letter = /^250 2\.0\.0 Accepted as [a-z-]+\/(\d+)/.exec(reply)?.[1];
    if (letter !== undefined) accepted.push(Number(letter));
    else refused.push(`${file}: ${reply}`);
  }
  for (const line of refused) expect(line).toMatch(/: 5\d\d 5\.\d\.\d \w+/);
  expect(accepted.length).toBeGreaterThan(80);
  using reader = store();
  await vi.waitUntil(async () => (await reader.openTransactions(tenant)).length === 0, {
    timeout: 120_000,
    interval: 500,
  });
  const open: number[] = [];
  for (const letter of accepted) {
    const facts = await reader.facts(tenant, letter);
    const end = facts.find(({ fact }) => ['handed-over', 'refused', 'abandoned'].includes(fact));
    if (end === undefined || (end.fact !== 'handed-over' && !end.detail)) open.push(letter);
  }
  expect(open).toEqual([]);
  const verified = await world.installation.run('evidence', 'verify');
  expect(verified.stdout).toMatch(/ 0 findings, 0 undecided\n$/);
  // More than a pipe holds: nothing of it may be cut off.
  const listed = (await world.installation.run('evidence', 'search', '--json')).stdout;
  expect(listed.length).toBeGreaterThan(65_536);
  const lines = listed.trimEnd().split('\n');
  expect(lines.map((line) => JSON.parse(line) as unknown).length).toBeGreaterThan(accepted.length);
});

it('a Postfix in front relays De-Mail over verified TLS, and tells its users why other mail is refused', async () => {
  const port = await freePort();
  const { ports, caFile } = world.installation;
  await using postfix = await startPostfix({
    main: {
      myhostname: 'mail.stadt-waren.example',
      relayhost: `[localhost]:${ports.relay}`,
      smtp_host_lookup: 'native',
      smtp_tls_security_level: 'verify',
      smtp_tls_verify_cert_match: 'hostname',
      smtp_tls_CAfile: caFile,
      smtp_tls_loglevel: '1',
      smtpd_relay_restrictions: 'permit_mynetworks, reject',
    },
    services: [`127.0.0.1:${port} inet n - n - - smtpd`],
  });
  const transport = createTransport({ host: '127.0.0.1', port, secure: false, ignoreTLS: true });
  const { messageId } = await transport.sendMail({
    from: login,
    to: citizen,
    subject: 'Über den eigenen Mailserver',
    text: 'Guten Tag',
  });
  await transport.sendMail({ from: login, to: 'somebody@web.example', subject: 'no De-Mail', text: 'x' });
  transport.close();
  using reader = store();
  const [found] = await vi.waitUntil(
    async () => {
      const letters = await reader.resolve(messageId, tenant);
      return letters.length > 0 && letters;
    },
    { timeout: 60_000, interval: 200 },
  );
  const [entry] = await reader.timeline(tenant, found!.letter);
  expect(entry).toMatchObject({
    kind: 'submission',
    actor: { type: 'relay', name: 'mailserver' },
    listener: 'relay',
  });
  await vi.waitUntil(async () => /to=<somebody@web\.example>.*status=bounced/.test(await postfix.log()), {
    timeout: 60_000,
    interval: 200,
  });
  const log = await postfix.log();
  expect(log).toMatch(/Verified TLS connection established to localhost/);
  expect(log).toMatch(/550 5\.1\.2 Der Empfaenger ist keine De-Mail-Adresse/);
});
