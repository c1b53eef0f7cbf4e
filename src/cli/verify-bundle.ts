/** `verify BUNDLE`: an exported letter, offline and without a store. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { loadAlgorithms } from '../config/algorithms.ts';
import { openArchive } from '../evidence/bundle/archive.ts';
import {
  type BundleCircumstances,
  type BundleVerdict,
  verifyBundle,
} from '../evidence/bundle/verify-bundle.ts';
import { type TenantVerdict, verifyTenant } from '../evidence/bundle/verify-tenant.ts';
import { parseVerifierKey } from '../evidence/note.ts';
import type { Circumstances } from '../pki/signer.ts';
import type { CheckResult } from '../pki/types.ts';
import type { Context } from './context.ts';
import { type ExitCode, exit } from './exit.ts';

interface Options {
  readonly trust?: string;
  readonly logKeys: readonly string[];
  readonly json?: boolean;
}

const LONGEST_KEY_FILE = 65_536;

export function looksLikeArchive(first: Buffer): boolean {
  return first.subarray(0, 4).equals(Buffer.from('PK\x03\x04'));
}

export async function verifyBundleFile(
  file: string,
  signed: Circumstances,
  { trust: folder, logKeys, json }: Options,
  context: Context,
): Promise<ExitCode> {
  const circumstances = await bundleCircumstances(signed, logKeys, folder);
  let verdict: BundleVerdict | TenantVerdict;
  try {
    if ((await stat(file)).isDirectory()) verdict = await verifyTenant(file, circumstances);
    else {
      using archive = await openArchive(file);
      verdict = await verifyBundle(archive, circumstances);
    }
  } catch (error) {
    const problem = `no bundle that can be read: ${(error as Error).message}`;
    if (json) context.printJson({ file, verdict: null, problem });
    else context.warn(`${file}: unusable: ${printable(problem)}`);
    return exit.usage;
  }
  if (json) context.printJson({ file, ...shown(verdict) });
  else for (const line of toLines(file, verdict)) context.print(line);
  return { valid: exit.good, invalid: exit.finding, indeterminate: exit.indeterminate }[verdict.verdict];
}

/** @param folder whose text files may hold more keys of logs */
export async function bundleCircumstances(
  { trust, revocation, time }: Circumstances,
  logKeys: readonly string[],
  folder: string | undefined,
): Promise<BundleCircumstances> {
  const found = folder === undefined ? [] : await keysIn(folder);
  return { trust, revocation, time, policy: loadAlgorithms(), logKeys: [...new Set([...logKeys, ...found])] };
}

function shown(verdict: BundleVerdict | TenantVerdict): BundleVerdict | TenantVerdict {
  if ('report' in verdict) return verdict;
  const { tenant, entries, bundles, checks } = verdict;
  return { verdict: verdict.verdict, checks, tenant, entries, bundles };
}

const marks = { passed: '+', failed: '!', undecided: '?' };

function toLines(file: string, judged: BundleVerdict | TenantVerdict): string[] {
  const { verdict, checks } = judged;
  const report = 'report' in judged ? judged.report : null;
  const about =
    report === null
      ? ''
      : `, letter ${report.tenant}/${report.letter} of ${report.time}, from ${report.sender}`;
  return [
    `${file}: ${verdict}${about}`,
    ...checks.map(checkLine),
    ...(report?.recipients ?? []).flatMap(({ address, facts }) => [
      `  ${address}`,
      ...facts.map((f) => `    ${f.fact}, recorded ${f.recorded}${f.detail === null ? '' : `: ${f.detail}`}`),
    ]),
  ].map(printable);
}

/** One step, as it is printed. */
export function checkLine({ name, result, reason }: CheckResult): string {
  return printable(`  ${marks[result]} ${name}: ${reason}`);
}

/** Verifier keys of logs, one a line, in any text file of the folder. */
async function keysIn(folder: string): Promise<string[]> {
  const keys: string[] = [];
  for (const name of (await readdir(folder)).sort().slice(0, 1_000)) {
    const path = join(folder, name);
    const info = await stat(path);
    if (!info.isFile() || info.size > LONGEST_KEY_FILE) continue;
    for (const line of (await readFile(path, 'utf8')).split('\n')) if (isKey(line)) keys.push(line);
  }
  return keys;
}

function isKey(line: string): boolean {
  if (!/^[^\s+]{1,255}\+[0-9a-f]{8}\+[A-Za-z0-9+/]{40,60}={0,2}$/.test(line)) return false;
  try {
    parseVerifierKey(line);
    return true;
  } catch {
    return false;
  }
}

/** Reasons quote what stands in the bundle: nothing of that may steer the terminal. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e\u00a0-\uffff]/g, '\ufffd');
}
