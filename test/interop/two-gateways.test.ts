/**
 * Two gateways, each a process, that witness each other by HTTP. One is put back to an older state and goes on from
 * there: the other does not cosign that, mail is held, and operators, `check` and `evidence log` say so.
 */
import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { parseDocument } from 'yaml';
import { openReader } from '../../src/cli/reader.ts';
import { createCosigner } from '../../src/evidence/cosignature.ts';
import { writeSecret } from '../../src/store/key-files.ts';
import { storePaths } from '../../src/store/sqlite/open.ts';
import { type GatewayProcess, type Installation, installWithSimulator } from './peers/gateway.ts';
import { freePort } from './peers/port.ts';
import { connectSmtp } from './peers/smtp-client.ts';

const tenant = 'stadt-waren';
const sender = `erika.mustermann@${tenant}.example`;
const citizen = 'karl.never@buerger.de-mail.example';

interface District {
  readonly hostname: string;
  readonly installation: Installation;
  readonly witnessPort: number;
  gateway: GatewayProcess;
}

const opened = new AsyncDisposableStack();
let north: District;
let south: District;

beforeAll(async () => {
  north = await district('north.example');
  south = await district('south.example');
  await witnessEachOther();
});
afterAll(() => opened.disposeAsync());

async function district(hostname: string): Promise<District> {
  const witnessPort = await freePort();
  const { installation } = opened.use(
    await installWithSimulator({}, (config) => {
      config.set('hostname', hostname);
      config.deleteIn(['preservation']);
    }),
  );
  return { hostname, installation, witnessPort, gateway: await installation.start() };
}

/** As docs/configuration.md says: origin and keys of a log from `evidence log`, and the key of each witness. */
async function witnessEachOther(): Promise<void> {
  const witnessKey = (of: District) => {
    const { privateKey } = generateKeyPairSync('ed25519');
    const directory = join(of.installation.directory, 'witness');
    mkdirSync(directory, { mode: 0o700 });
    writeSecret(
      join(directory, 'witness.key'),
      Buffer.from(privateKey.export({ type: 'pkcs8', format: 'pem' })),
    );
    return createCosigner(`${of.hostname}/witness`, privateKey).key;
  };
  const keys = new Map([north, south].map((of) => [of, witnessKey(of)]));
  for (const [own, other] of [
    [north, south],
    [south, north],
  ] as const) {
    const said = await other.installation.run('evidence', 'log', tenant, '--json');
    const { logs } = JSON.parse(said.stdout) as { logs: { origin: string; keys: { key: string }[] }[] };
    const document = parseDocument(await readFile(own.installation.configFile, 'utf8'));
    document.set('witness', {
      name: `${own.hostname}/witness`,
      directory: 'witness',
      listen: { address: '127.0.0.1', port: own.witnessPort },
      logs: logs.map((log) => ({ origin: log.origin, keys: log.keys.map(({ key }) => key) })),
    });
    document.set('evidence', {
      interval: '1s',
      witnesses: [{ url: `http://127.0.0.1:${other.witnessPort}`, key: keys.get(other) }],
    });
    await writeFile(own.installation.configFile, document.toString());
  }
  for (const own of [north, south]) {
    await stop(own);
    own.gateway = await own.installation.start();
  }
}

async function stop({ gateway }: District): Promise<void> {
  gateway.kill('SIGTERM');
  expect(await gateway.exited).toBe(0);
}

async function mail({ installation }: District, subject: string): Promise<string> {
  using client = await connectSmtp(installation.ports.relay);
  const bytes = `From: ${sender}\r\nTo: ${citizen}\r\nSubject: ${subject}\r\n\r\nText\r\n`;
  return await client.send(sender, [citizen], Buffer.from(bytes));
}

async function look<T>(
  { installation }: District,
  read: (reader: ReturnType<typeof openReader>) => Promise<T>,
) {
  using reader = openReader(storePaths({ directory: installation.directory }));
  return await read(reader);
}
const newest = (of: District) => look(of, async (reader) => (await reader.logs(tenant)).at(-1)!);
const cosigned = (of: District) =>
  vi.waitFor(
    async () => {
      const [log, last] = await look(of, async (reader) => [
        (await reader.logs(tenant)).at(-1)!,
        await reader.cosigned(tenant),
      ]);
      expect(last?.size).toBe(log.size);
      return log;
    },
    { timeout: 60_000, interval: 200 },
  );

