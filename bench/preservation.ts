/**
 * `node bench/preservation.ts [MiB]`: deep verification of a sealed store beside `sha256sum` over the same bytes, and
 * evidence records made per second. Objects of one MiB; times are of the wall clock, so let the machine be idle.
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
const sum = await seconds(() => execFileSync('sha256sum', [plain]));
const archive = await world.circumstances();
const deep = await seconds(async () => {
  using audit = openAudit(storePaths({ directory: world.directory }));
  const { findings, undecided } = await verifyStore(audit, { archive, deep: true });
  if (findings.length + undecided.length > 0) throw new Error(JSON.stringify([findings, undecided]));
});
const records = await seconds(async () => {
  for (let index = 1; index <= count; index++) await recordOfEntry(store, 'stadt', index);
});
await store[Symbol.asyncDispose]();
const rate = (time: number) => `${Math.round(bytes / 1e6 / time)} MB/s`;
console.log('| measure | figure |\n|---|---|');
console.log(`| sha256sum over ${Math.round(bytes / 1e6)} MB | ${rate(sum)} |`);
console.log(`| deep verification of the same | ${rate(deep)} (${(sum / deep).toFixed(2)} of it) |`);
console.log(`| evidence records made | ${Math.round(count / records)}/s |`);

async function seconds(work: () => unknown): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}
