/**
 * The disk is lost. What a week-old backup brings back, alone and with the second copy; that nothing is sent twice, no
 * log is forked, and what is missing is named.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { openReader } from '../../src/cli/reader.ts';
import { storePaths } from '../../src/store/sqlite/open.ts';
import {
  install,
  loseDisk,
  queue,
  send,
  tenant,
  until,
  type World,
} from '../interop/peers/copies-elsewhere.ts';

/** Message-IDs among the provider's Sent copies, sorted: each hand-over once. */
async function handedOver(world: World): Promise<string[]> {
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
