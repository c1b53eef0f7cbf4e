/**
 * `npm run bench [-- MEASURE…]`: what the gateway takes in, and how it behaves while it does, beside a Postfix with a
 * pinned configuration in the same run on the same disk; how fast it verifies, beside OpenSSL; and the facade, beside a
 * Dovecot (bench/dovecot). Needs root and the Debian packages postfix, isync, dovecot-imapd and dovecot-fts-xapian. With
 * names only those are measured, and the figures of the others stay. Lengths of the log for `evidence`: `--entries
 * 100000,10000000` (ten million take some 25 GB below the temporary folder, and an hour), with `--keep DIRECTORY` in stores that
 * stay there for the next run. Mailbox of `facade`: `--messages 1000`.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { cpus, loadavg, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { facade } from './facade.ts';
import { evidence, usualSizes } from './log.ts';
import { endToEnd, intake, latencyUnderUploads, memoryUnderUploads } from './measures.ts';
import { type Measurement, report } from './report.ts';
import { verification } from './verify.ts';

const { values: options, positionals: wanted } = parseArgs({
  allowPositionals: true,
  options: {
    entries: { type: 'string', default: usualSizes.join(',') },
    keep: { type: 'string' },
    messages: { type: 'string', default: '10000' },
  },
});
const sizes = options.entries.split(',').map(Number);
if (!sizes.every((size) => Number.isSafeInteger(size) && size >= 20_000))
  throw new Error(`--entries ${options.entries}: numbers from 20000 on, by commas`);
const messages = Number(options.messages);
if (!Number.isSafeInteger(messages) || messages < 500)
  throw new Error(`--messages ${options.messages}: a number from 500 on`);
const measures = {
  intake,
  endToEnd,
  latencyUnderUploads,
  memoryUnderUploads,
  verification,
  evidence: () => evidence(sizes, options.keep ?? null),
  facade: () => facade(messages),
};
const unknown = wanted.filter((name) => !(name in measures));
if (unknown.length > 0)
  throw new Error(`unknown: ${unknown.join(', ')}; there are ${Object.keys(measures).join(', ')}`);

const file = join(import.meta.dirname, 'results.json');
const before = JSON.parse(await readFile(file, 'utf8')) as Measurement[];
const measurements: Measurement[] = [];
for (const [name, measure] of Object.entries(measures)) {
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
