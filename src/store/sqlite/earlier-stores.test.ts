/** Stores made by earlier releases: this one must open, verify and continue each. */
import { chmod, cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { verifyStore } from '../../evidence/verify.ts';
import { openAudit } from './audit.ts';
import { openSqliteStore, storePaths } from './open.ts';

const stores = fileURLToPath(new URL('../../../test/stores/', import.meta.url));
const releases = (await readdir(stores, { withFileTypes: true }))
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name);

async function findings(directory: string) {
  using audit = openAudit(storePaths({ directory }));
  return (await verifyStore(audit)).findings;
}

describe('a store of an earlier release', () => {
  it('is there to be tried', () => expect(releases).toContain('v1'));

  it.each(releases)('%s opens, verifies, and goes on', async (release) => {
    const directory = await mkdtemp(join(tmpdir(), 'earlier-'));
    try {
      await cp(join(stores, release), directory, { recursive: true });
      // A checkout does not keep the mode of secrets.
      for (const name of await readdir(join(directory, 'keys')))
        await chmod(join(directory, 'keys', name), 0o600);
      await using store = await openSqliteStore({ directory, originPrefix: 'unused' });
      const size = (await store.head('stadt-waren')).size;
      expect(size).toBeGreaterThan(10);
      expect((await store.facts('stadt-waren', 1)).map((f) => f.fact)).toEqual(
        expect.arrayContaining(['queued', 'handed-over', 'in-doubt', 'dispatched', 'receipt-overdue']),
      );
      expect(
        (await store.search({ sha256: (await store.submissionOf('stadt-waren', 1))!.message.sha256 })).map(
          (l) => l.index,
        ),
      ).toEqual([1]);
      await store.recordAccess('stadt-waren', {
        actor: { type: 'operator', name: 'test' },
        action: 'show',
        query: '',
      });
      expect((await store.head('stadt-waren')).size).toBe(size + 1);
      expect(await findings(directory)).toEqual([]);
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
