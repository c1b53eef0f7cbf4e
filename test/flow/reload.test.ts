import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { ImapFlow } from 'imapflow';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { hashPassword } from '../../src/directory/password.ts';
import { type Gateway, startGateway } from '../../src/gateway.ts';
import { silentLog } from '../../src/observe/log.ts';
import { type Authority, createAuthority } from '../../src/pki/authority.ts';

const hash = await hashPassword('geheim');
const other = await hashPassword('anders');
let folder: string;
let authority: Authority;
let gateway: Gateway;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'reload-'));
  authority = await createAuthority({ name: 'Reload CA' });
  await renewCertificate();
  await writeConfig();
  const file = join(folder, 'gateway.yaml');
  const load = () => loadConfig(file);
  gateway = await startGateway({ config: load(), configFile: file, log: silentLog(), load });
});
afterAll(async () => {
  await gateway.close();
  await rm(folder, { recursive: true, force: true });
});

// Each test begins with what the first one began with.
beforeEach(async () => {
  await renewCertificate();
  await writeConfig();
  expect(await gateway.reload()).toMatchObject({ tenants: 1 });
});

async function renewCertificate() {
  const { certificate, key } = await authority.issue({
    commonName: 'gateway',
    dnsNames: ['localhost'],
    purpose: 'server',
  });
  await writeFile(join(folder, 'server.pem'), certificate);
  await writeFile(join(folder, 'server.key'), key, { mode: 0o600 });
}

function tenant(id: string, users: object[]) {
  return {
    id,
    name: id,
    internalDomains: [`${id}.example`],
    demailDomains: [`${id}.de-mail.example`],
    provider: {
      account: id,
      smtp: { host: '127.0.0.1', port: 1, security: 'none' },
      imap: { host: '127.0.0.1', port: 1, security: 'none' },
    },
    users,
    fallbackMailbox: `erika@${id}.example`,
    operators: [`erika@${id}.example`],
  };
}

const erika = { login: 'erika@stadt.example', passwordHash: hash };
const jan = { login: 'jan@stadt.example', passwordHash: hash };

async function writeConfig(tenants = [tenant('stadt', [erika, jan])], more: object = {}) {
  const listener = { address: '127.0.0.1', port: 0 };
  const config = {
    data: 'data',
    tls: { certificate: 'server.pem', key: 'server.key' },
    demailDomains: ['*.de-mail.example'],
    listeners: { submissions: listener, relay: listener, imaps: listener },
    tenants,
    ...more,
  };
  await writeFile(join(folder, 'gateway.yaml'), JSON.stringify(config, null, 2));
}

async function logIn(user: string, pass = 'geheim') {
  const client = new ImapFlow({
    host: 'localhost',
    port: gateway.ports.imaps!,
    secure: true,
    auth: { user, pass },
    tls: { ca: authority.certificate, servername: 'localhost' },
    logger: false,
  });
  client.on('error', () => {});
  await client.connect();
  return client;
}

/** Fingerprint of the certificate that a new connection is shown. */
function shown(listener: 'imaps' | 'submissions'): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connectTls(
      {
        host: '127.0.0.1',
        port: gateway.ports[listener]!,
        servername: 'localhost',
        ca: authority.certificate,
      },
      () => {
        resolve(socket.getPeerX509Certificate()!.fingerprint256);
        socket.destroy();
      },
    );
    socket.once('error', reject);
  });
}

it('shows a renewed certificate to new connections, and leaves the others alone', async () => {
  const before = await shown('imaps');
  expect(await shown('submissions')).toBe(before);
  const client = await logIn('erika@stadt.example');
  await renewCertificate();
  expect(await gateway.reload()).toMatchObject({ tenants: 1, needRestart: [] });
  const after = await shown('imaps');
  expect(after).not.toBe(before);
  expect(await shown('submissions')).toBe(after);
  await client.noop();
  expect(client.usable).toBe(true);
  await client.logout();
});

it('takes over tenants and users; who lost a right has to log in again, also in IDLE', async () => {
  const kept = await logIn('erika@stadt.example');
  const gone = await logIn('jan@stadt.example');
  await gone.mailboxOpen('INBOX');
  const ended = new Promise((resolve) => gone.once('close', resolve));
  void gone.idle();
  await expect(logIn('erika@dorf.example')).rejects.toThrow();

  await writeConfig([
    tenant('stadt', [erika]),
    tenant('dorf', [{ login: 'erika@dorf.example', passwordHash: other }]),
  ]);
  expect(await gateway.reload()).toMatchObject({ tenants: 2, added: ['dorf'], removed: [] });
  await ended;
  await (await logIn('erika@dorf.example', 'anders')).logout();
  await expect(logIn('jan@stadt.example')).rejects.toThrow();
  await kept.noop();
  expect(kept.usable).toBe(true);
  await kept.logout();
});

it.each([
  ['a file that is no configuration', 'tenants: 7', /tenants/],
  ['a file that is no YAML', 'a: [', /gateway\.yaml:1/],
])('%s changes nothing, and says why', async (_, text, reason) => {
  await writeFile(join(folder, 'gateway.yaml'), text);
  const answer = await gateway.reload();
  expect('errors' in answer && answer.errors.join('\n')).toMatch(reason);
  await (await logIn('jan@stadt.example')).logout();
  await writeConfig([tenant('stadt', [erika])]);
  expect(await gateway.reload()).toMatchObject({ tenants: 1 });
  await expect(logIn('jan@stadt.example')).rejects.toThrow();
});

it('a key that does not belong to the certificate changes nothing, users neither', async () => {
  const before = await shown('imaps');
  const { key } = await authority.issue({
    commonName: 'another',
    dnsNames: ['localhost'],
    purpose: 'server',
  });
  await writeFile(join(folder, 'server.key'), key, { mode: 0o600 });
  await writeConfig([tenant('stadt', [erika])]);
  expect('errors' in (await gateway.reload())).toBe(true);
  expect(await shown('imaps')).toBe(before);
  await (await logIn('jan@stadt.example')).logout();
});

it('names what needs a restart', async () => {
  await writeConfig(undefined, { limits: { recipients: 7 } });
  expect(await gateway.reload()).toMatchObject({ needRestart: ['limits'] });
  expect(await gateway.reload()).toMatchObject({ needRestart: ['limits'] });
});
