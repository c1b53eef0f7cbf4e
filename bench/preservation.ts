/**
 * `node bench/preservation.ts [MiB]`: deep verification of a sealed store beside `sha256sum` over the same bytes, and
 * evidence records made per second. Objects of one MiB. Both are given by the wall clock, for which the machine must be
 * idle, and by processor time, which says the same on a busy one.
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { recordOfEntry } from '../src/evidence/record-of.ts';
import { verifyStore } from '../src/evidence/verify.ts';
import { createIndexer } from '../src/mime/structure.ts';
import { seal } from '../src/preservation/seal.ts';
import { openAudit } from '../src/store/sqlite/audit.ts';
import { storePaths } from '../src/store/sqlite/open.ts';
import { completeAll, DAY, openSealedWorld } from '../test/flow/sealed-store.ts';

const count = Number(process.argv[2] ?? 200);
await using world = await openSealedWorld(new Date(Date.now() - DAY).toISOString());
const store = await world.openStore();
const plain = join(world.root, 'plain');
const parts: Buffer[] = [];
for (let n = 0; n < count; n++) {
  const bytes = Buffer.concat([
    Buffer.from(`Subject: ${n}\r\n\r\n`),
    Buffer.from(
      `${randomBytes(57 * 13_000)
        .toString('base64')
        .replace(/.{76}/g, '$&\r\n')}\r\n`,
    ),
  ]);
  const writer = store.stage('stadt');
  const indexer = createIndexer();
  indexer.push(bytes);
  await writer.write(bytes);
  const message = { object: await writer.finish(), index: indexer.finish() };
  await store.deliverNotice('stadt', {
    letter: null,
    about: 'incident',
    text: `${n}`,
    message,
    deposits: [],
  });
  parts.push(bytes);
}
await writeFile(plain, Buffer.concat(parts));
const authorities = await world.authorities();
await seal({ store, authorities, digest: 'sha256' });
world.clock.move(DAY);
await completeAll(store, authorities);

const bytes = parts.reduce((sum, { length }) => sum + length, 0);
const sum = await spent(() => execFileSync('sha256sum', [plain]));
// What children used is known to the shell that waited for them.
const times = execFileSync('sh', ['-c', 'sha256sum "$0" > /dev/null; times', plain], { encoding: 'utf8' });
const sumProcessor = [...times.split('\n')[1]!.matchAll(/(\d+)m([\d.]+)s/g)].reduce(
  (total, [, minutes, rest]) => total + Number(minutes) * 60 + Number(rest),
  0,
);
const archive = await world.circumstances();
const deep = await spent(async () => {
  using audit = openAudit(storePaths({ directory: world.directory }));
  const { findings, undecided } = await verifyStore(audit, { archive, deep: true });
  if (findings.length + undecided.length > 0) throw new Error(JSON.stringify([findings, undecided]));
});
const records = await spent(async () => {
  for (let index = 1; index <= count; index++) await recordOfEntry(store, 'stadt', index);
});
await store[Symbol.asyncDispose]();
const rate = (time: number) => `${Math.round(bytes / 1e6 / time)} MB/s`;
console.log('| measure | figure |\n|---|---|');
console.log(
  `| sha256sum over ${Math.round(bytes / 1e6)} MB | ${rate(sum.wall)}; ${rate(sumProcessor)} of processor time |`,
);
console.log(
  `| deep verification of the same | ${rate(deep.wall)} (${(sum.wall / deep.wall).toFixed(2)} of it); ${rate(deep.processor)} of processor time (${(sumProcessor / deep.processor).toFixed(2)}) |`,
);
console.log(`| evidence records made | ${Math.round(count / records.wall)}/s |`);

/** Seconds by the wall clock, and of all threads of this process. */
async function spent(work: () => unknown): Promise<{ wall: number; processor: number }> {
  const start = performance.now();
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return { wall: (performance.now() - start) / 1000, processor: (user + system) / 1e6 };
}
