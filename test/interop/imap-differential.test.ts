/**
 * Random command sequences against Dovecot and the facade side by side: same mailboxes, same messages, same commands,
 * and after each of them the same answer, up to the differences that are listed. `DIFFERENTIAL_SEQUENCES` runs more of
 * them, `DIFFERENTIAL_SEED` others.
 */
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { hashPassword } from '../../src/directory/password.ts';
import { type ImapWorld, openImapWorld, PASSWORD } from '../../src/imap/testing/world.ts';
import { createAuthority } from '../../src/pki/authority.ts';
import { compare, type Servers } from './differential/compare.ts';
import { differences } from './differential/differences.ts';
import { sequences } from './differential/sequences.ts';
import { type Dovecot, startDovecot } from './peers/dovecot.ts';

const count = Number(process.env.DIFFERENTIAL_SEQUENCES ?? 120);
const seed = Number(process.env.DIFFERENTIAL_SEED ?? 3501);
/** Each sequence has a user of its own; those of shrinking included. */
const users = Array.from({ length: count + 500 }, (_, index) => `u${index}@stadt.example`);

let world: ImapWorld;
let dovecot: Dovecot;
let folder: string;
let servers: Servers;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'demail-differential-'));
  await chmod(folder, 0o755);
  const passwordHash = await hashPassword(PASSWORD);
  world = await openImapWorld(
    { badCommands: 1000 },
    {
      users: users.map((login) => ({ login, passwordHash })),
      sharedMailboxes: [],
      fallbackMailbox: users[0],
      operators: [users[0]],
    },
  );
  const issuer = await createAuthority({ name: 'dovecot' });
  const issued = await issuer.issue({
    commonName: 'localhost',
    dnsNames: ['localhost'],
    ipAddresses: ['127.0.0.1'],
    purpose: 'server',
  });
  await writeFile(join(folder, 'cert.pem'), issued.certificate);
  await writeFile(join(folder, 'key.pem'), issued.key);
  dovecot = await startDovecot({
    certificate: join(folder, 'cert.pem'),
    key: join(folder, 'key.pem'),
    users: Object.fromEntries(users.map((login) => [login, PASSWORD])),
    settings: [
      'mail_fsync = never',
      'namespace inbox {',
      'separator = /',
      'mailbox Sent {\n auto = no\n}',
      ...Object.entries({
        INBOX: null,
        'De-Mail-Bestätigungen': null,
        Gesendet: '\\Sent',
        Entwürfe: '\\Drafts',
        Papierkorb: '\\Trash',
        Archiv: '\\Archive',
      }).map(
        ([name, use]) => `mailbox "${name}" {\n auto = subscribe\n${use ? `special_use = ${use}\n` : ''}}`,
      ),
      '}',
    ].join('\n'),
  });
  servers = {
    ours: { port: world.ports.imaps, authority: world.authority },
    theirs: { port: dovecot.imaps, authority: issuer.certificate },
  };
});
afterAll(async () => {
  await dovecot?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

it(`${count} sequences, seed ${seed}`, async () => {
  const free = users.values();
  await fc.assert(
    fc.asyncProperty(sequences, async (sequence) => {
      const login = free.next().value;
      if (login === undefined) throw new Error('no user is left');
      await compare(servers, [login, PASSWORD], sequence);
    }),
    { numRuns: count, seed },
  );
}, 1_000_000);

it('every listed difference stands in docs/imap.md', async () => {
  const page = (await readFile(new URL('../../docs/imap.md', import.meta.url), 'utf8')).replace(/\s+/g, ' ');
  for (const { reason } of differences) expect(page).toContain(reason);
});
