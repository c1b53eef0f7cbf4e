import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';

const main = new URL('../../src/main.ts', import.meta.url).pathname;
const dir = mkdtempSync(join(tmpdir(), 'program-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function run(...args: string[]) {
  return spawnSync(process.execPath, [main, ...args], { cwd: dir, encoding: 'utf8' });
}

test.each([
  [['--help'], 0, 'Usage: demail-gateway'],
  [['--version'], 0, ''],
  [['stop', '--help'], 0, '--json'],
])('%j ends with %d', (args, status, text) => {
  const result = run(...args);
  expect(result.stdout).toContain(text);
  expect(result.status).toBe(status);
});

test.each([[['no-such-command']], [['stop', '--no-such-option']], [['stop', 'surplus']]])(
  'wrong usage ends with 2: %j',
  (args) => {
    const result = run(...args);
    expect(result.stderr).toMatch(/error:/);
    expect(result.status).toBe(2);
  },
);

test('stop without a gateway ends with 69 and says where it looked', () => {
  const result = run('stop', '--data', 'nothing-here');
  expect(result.status).toBe(69);
  expect(result.stderr).toBe(`demail-gateway: no gateway is running on ${join(dir, 'nothing-here')}\n`);
});

test('a configuration that is not there ends with 78', () => {
  const result = run('stop', '--config', 'missing.yaml');
  expect(result.status).toBe(78);
  expect(result.stderr).toContain('missing.yaml');
});
