/**
 * The disk is lost. What a week-old backup brings back, alone and with the second copy; that nothing is sent twice, no
 * log is forked, and what is missing is named.
 */
import { createPrivateKey } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { openReader } from '../../src/cli/reader.ts';
import { createRecoveryIdentity } from '../../src/pki/recovery-identity.ts';
import { storePaths } from '../../src/store/sqlite/open.ts';
import { type Installation, installWithSimulator } from '../interop/peers/gateway.ts';
import { connectSmtp } from '../interop/peers/smtp-client.ts';

const tenant = 'ego-mv';
const sender = 'erika.mustermann@ego-mv.example';
const recipient = 'max.mustermann@buerger.de-mail.example';

async function install(secondCopy: boolean) {
  const elsewhere = await mkdtemp(join(tmpdir(), 'elsewhere-'));
  const at = (name: string) => join(elsewhere, name);
  await createRecoveryIdentity(elsewhere, 'geheim');
  // The passphrase would be asked for at a terminal.
  const opened = createPrivateKey({ key: readFileSync(at('recovery-key.pem')), passphrase: 'geheim' });
  writeFileSync(at('open-key.pem'), opened.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  const world = await installWithSimulator({}, (config) => {
    config.setIn(['keys', 'recovery'], [at('recovery.pem')]);
    config.setIn(['evidence', 'checkpointFolders'], [at('checkpoints')]);
    config.setIn(['preservation', 'backup'], { directory: at('backup'), keep: 3 });
    if (secondCopy) config.setIn(['preservation', 'secondCopy'], { directory: at('second') });
    const tenants = config.toJS() as { tenants: unknown[] };
    for (const i of tenants.tenants.keys()) config.setIn(['tenants', i, 'provider', 'fetchInterval'], '1s');
  });
  return {
    ...world,
    at,
    async [Symbol.asyncDispose]() {
      await world[Symbol.asyncDispose]();
      await rm(elsewhere, { recursive: true });
    },
  };
}

/** Database, object files, keys, and the checkpoints beside them. */
async function loseDisk({ directory }: Installation): Promise<void> {
  for (const name of await readdir(directory))
    if (/^(store\.sqlite|objects|keys|recovery|checkpoints|scrub|gateway\.(pid|lock)|control)/.test(name))
      await rm(join(directory, name), { recursive: true });
}

async function send(installation: Installation, id: string, lines = 20): Promise<string> {
  using client = await connectSmtp(installation.ports.relay);
  return await client.send(
    sender,
    [recipient],
    Buffer.from(
      `From: ${sender}\r\nTo: ${recipient}\r\nSubject: ${id}\r\nMessage-ID: <${id}@ego-mv.example>\r\n\r\n${'a line of some length to fill the body of a message\r\n'.repeat(lines)}`,
    ),
  );
}

async function until<T>(look: () => Promise<T | false | undefined>, what: string): Promise<T> {
  for (let tries = 0; tries < 600; tries++) {
    const found = await look();
    if (found !== false && found !== undefined) return found;
    await wait(100);
  }
  throw new Error(`never: ${what}`);
}

const queue = async (installation: Installation) =>
  (await installation.run('queue', 'list', '--json')).stdout
    .split('\n')
    .filter((line) => line !== '')
    .map(
      (line) => JSON.parse(line) as { index: number; state: string; attempts: number; last_reply: string },
    );

/** Message-IDs among the provider's Sent copies, sorted: each hand-over once. */
async function handedOver(world: Awaited<ReturnType<typeof install>>): Promise<string[]> {
  const { simulator } = world;
  const ids: string[] = [];
  for (const { uid } of simulator.messages(tenant, 'Sent')) {
    const text = (await simulator.read(tenant, 'Sent', uid)).toString('latin1');
    ids.push(/^Subject: (.*)\r$/m.exec(text)![1]!);
  }
  return ids.sort();
}

test('a week-old backup alone: nothing is signed or sent until an operator decides, and nothing is sent twice', async () => {
  await using world = await install(false);
  const { installation, simulator, at } = world;
  let gateway = await installation.start();
  simulator.faults.deferData = 1;
  expect(await send(installation, 'waits', 4000)).toMatch(/^250/);
  await until(async () => (await queue(installation))[0]?.last_reply?.startsWith('451'), 'deferred');
  const made = await installation.run('backup', 'create');
  expect(made).toMatchObject({ code: 0, stdout: expect.stringContaining('read back and compared') });
  // The week after it.
  expect(
    await installation.run('queue', 'retry', '<waits@ego-mv.example>', '--reason', 'test'),
  ).toMatchObject({
    code: 0,
  });
  await until(async () => (await queue(installation)).length === 0, 'handed over');
  expect(await send(installation, 'lost')).toMatch(/^250/);
  await until(async () => (await queue(installation)).length === 0, 'handed over');
  await wait(1500);
  gateway.kill('SIGKILL');
  await gateway.exited;
  await loseDisk(installation);

  const restored = await installation.run(
    ...['backup', 'restore', '--from', at('backup'), '--to', installation.directory],
    ...['--recovery-key', at('open-key.pem')],
  );
  expect(restored.stderr).toBe('');
  expect(restored.code).toBe(1);
  expect(restored.stdout).toMatch(/^restored in \d+\.\d s: generation /);
  expect(restored.stdout).toMatch(
    /ego-mv: entries ego-mv\/\d+ to ego-mv\/\d+ are missing: .*checkpoints\/ego-mv signs them/,
  );
  expect(restored.stdout).toMatch(/ego-mv: 1 hand-overs and 0 forwardings are held/);

  gateway = await installation.start();
  expect(await send(installation, 'refused')).toMatch(/^4/);
  const log = await installation.run('evidence', 'log', tenant);
  expect(log.code).toBe(1);
  expect(log.stdout).toMatch(/HELD since .*: restore: restored from the backup/);
  expect(await handedOver(world)).toEqual(['lost', 'waits']);

  const closed = await installation.run('evidence', 'close-log', tenant, '--reason', 'disk lost');
  expect(closed).toMatchObject({ code: 0 });
  // The provider keeps a Sent copy: it settles what was in doubt, without anybody.
  await until(async () => (await queue(installation)).length === 0, 'settled by the Sent copy');
  expect(await send(installation, 'afterwards')).toMatch(/^250/);
  await until(async () => (await handedOver(world)).includes('afterwards'), 'handed over');
  expect(await handedOver(world)).toEqual(['afterwards', 'lost', 'waits']);
  const verified = await installation.run('evidence', 'verify', '--deep');
  expect(verified.stdout).toMatch(/ 0 findings, 0 undecided\n$/);
  gateway.kill('SIGTERM');
  expect(await gateway.exited).toBe(0);
}, 300_000);

test('with the second copy nothing acknowledged is lost, killed at any moment', async () => {
  await using world = await install(true);
  const { installation, at } = world;
  const acknowledged: string[] = [];
  let sent = 0;
  async function load(): Promise<void> {
    try {
      for (;;) {
        const id = `load-${sent++}`;
        if ((await send(installation, id, sent % 4 === 0 ? 4000 : 20)).startsWith('250'))
          acknowledged.push(id);
      }
    } catch {
      // killed
    }
  }

  for (const moment of [300, 700, 1500]) {
    const gateway = await installation.start();
    await until(async () => (await installation.run('backup', 'create')).code === 0, 'a backup');
    const clients = [load(), load(), load()];
    await wait(moment);
    gateway.kill('SIGKILL');
    await gateway.exited;
    await Promise.all(clients);
    await loseDisk(installation);
    const restored = await installation.run(
      ...['backup', 'restore', '--from', at('backup'), '--second-copy', at('second')],
      ...['--to', installation.directory, '--recovery-key', at('open-key.pem'), '--json'],
    );
    expect(restored.stderr).toBe('');
    expect(JSON.parse(restored.stdout)).toMatchObject({
      complete: true,
      missingObjects: [],
      missingKeys: [],
      lost: [],
    });
    expect(restored.code).toBe(0);
    using reader = openReader(storePaths({ directory: installation.directory }));
    for (const id of acknowledged)
      expect(await reader.resolve(`<${id}@ego-mv.example>`, tenant), id).not.toHaveLength(0);
  }
  const gateway = await installation.start();
  await until(async () => (await installation.run('backup', 'create')).code === 0, 'a backup');
  // One log all the way, and nothing twice at the provider.
  expect((await installation.run('evidence', 'log', tenant)).stdout).not.toMatch(/closed|HELD/);
  const subjects = await handedOver(world);
  expect(subjects).toEqual([...new Set(subjects)]);
  gateway.kill('SIGTERM');
  expect(await gateway.exited).toBe(0);
  const verified = await installation.run('evidence', 'verify', '--deep');
  expect(verified.stdout).toMatch(/ 0 findings, 0 undecided\n$/);
  console.log(`${sent} begun, ${acknowledged.length} acknowledged, ${subjects.length} handed over`);
  expect(acknowledged.length).toBeGreaterThan(5);
}, 600_000);
