import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { openSqliteStore } from '../store/sqlite/open.ts';
import { exit } from './exit.ts';
import { runCommandLine } from './program.ts';

test('the index of a store at rest is shown, and thrown away', async () => {
  const data = await mkdtemp(join(tmpdir(), 'search-text-'));
  const printed: string[] = [];
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => printed.push(String(text)) > 0);
  vi.spyOn(process.stderr, 'write').mockImplementation(() => true);
  const run = async (...args: string[]) => {
    printed.length = 0;
    const code = await runCommandLine(['search-text', ...args, '--data', data, '--json']);
    return { code, lines: printed.map((line) => JSON.parse(line)) };
  };
  try {
    {
      await using store = await openSqliteStore({ directory: data, originPrefix: 'gateway.example' });
      for (const tenant of ['stadt', 'dorf']) await store.openTenant(tenant);
      await store.openSearchText('stadt', 1);
    }
    const off = { tenant: 'dorf', on: false };
    const on = { tenant: 'stadt', on: true, edition: 1, indexed: 0, waiting: 0, filled: false };
    expect((await run('status')).lines).toEqual([off, on]);
    expect(await run('status', '--tenant', 'nirgends')).toEqual({ code: exit.usage, lines: [] });
    expect((await run('rebuild', '--tenant', 'stadt')).lines).toEqual([{ tenant: 'stadt', dropped: true }]);
    expect((await run('status')).lines).toEqual([off, { tenant: 'stadt', on: false }]);
  } finally {
    vi.restoreAllMocks();
    await rm(data, { recursive: true, force: true });
  }
});
