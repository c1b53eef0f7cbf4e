/** `evidence import`: a tenant out of another store, with all its proofs. */
import { mkdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { lockStore } from '../lock.ts';
import type { CheckResult } from '../pki/types.ts';
import {
  type Imported,
  ImportRefused,
  importTenant,
  verifyForImport,
} from '../preservation/import-tenant.ts';
import { Unavailable } from '../unavailable.ts';
import { openCommandStore } from './command-store.ts';
import { type CommonOptions, type Context, withCommonOptions } from './context.ts';
import { CommandError, type ExitCode, exit } from './exit.ts';
import { loadFor } from './load.ts';
import { operator } from './operator.ts';
import { storeOf } from './place.ts';
import { readCircumstances } from './verify.ts';
import { bundleCircumstances, checkLine } from './verify-bundle.ts';

interface ImportOptions extends CommonOptions {
  readonly tenant: string;
  readonly trust: string;
  readonly logKey: string[];
  readonly crl?: string;
  readonly reason: string;
  readonly dryRun?: boolean;
}

export function registerImport(evidence: Command, context: Context): void {
  withCommonOptions(
    evidence
      .command('import')
      .description(
        'take over all of a tenant from another store, as evidence export --tenant wrote it; no gateway runs',
      ),
  )
    .argument('<directory>', 'the export')
    .requiredOption('--tenant <id>', 'the tenant; it has no entries here yet, and keeps its id')
    .requiredOption(
      '--trust <directory>',
      'certificates of the anchors: of providers and of time-stamping authorities; PEM or DER',
    )
    .requiredOption(
      '--log-key <key...>',
      "verifier keys of the tenant's log, from the office that hands it over",
    )
    .requiredOption('--reason <text>', 'why; it becomes part of the evidence')
    .option('--crl <directory>', 'CRLs and OCSP responses, PEM or DER')
    .option('--dry-run', 'verify the export and say what would come; change nothing')
    .action(
      context.action((directory: string, options: ImportOptions) => takeOver(directory, options, context)),
    );
}

async function takeOver(directory: string, options: ImportOptions, context: Context): Promise<ExitCode> {
  const { tenant, reason, dryRun = false } = options;
  const from = resolve(context.cwd, directory);
  const { config } = loadFor(options, context);
  const place = await storeOf(options, context);
  const circumstances = await bundleCircumstances(
    await readCircumstances(options),
    options.logKey,
    options.trust,
  );
  try {
    const verified = await verifyForImport(from, tenant, circumstances).catch((error: Error) => {
      if (error instanceof ImportRefused) throw error;
      throw new CommandError(exit.usage, `${from}: no export that can be read: ${error.message}`, error);
    });
    const undecided = verified.checks.filter(({ result }) => result === 'undecided');
    if (!options.json) for (const one of undecided) context.warn(checkLine(one));
    if (dryRun) {
      const { entries, bundles, parts } = verified;
      if (options.json)
        context.printJson({
          tenant,
          entries,
          bundles,
          archiveTimestamps: parts.size,
          undecided,
          imported: false,
        });
      else
        context.print(
          `${from}: ${entries} entries of ${tenant} in ${bundles} bundles, ${parts.size} seals and renewals; nothing was changed`,
        );
      return exit.good;
    }
    await mkdir(place.data, { recursive: true, mode: 0o700 });
    // Before anything is begun: the store is of this release, and its second copy can be written.
    await (await openCommandStore(place))[Symbol.asyncDispose]();
    const done = await underLock(place.data, () =>
      importTenant(verified, {
        tenant,
        reason,
        actor: operator(),
        directory: place.data,
        paths: place.paths,
        originPrefix: config.hostname,
        now: Date.now,
        warn: (text) => context.warn(text),
      }),
    );
    // Its new keys go into the recovery copy, and what came into the second copy.
    await using store = await openCommandStore(place);
    await store.openTenant(tenant);
    tell(done, undecided, options, context);
    return exit.good;
  } catch (error) {
    return refused(error, options, context);
  }
}

async function underLock<T>(data: string, work: () => Promise<T>): Promise<T> {
  using _lock = await lockStore(data, 'command');
  return await work();
}

function tell(
  done: Imported,
  undecided: readonly CheckResult[],
  { json }: CommonOptions,
  context: Context,
): void {
  if (json) {
    context.printJson({ ...done, undecided, imported: true });
    return;
  }
  const { tenant, entries, erased, objects, archiveTimestamps, records, origin, key, inDoubt } = done;
  context.print(
    `${tenant}: ${entries} entries${erased === 0 ? '' : `, ${erased} of them erased before`}, ${objects} objects, ${archiveTimestamps} seals and renewals; ${records} evidence records as in the export`,
  );
  context.print(`${tenant}: its log goes on as ${origin}`);
  context.print(`${tenant}: new key ${key}`);
  if (inDoubt > 0)
    context.warn(
      `${inDoubt} hand-overs waited there: they are in doubt here, and nothing is sent before that is settled (queue)`,
    );
  context.print('Seal it at once (evidence seal), and tell the new key to whoever follows the log.');
}

function refused(error: unknown, { json }: CommonOptions, context: Context): ExitCode {
  if (error instanceof CommandError || error instanceof Unavailable) throw error;
  const checks = error instanceof ImportRefused ? error.checks : [];
  const { message } = error as Error;
  if (json) context.printJson({ imported: false, problem: message, checks });
  else {
    context.warn(`nothing was imported: ${message}`);
    for (const one of checks) context.warn(checkLine(one));
  }
  return exit.finding;
}
