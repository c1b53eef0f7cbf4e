/** Commands on a store whose gateway does not run: what they commit is in the second copy, or they do nothing. */
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readCommitCount } from '../../src/store/sqlite/commit-count.ts';
import { openSqliteStore, storePaths } from '../../src/store/sqlite/open.ts';
import { install, loseDisk, queue, send, tenant, until, type World } from './peers/copies-elsewhere.ts';

let world: World;
beforeAll(async () => {
  world = await install(true);
  const gateway = await world.installation.start();
  expect(await send(world.installation, 'first')).toMatch(/^250/);
  await until(async () => (await queue(world.installation)).length === 0, 'handed over');
  expect((await world.installation.run('backup', 'create')).code).toBe(0);
  gateway.kill('SIGTERM');
  expect(await gateway.exited).toBe(0);
});
afterAll(() => world?.[Symbol.asyncDispose]());

const count = () => readCommitCount(storePaths({ directory: world.installation.directory }).file)!;

it('refuses, and does nothing, where the second copy cannot be written', async () => {
  const { installation, at } = world;
  renameSync(at('second'), at('away'));
  writeFileSync(at('second'), '');
  const before = count();
  const locked = await installation.run('tenant', 'lock', tenant, '--reason', 'test');
  expect(locked).toMatchObject({ code: 69, stderr: expect.stringMatching(/one disk alone.*second/) });
  expect((await installation.run('tenant', 'list')).stdout).toContain(`${tenant}  unlocked`);
  expect(count().epoch).toBe(before.epoch);
  rmSync(at('second'));
  renameSync(at('away'), at('second'));
});

it('refuses without a configuration, which alone says where the second copy lies', async () => {
  const { installation } = world;
  const options = ['--data', installation.directory, '--reason', 'test'];
  const locked = await installation.bare('tenant', 'lock', tenant, ...options);
  expect(locked).toMatchObject({ code: 78, stderr: expect.stringContaining('--config') });
});

it('brings each of its commits into the second copy, which goes on as it was', async () => {
  const { installation, at } = world;
  const { epoch } = count();
  const reason = ['--reason', 'test'];
  for (const command of [
    ['tenant', 'lock', tenant, ...reason],
    ['tenant', 'unlock', tenant, ...reason],
    ['retention', 'hold', '<first@ego-mv.example>', ...reason],
    ['evidence', 'search', '--tenant', tenant],
    ['keys', 'rotate', tenant, ...reason],
    ['evidence', 'rotate-log-key', tenant, ...reason],
  ])
    expect(await installation.run(...command), command.join(' ')).toMatchObject({ code: 0, stderr: '' });
  expect(count().epoch).toBe(epoch);
  const check = (await installation.run('check')).stdout;
  expect(check).toMatch(/ok +second copy .*every commit of the store/);
  const head = await headOf();
  await loseDisk(installation);
  const restored = await installation.run(
    ...['backup', 'restore', '--from', at('backup'), '--second-copy', at('second')],
    ...['--to', installation.directory, '--recovery-key', at('open-key.pem'), '--json'],
  );
  expect(JSON.parse(restored.stdout)).toMatchObject({ complete: true, lost: [] });
  expect(await headOf()).toBe(head);
  expect((await installation.run('retention', 'holds')).stdout).toContain(`${tenant}/`);
});

it('says so where commits were made past it, makes a backup, and is whole again', async () => {
  const { installation } = world;
  const start = async () => {
    const gateway = await installation.start();
    await until(
      async () => (await installation.run('backup', 'list')).stdout.split('\n').length > 2,
      'backup',
    );
    gateway.kill('SIGTERM');
    await gateway.exited;
  };
  // The restored store begins an epoch of its own, and a backup leads to it.
  await start();
  {
    await using store = await openSqliteStore({
      directory: installation.directory,
      checkpointFolders: [world.at('checkpoints')],
      originPrefix: 'unused',
    });
    await store.setLock(tenant, { locked: false, actor: { type: 'operator', name: 'x' }, reason: 'y' });
    await store.recordAccess(tenant, { actor: { type: 'operator', name: 'x' }, action: 'show', query: 'y' });
  }
  const { stdout, code } = await installation.run('check');
  expect(stdout).toMatch(/FINDING +second copy .*commits \d+ to \d+ are not in it/);
  expect(code).toBe(1);
  const gateway = await installation.start();
  await until(async () => {
    const incidents = (await installation.run('incident', 'list', '--json')).stdout;
    return gateway.log().includes('were made past it') && !incidents.includes('second-copy');
  }, 'the incident begins and ends');
  expect((await installation.run('check')).stdout).toMatch(/ok +second copy .*before-250, commit/);
  gateway.kill('SIGTERM');
  expect(await gateway.exited).toBe(0);
});

it('warns of a backup that lacks recovery copies of keys', async () => {
  const { installation } = world;
  const copies = `${installation.directory}/recovery`;
  expect((await installation.run('backup', 'create')).stderr).not.toContain('recovery copy');
  renameSync(copies, `${copies}.away`);
  const { stderr } = await installation.run('backup', 'create');
  expect(stderr).toContain(`${tenant}: no recovery copy of its keys is in this backup`);
  renameSync(`${copies}.away`, copies);
});

async function headOf(): Promise<number> {
  const line = (await world.installation.run('evidence', 'log', tenant, '--json')).stdout;
  return (JSON.parse(line) as { logs: { base: number; size: number }[] }).logs.reduce(
    (_, { base, size }) => base + size,
    0,
  );
}
