/**
 * Dispatch options from what a client has, the whole way: listener, store, link, provider. What was chosen lies in
 * the entry, what was sent in the recipient's mailbox.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import { createDirectory } from '../../src/directory/create.ts';
import type { Authenticator } from '../../src/directory/directory.ts';
import { INBOX } from '../../src/directory/mailboxes.ts';
import type { Entry, SubmissionEntry } from '../../src/evidence/entry.ts';
import { silentLog } from '../../src/observe/log.ts';
import { createAuthority } from '../../src/pki/authority.ts';
import { type ProviderLink, startProviderLink } from '../../src/provider/link.ts';
import { type SmtpService, startSmtp } from '../../src/smtp/listener.ts';
import { dial } from '../../src/smtp/testing/wire.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import type { Store } from '../../src/store/store.ts';
import { headerOf, max, openSimulator, type SimulatedProvider } from './provider-world.ts';

const erika = 'erika@stadt.example';
let folder: string;
let provider: SimulatedProvider;
let store: Store;
let link: ProviderLink;
let smtp: SmtpService;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'options-'));
  provider = await openSimulator();
  const { stadt, dorf } = await provider.accounts();
  const tenant = (id: string, account: object, options: object) => ({
    id,
    name: id,
    language: 'de',
    internalDomains: [`${id}.example`],
    demailDomains: [`${id}.de-mail.example`],
    provider: account,
    options,
    users: [
      { login: `erika@${id}.example`, passwordHash: '$argon2id$x' },
      { login: `jan@${id}.example`, passwordHash: '$argon2id$x', permittedOptions: ['receipt'] },
      { login: `fach@${id}.example`, passwordHash: '$argon2id$x', role: 'application' },
    ],
    fallbackMailbox: `erika@${id}.example`,
    operators: [`erika@${id}.example`],
  });
  const config = parseConfig(
    JSON.stringify({
      tls: { certificate: 'a', key: 'a' },
      hostname: 'gateway.example',
      demailDomains: ['*.de-mail.example'],
      listeners: { submission: { port: 0 } },
      tenants: [
        tenant('stadt', { ...stadt, authLevel: 'high' }, { fromReadReceipt: true, fromImportance: true }),
        tenant('dorf', { ...dorf, dailyQuota: { messages: 1 } }, {}),
      ],
    }),
    'gateway.yaml',
    { files: false },
  );
  const directory = createDirectory(config);
  store = await openSqliteStore({ directory: folder, originPrefix: 'gateway.example' });
  const deps = { store, directory: () => directory, log: silentLog(), dataDir: folder };
  link = await startProviderLink({ ...deps, hostname: 'gateway.example' });
  const authority = await createAuthority({ name: 'Test CA' });
  // Passwords have their own tests.
  const authenticator: Authenticator = { login: async (login) => directory.user(login)! };
  smtp = await startSmtp({
    ...deps,
    config,
    authenticator,
    tls: await authority.issue({ commonName: 'localhost', ipAddresses: ['127.0.0.1'], purpose: 'server' }),
  });
});
afterAll(async () => {
  await smtp.close();
  await link.close(200);
  await store[Symbol.asyncDispose]();
  await provider[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

/** Sends it as the client would; resolves with the reply. */
async function send(user: string, headers: readonly string[], notify = ''): Promise<string> {
  await using wire = await dial(smtp.ports.submission!);
  await wire.login(user, 'x');
  await wire.say(`MAIL FROM:<${user}>`);
  await wire.say(`RCPT TO:<${max}>${notify}`);
  await wire.say('DATA');
  return await wire.data([`From: <${user}>`, `To: <${max}>`, ...headers, '', 'Guten Tag', ''].join('\r\n'));
}

/** The entry that a 250 names, and the De-Mail as it lies in the recipient's mailbox. */
async function outcome(reply: string): Promise<{ entry: Entry & SubmissionEntry; demail: Buffer }> {
  const [, tenant, letter] = /^250 2\.0\.0 Accepted as ([a-z]+)\/(\d+)$/.exec(reply) ?? [];
  const entry = (await store.submissionOf(tenant!, Number(letter)))!;
  const done = Promise.withResolvers<void>();
  const look = async () => {
    if ((await store.openTransactions(tenant!)).length === 0) done.resolve();
  };
  const subscription = store.changes.subscribe(() => void look());
  const timer = setInterval(look, 25);
  await done.promise;
  clearInterval(timer);
  subscription[Symbol.dispose]();
  await provider.simulator.settled();
  const { privateId } = entry.transactions[0]!;
  const { simulator } = provider;
  const all = await Promise.all(
    simulator
      .messages('max.mustermann', INBOX)
      .map(({ uid }) => simulator.read('max.mustermann', INBOX, uid)),
  );
  const demail = all.find(
    (m) =>
      headerOf(m, 'X-de-mail-private-id') === privateId && headerOf(m, 'X-de-mail-message-type') === 'normal',
  );
  return { entry, demail: demail! };
}

