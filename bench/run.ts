/**
 * `npm run bench [-- MEASURE…]`: what the gateway takes in, and how it behaves while it does, beside a Postfix with a
 * pinned configuration in the same run on the same disk; and how fast it verifies, beside OpenSSL. Needs root and the
 * Debian package postfix. With names only those are measured, and the figures of the others stay. Lengths of the log for
 * `evidence`: `--entries 100000,10000000` (ten million take some 25 GB below the temporary folder, and hours).
 */
import { readFile, writeFile } from 'node:fs/promises';
import { cpus, loadavg, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { evidence, usualSizes } from './log.ts';
import { endToEnd, intake, latencyUnderUploads, memoryUnderUploads } from './measures.ts';
import { type Measurement, report } from './report.ts';
import { verification } from './verify.ts';

const measures = [intake, endToEnd, latencyUnderUploads, memoryUnderUploads, verification, evidence];
const { values: options, positionals: wanted } = parseArgs({
  allowPositionals: true,
  options: { entries: { type: 'string', default: usualSizes.join(',') } },
});
const sizes = options.entries.split(',').map(Number);
if (!sizes.every((size) => Number.isSafeInteger(size) && size >= 20_000))
  throw new Error(`--entries ${options.entries}: numbers from 20000 on, by commas`);
const unknown = wanted.filter((name) => !measures.some((measure) => measure.name === name));
if (unknown.length > 0)
  throw new Error(`unknown: ${unknown.join(', ')}; there are ${measures.map(({ name }) => name).join(', ')}`);

const file = join(import.meta.dirname, 'results.json');
const before = JSON.parse(await readFile(file, 'utf8')) as Measurement[];
const measurements: Measurement[] = [];
for (const measure of measures) {
  const { name } = measure;
  if (wanted.length > 0 && !wanted.includes(name)) {
    measurements.push(...before.filter((one) => one.name === name));
    continue;
  }
  console.error(`measuring: ${name}`);
  const machine = {
    time: new Date().toISOString(),
    node: process.version,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    // Of the minute before: on a machine that is busy with other things, figures are low.
    load: loadavg()[0]!,
    memoryGiB: Math.round(totalmem() / 1024 ** 3),
  };
  measurements.push({ name, machine, figures: await measure(sizes) });
}
const text = report(measurements);
console.log(text);
await writeFile(join(import.meta.dirname, 'results.md'), text);
await writeFile(file, `${JSON.stringify(measurements, null, 2)}\n`);
