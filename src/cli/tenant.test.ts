import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { openSqliteStore } from '../store/sqlite/open.ts';
import { exit } from './exit.ts';
import { runCommandLine } from './program.ts';

let data: string;
let printed: string[];
beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), 'tenant-'));
  await using store = await openSqliteStore({ directory: data, originPrefix: 'gateway.example' });
  await store.openTenant('stadt');
  await store.openTenant('dorf');
  printed = [];
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => printed.push(String(text)) > 0);
  vi.spyOn(process.stderr, 'write').mockImplementation(() => true);
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(data, { recursive: true, force: true });
});

async function run(...args: string[]) {
  printed.length = 0;
  const code = await runCommandLine(['tenant', ...args, '--data', data, '--json']);
  return { code, lines: printed.map((line) => JSON.parse(line)) };
}

test('a lock is set and lifted without a gateway, once each, for one tenant alone', async () => {
  expect(await run('lock', 'stadt', '--reason', 'Karte verloren')).toEqual({
    code: exit.good,
    lines: [{ tenant: 'stadt', locked: true, changed: true }],
  });
  expect((await run('lock', 'stadt', '--reason', 'noch einmal')).lines).toMatchObject([{ changed: false }]);
  const { lines } = await run('list');
  expect(lines.find(({ tenant }) => tenant === 'stadt').lock).toMatchObject({ reason: 'Karte verloren' });
  expect(lines.find(({ tenant }) => tenant === 'dorf').lock).toBeNull();
  expect((await run('unlock', 'stadt', '--reason', 'gefunden')).lines).toMatchObject([{ changed: true }]);
  expect((await run('list')).lines.every(({ lock }) => lock === null)).toBe(true);
});

test.each([
  ['an unknown tenant', ['lock', 'nirgends', '--reason', 'x'], exit.usage],
  ['no reason', ['lock', 'stadt'], exit.usage],
  ['neither tenant nor token', ['lock', '--reason', 'x'], exit.usage],
  ['both', ['lock', 'stadt', '--token', 'karte', '--reason', 'x'], exit.usage],
  ['outside hours without a reason', ['fetch', 'stadt', '--outside-hours'], exit.usage],
  ['a fetch without a gateway', ['fetch', 'stadt'], exit.unavailable],
])('%s is refused', async (_name, args, code) => {
  expect((await run(...args)).code).toBe(code);
});
