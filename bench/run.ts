/**
 * `npm run bench [-- MEASURE…]`: what the gateway takes in, and how it behaves while it does, beside a Postfix with a
 * pinned configuration in the same run on the same disk; and how fast it verifies, beside OpenSSL. Needs root and the
 * Debian package postfix. With names only those are measured, and the figures of the others stay.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { cpus, loadavg, totalmem } from 'node:os';
import { join } from 'node:path';
import { endToEnd, intake, latencyUnderUploads, memoryUnderUploads } from './measures.ts';
import { type Measurement, report } from './report.ts';
import { verification } from './verify.ts';

const measures = [intake, endToEnd, latencyUnderUploads, memoryUnderUploads, verification];
const wanted = process.argv.slice(2);
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
  measurements.push({ name, machine, figures: await measure() });
}
const text = report(measurements);
console.log(text);
await writeFile(join(import.meta.dirname, 'results.md'), text);
await writeFile(file, `${JSON.stringify(measurements, null, 2)}\n`);