it('cosign what the other signs, and each verifies with the key of its witness', async () => {
  for (const of of [north, south]) {
    expect(await mail(of, 'first')).toMatch(/^250 /);
    await cosigned(of);
    const { code, stdout, stderr } = await of.installation.run('evidence', 'verify');
    expect(code, stdout + stderr).toBe(0);
    expect((await of.installation.run('check')).stdout).toMatch(/witness .*\/witness/);
  }
});

it('hold the one that was put back and went on, with mail, until its log is closed', async () => {
  await stop(north);
  const folder = north.installation.directory;
  const snapshot = opened.adopt(await mkdtemp(join(tmpdir(), 'snapshot-')), (at) =>
    rm(at, { recursive: true }),
  );
  await cp(folder, snapshot, { recursive: true, filter: (from) => !from.endsWith('.sock') });
  north.gateway = await north.installation.start();
  expect(await mail(north, 'lost')).toMatch(/^250 /);
  await cosigned(north);
  await stop(north);
  const { size: seen } = await newest(north);

  // The whole machine is as it was; while the neighbour is out of reach it goes on, and signs another history.
  await putBack(snapshot, folder);
  await stop(south);
  north.gateway = await north.installation.start();
  for (let n = 0; (await newest(north)).size <= seen; n++)
    expect(await mail(north, `other ${n}`)).toMatch(/^250 /);
  south.gateway = await south.installation.start();

  const [hold] = await vi.waitFor(
    async () => {
      const found = await look(north, (reader) => reader.holds(tenant));
      expect(found).toHaveLength(1);
      return found;
    },
    { timeout: 60_000, interval: 200 },
  );
  expect(hold).toMatchObject({ source: 'witness south.example/witness' });
  expect(hold!.knownSize).toBeLessThanOrEqual(seen);
  await vi.waitFor(async () => expect(await mail(north, 'held')).toMatch(/^4\d\d /), { timeout: 30_000 });
  expect(south.gateway.log()).toMatch(/a log forked: not cosigned/);

  const check = await north.installation.run('check');
  expect(check.code).toBe(1);
  expect(check.stdout).toMatch(/log .*stadt-waren.*witness south\.example\/witness/);
  const listed = await north.installation.run('evidence', 'log', tenant);
  expect(listed.code).toBe(1);
  expect(listed.stdout).toMatch(/HELD since .*: witness south\.example\/witness: the first \d+ entries/);
  await vi.waitFor(
    async () =>
      expect(await operatorMails(north)).toEqual(
        expect.arrayContaining([expect.stringMatching(/<log-held\.[0-9a-f]+@/)]),
      ),
    { timeout: 30_000 },
  );

  const closed = await north.installation.run('evidence', 'close-log', tenant, '--reason', 'restored');
  expect(closed.code, closed.stdout + closed.stderr).toBe(0);
  expect(await mail(north, 'goes on')).toMatch(/^250 /);
  expect(await look(north, (reader) => reader.holds(tenant))).toEqual([]);
});

async function putBack(snapshot: string, folder: string): Promise<void> {
  for (const name of await readdir(folder))
    if (name !== 'simulator') await rm(join(folder, name), { recursive: true });
  await cp(snapshot, folder, { recursive: true, filter: (from) => from !== join(snapshot, 'simulator') });
}

/** Message ids in the INBOX of the tenant's operator. */
async function operatorMails(of: District): Promise<string[]> {
  return await look(of, async (reader) => {
    const owner = { type: 'user', name: `jan.petersen@${tenant}.example` } as const;
    const inbox = (await reader.mailbox(tenant, owner, 'INBOX'))!;
    const uids = (await reader.messages(tenant, inbox.id)).map(({ uid }) => uid);
    return (await reader.contents(tenant, inbox.id, uids)).map(({ index }) => JSON.stringify(index));
  });
}