const says = (demail: Buffer) =>
  [
    'confirmation-of-dispatch',
    'confirmation-of-receipt',
    'confirmation-of-retrieve',
    'authoritative',
    'private',
  ].filter((name) => headerOf(demail, `X-de-mail-${name}`) === 'yes');

it.each<[string, string, string[], string, string[], object[]]>([
  [
    'a delivery receipt',
    erika,
    ['Subject: 1'],
    ' NOTIFY=SUCCESS',
    ['confirmation-of-receipt'],
    [{ option: 'receipt', by: 'delivery-receipt', value: 'NOTIFY=SUCCESS' }],
  ],
  [
    'a read receipt',
    erika,
    ['Subject: 2', `Disposition-Notification-To: ${erika}`],
    '',
    ['confirmation-of-retrieve', 'private'],
    [
      { option: 'retrieval', by: 'read-receipt', value: erika },
      { option: 'private', by: 'implied' },
    ],
  ],
  [
    'sensitivity and importance',
    erika,
    ['Subject: 3', 'Sensitivity: Company-Confidential', 'X-Priority: 1 (Highest)'],
    '',
    ['authoritative', 'private'],
    [
      { option: 'authoritative', by: 'importance', value: '1 (Highest)' },
      { option: 'private', by: 'sensitivity', value: 'Company-Confidential' },
    ],
  ],
  [
    'tags, one of them against the delivery receipt',
    erika,
    ['Subject: =?utf-8?Q?[De-Mail:_pers=C3=B6nlich,_keine_Eingangsbest=C3=A4tigung]?= 4 [Az: 12/2026]'],
    ' NOTIFY=SUCCESS',
    ['private'],
    [{ option: 'private', by: 'subject-tag', value: 'persönlich' }],
  ],
  [
    'headers of an application',
    'fach@stadt.example',
    ['Subject: 5', 'X-de-mail-confirmation-of-dispatch: yes', 'X-Aktenzeichen: 7 C 3/26'],
    '',
    ['confirmation-of-dispatch'],
    [{ option: 'dispatch', by: 'header', value: 'yes' }],
  ],
  [
    'headers of somebody else, which say nothing',
    erika,
    ['Subject: 6', 'X-de-mail-private: yes'],
    '',
    [],
    [],
  ],
])('%s', async (_, user, headers, notify, sent, sources) => {
  const { entry, demail } = await outcome(await send(user, headers, notify));
  expect(entry.optionSources).toEqual(sources);
  expect(says(demail)).toEqual(sent);
});

it('the file reference is found, and goes along where it stood in the subject', async () => {
  const { entry, demail } = await outcome(
    await send(erika, ['Subject: [persoenlich] Bescheid [Az: 99/2026]', 'X-Other: y']),
  );
  expect(headerOf(demail, 'Subject')).toBe('Bescheid [Az: 99/2026]');
  const found = await store.search({ fileReference: '99/2026' });
  expect(found.map(({ tenant, index }) => `${tenant}/${index}`)).toEqual([`stadt/${entry.index}`]);
  expect(await store.search({ fileReference: '99' })).toEqual([]);
});

it.each<[string, string, string[], string]>([
  [
    'level',
    'erika@dorf.example',
    ['Sensitivity: Private'],
    'persoenlich, verlangt durch die Vertraulichkeit',
  ],
  ['level', 'erika@dorf.example', ['Subject: [Abholbestaetigung]'], 'Abholbestaetigung, verlangt im Betreff'],
  ['user', 'jan@stadt.example', ['Subject: [persoenlich]'], 'persoenlich, verlangt im Betreff'],
  [
    'user',
    'jan@stadt.example',
    ['Importance: high'],
    'absenderbestaetigt, verlangt durch die hohe Wichtigkeit',
  ],
  ['Reply-To', erika, [`Reply-To: ${max}`], max],
])('refuses by %s', async (_, user, headers, detail) => {
  const tenant = user.includes('dorf') ? 'dorf' : 'stadt';
  const before = (await store.head(tenant)).size;
  const reply = await send(user, headers);
  expect(reply).toMatch(/^550 5\.7\.1 /);
  expect(reply.endsWith(`(${detail})`)).toBe(true);
  // Confirmations of earlier letters may come at any time.
  const { size } = await store.head(tenant);
  for (let i = before; i < size; i += 1) expect((await store.entry(tenant, i))?.kind).not.toBe('submission');
});

it('holds the daily quota before the provider does', async () => {
  expect(await send('erika@dorf.example', ['Subject: eins'])).toMatch(/^250 /);
  expect(await send('erika@dorf.example', ['Subject: zwei'])).toMatch(/^450 4\.7\.1 .*1 von 1 verbraucht/);
});
