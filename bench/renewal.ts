/**
 * `node bench/renewal.ts [entries]`: how long a hash-tree renewal, a second one, and the verification of both take per
 * entry. Entries are small and name no objects, so what is measured is trees, tokens and rows; times are processor time.
 */

import { verifyStore } from '../src/evidence/verify.ts';
import { renewHashTrees } from '../src/preservation/renew.ts';
import { seal } from '../src/preservation/seal.ts';
import { openAudit } from '../src/store/sqlite/audit.ts';
import { storePaths } from '../src/store/sqlite/open.ts';
import { completeAll, DAY, openSealedWorld, renewDeps } from '../test/flow/sealed-store.ts';

const count = Number(process.argv[2] ?? 100_000);
await using world = await openSealedWorld(new Date(Date.now() - 5 * DAY).toISOString());
const store = await world.openStore();
const authorities = await world.authorities();
const actor = { type: 'operator', name: 'root' } as const;
for (let n = 0; n < count; n += 500)
  await Promise.all(
    Array.from({ length: 500 }, (_, i) =>
      store.recordAccess('stadt', { actor, action: 'search', query: `${n + i}` }),
    ),
  );
const later = async () => {
  world.clock.move(DAY);
  await completeAll(store, authorities);
};
console.log('| measure | µs of processor time per entry |\n|---|---|');
await measure('seal', () => seal({ store, authorities, digest: 'sha256' }));
await later();
const seals = (await store.archiveTimestamps()).filter(({ kind }) => kind === 'seal');
for (const [name, digest] of [
  ['first hash-tree renewal', 'sha384'],
  ['second', 'sha512'],
] as const) {
  await measure(name, () => renewHashTrees(renewDeps(world, store, authorities, digest), seals));
  await later();
}
const archive = await world.circumstances();
await measure('verification of the whole', async () => {
  using audit = openAudit(storePaths({ directory: world.directory }));
  const { findings, undecided } = await verifyStore(audit, { archive });
  if (findings.length + undecided.length > 0) throw new Error(JSON.stringify([findings, undecided]));
});
await store[Symbol.asyncDispose]();

async function measure(name: string, work: () => Promise<unknown>): Promise<void> {
  const before = process.cpuUsage();
  const start = performance.now();
  await work();
  const { user, system } = process.cpuUsage(before);
  const wall = ((performance.now() - start) * 1000) / count;
  console.log(`| ${name} | ${((user + system) / count).toFixed(1)} (wall ${wall.toFixed(1)}) |`);
}
