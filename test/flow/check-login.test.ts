import { X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest';
import { exit } from '../../src/cli/exit.ts';
import { runCommandLine } from '../../src/cli/program.ts';
import { weekdays } from '../../src/demail/calendar.ts';
import { openSqliteStore } from '../../src/store/sqlite/open.ts';
import { openSimulator, type SimulatedProvider } from './provider-world.ts';

let provider: SimulatedProvider;
let folder: string;
let printed: string[];
beforeAll(async () => {
  provider = await openSimulator();
});
afterAll(() => provider[Symbol.asyncDispose]());
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'check-login-'));
  await writeConfig();
  printed = [];
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => printed.push(String(text)) > 0);
  vi.spyOn(process.stderr, 'write').mockImplementation(() => true);
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(folder, { recursive: true, force: true });
});

/** An account at level high whose window is on another day than this one, in any time zone. */
async function writeConfig() {
  const { stadt } = await provider.accounts({
    authLevel: 'high',
    loginCalendar: {
      windows: [{ days: [weekdays[(new Date().getUTCDay() + 3) % 7]], from: '00:00', to: '24:00' }],
    },
  });
  const { certificate, key } = (stadt as { clientIdentity: { certificate: string; key: string } })
    .clientIdentity;
  const endpoint = (side: object) => ({ ...side, serverName: 'localhost' });
  const account = stadt as { smtp: object; imap: object };
  const config = {
    data: 'data',
    tls: { certificate, key },
    demailDomains: ['*.de-mail.example'],
    tenants: [
      {
        id: 'stadt',
        name: 'Stadt',
        internalDomains: ['stadt.example'],
        demailDomains: ['stadt.de-mail.example'],
        provider: { ...stadt, smtp: endpoint(account.smtp), imap: endpoint(account.imap) },
        users: [{ login: 'jan@stadt.example', passwordHashFile: 'hash' }],
        fallbackMailbox: 'jan@stadt.example',
        operators: ['jan@stadt.example'],
      },
    ],
  };
  const hash =
    '$argon2id$v=19$m=19456,t=2,p=1$42GDtudmNZwgyLEuXrExXQ$/vjUI64nLgQeNqXfHnjfBjEhStp/UMoyc4SP45rMXe0';
  await writeFile(join(folder, 'hash'), `${hash}\n`, { mode: 0o600 });
  await writeFile(join(folder, 'gateway.yaml'), JSON.stringify(config));
}

async function check(...args: string[]) {
  printed.length = 0;
  const code = await runCommandLine(['check', ...args, '--config', join(folder, 'gateway.yaml'), '--json']);
  const results = printed.map((line) => JSON.parse(line)) as {
    check: string;
    subject: string;
    detail: string;
  }[];
  return { code, logins: results.filter((result) => result.check === 'login') };
}

const openStore = () => openSqliteStore({ directory: join(folder, 'data'), originPrefix: 'localhost' });

async function recorded() {
  await using store = await openStore();
  const { size } = await store.head('stadt');
  const entries = await Promise.all(Array.from({ length: size }, (_, index) => store.entry('stadt', index)));
  return entries.filter((entry) => entry?.kind === 'login-intent' || entry?.kind === 'login-outcome');
}

it('never logs in without --login, nor at level high without a reason', async () => {
  {
    await using store = await openStore();
    await store.openTenant('stadt');
  }
  const before = provider.simulator.counts();
  expect(await check()).toMatchObject({ logins: [] });
  expect(await check('--login')).toEqual({ code: exit.usage, logins: [] });
  expect(await check('--reason', 'allein')).toEqual({ code: exit.usage, logins: [] });
  expect(await check('--login', '--tenant', 'dorf')).toEqual({ code: exit.usage, logins: [] });
  expect(await recorded()).toEqual([]);
  expect(provider.simulator.counts()).toEqual(before);
});

it('keeps to the calendar unless told otherwise, and records each login where no gateway runs', async () => {
  {
    await using store = await openStore();
    await store.openTenant('stadt');
  }
  const refused = await check('--login', '--reason', 'neue Karte');
  expect(refused.code).toBe(exit.finding);
  expect(refused.logins.map(({ detail }) => detail)).toEqual([
    expect.stringContaining('not tried: waits for login window'),
    expect.stringContaining('not tried: waits for login window'),
  ]);
  expect(await recorded()).toEqual([]);
  const found = await check('--login', '--reason', 'neue Karte', '--outside-hours');
  expect(found.logins.map(({ detail }) => detail)).toContainEqual(expect.stringContaining('logged in'));
  expect((await recorded()).map((entry) => entry!.kind)).toEqual([
    'login-intent',
    'login-outcome',
    'login-intent',
    'login-outcome',
  ]);
});

it('locks what uses a client certificate, without a gateway, so that not even a check logs in', async () => {
  {
    await using store = await openStore();
    await store.openTenant('stadt');
  }
  const identity = await provider.simulator.clientIdentity('stadt');
  const { fingerprint256 } = new X509Certificate(await readFile(identity.certificateFile));
  const set = (command: string, key: string) =>
    runCommandLine([
      'tenant',
      command,
      '--account-key',
      key,
      '--reason',
      'Karte weg',
      '--config',
      join(folder, 'gateway.yaml'),
    ]);
  expect(await set('lock', 'ab'.repeat(32))).toBe(exit.usage);
  expect(await set('lock', 'keiner')).toBe(exit.usage);
  expect(await set('lock', `sha256 Fingerprint=${fingerprint256}`)).toBe(exit.good);
  const { logins } = await check('--login', '--reason', 'trotzdem', '--outside-hours');
  expect(logins.map(({ detail }) => detail)).toEqual([
    expect.stringContaining('Karte weg'),
    expect.stringContaining('Karte weg'),
  ]);
  expect(await set('unlock', fingerprint256.replaceAll(':', ''))).toBe(exit.good);
  await using store = await openStore();
  expect(await store.lock('stadt')).toBeNull();
  const operations = [await store.entry('stadt', 1), await store.entry('stadt', 2)];
  const subject = `stadt, account key ${fingerprint256.replaceAll(':', '').toLowerCase()}`;
  expect(operations).toMatchObject([
    { kind: 'operation', action: 'lock', subject, reason: 'Karte weg' },
    { kind: 'operation', action: 'unlock', subject },
  ]);
});

it('makes no store for it, and says that nothing is recorded', async () => {
  const { logins } = await check('--login', '--reason', 'vor dem ersten Start', '--outside-hours');
  expect(logins.at(-1)).toMatchObject({
    subject: 'stadt record',
    detail: expect.stringContaining('no store'),
  });
  expect(existsSync(join(folder, 'data'))).toBe(false);
});
