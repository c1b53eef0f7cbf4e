import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lockStore, runningGateway } from './lock.ts';
import { Unavailable } from './unavailable.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'lock-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** Another process that takes the lock, says so, and keeps it until it is killed. */
async function holder(role: 'gateway' | 'command') {
  const code = `
    const { lockStore } = await import(${JSON.stringify(new URL('./lock.ts', import.meta.url).href)});
    const lock = await lockStore(${JSON.stringify(dir)}, ${JSON.stringify(role)});
    process.stdout.write('held');
    process.stdin.resume();
    process.stdin.on('end', () => { lock[Symbol.dispose](); process.exit(0); });`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  return child;
}

test('a second gateway is refused, and told which process holds the store', async () => {
  const first = await holder('gateway');
  const refusal = await lockStore(dir, 'gateway').catch((error) => error);
  expect(refusal).toBeInstanceOf(Unavailable);
  expect(refusal.message).toContain(`process ${first.pid}`);
  expect(runningGateway(dir)).toBe(first.pid);
  first.kill('SIGKILL');
  await once(first, 'exit');
});

test('the lock of a killed gateway is free at once, and its pid file does not mislead', async () => {
  const killed = await holder('gateway');
  killed.kill('SIGKILL');
  await once(killed, 'exit');
  expect(existsSync(join(dir, 'gateway.pid'))).toBe(true);
  using lock = await lockStore(dir, 'gateway', 0);
  expect(readFileSync(lock.pidFile, 'utf8')).toBe(`${process.pid}\n`);
});

test('a pid that another program got since then does not keep the store', async () => {
  writeFileSync(join(dir, 'gateway.pid'), '1\n');
  using lock = await lockStore(dir, 'gateway', 0);
  expect(readFileSync(lock.pidFile, 'utf8')).toBe(`${process.pid}\n`);
});

test('a gateway waits for a command that is about to finish', async () => {
  const command = await holder('command');
  expect(existsSync(join(dir, 'gateway.pid'))).toBe(false);
  const waiting = lockStore(dir, 'gateway', 10_000);
  command.stdin.end();
  using lock = await waiting;
  expect(existsSync(lock.pidFile)).toBe(true);
});

test('letting go removes the pid file', async () => {
  const lock = await lockStore(dir, 'gateway', 0);
  lock[Symbol.dispose]();
  expect(runningGateway(dir)).toBeNull();
  using again = await lockStore(dir, 'gateway', 0);
  expect(existsSync(again.pidFile)).toBe(true);
});
