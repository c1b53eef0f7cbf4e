/**
 * `npm run bench`: what the gateway takes in, and how it behaves while it does, beside a Postfix with a pinned
 * configuration in the same run on the same disk. Needs root and the Debian package postfix.
 */
import { writeFile } from 'node:fs/promises';
import { cpus, loadavg, totalmem } from 'node:os';
import { join } from 'node:path';
import { endToEnd, intake, latencyUnderUploads, memoryUnderUploads } from './measures.ts';
import { type Figure, report } from './report.ts';

const figures: Figure[] = [];
/** Of the minute before: on a machine that is busy with other things, figures are low. */
const load = loadavg()[0]!;
for (const measure of [intake, endToEnd, latencyUnderUploads, memoryUnderUploads]) {
  console.error(`measuring: ${measure.name}`);
  figures.push(...(await measure()));
}
const machine = {
  time: new Date().toISOString(),
  node: process.version,
  cpu: cpus()[0]?.model ?? 'unknown',
  cores: cpus().length,
  load,
  memoryGiB: Math.round(totalmem() / 1024 ** 3),
};
const text = report(machine, figures);
console.log(text);
await writeFile(join(import.meta.dirname, 'results.md'), text);
await writeFile(
  join(import.meta.dirname, 'results.json'),
  `${JSON.stringify({ machine, figures }, null, 2)}\n`,
);
