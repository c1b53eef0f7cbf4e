/** `evidence verify`: computes the whole evidence again and compares. */
import type { Command } from 'commander';
import { loadAlgorithms } from '../config/algorithms.ts';
import type { Config } from '../config/schema.ts';
import type { Finding } from '../evidence/audit.ts';
import { type NoteKey, parseVerifierKey } from '../evidence/note.ts';
import { type Progress, type VerifyResult, verifyStore } from '../evidence/verify.ts';
import type { ArchiveCircumstances } from '../evidence/verify-archive-tokens.ts';
import { revocationNetwork } from '../pki/revocation-network.ts';
import { readTrustFiles, readTrustFolder, revocationAtHand } from '../pki/revocation-sources.ts';
import { openAudit } from '../store/sqlite/audit.ts';
import { recordAccess } from './access.ts';
import { type CommonOptions, type Context, withCommonOptions } from './context.ts';
import { CommandError, type ExitCode, exit } from './exit.ts';
import { loadFor } from './load.ts';
import { placeOf, storeOf } from './place.ts';
import { requireStore } from './reader.ts';

interface VerifyOptions extends CommonOptions {
  readonly tenant?: string;
  readonly since?: string;
  readonly deep?: boolean;
  readonly trust?: string;
  readonly offline?: boolean;
  readonly witnessKey?: readonly string[];
}

export function registerVerify(evidence: Command, context: Context): void {
  withCommonOptions(
    evidence
      .command('verify')
      .description('recompute everything and compare; exit 1 names what does not fit, 3 what is undecided'),
  )
    .option('--tenant <id>', 'only this tenant')
    .option('--since <time>', 'open only entries from this time on; the order of all is checked')
    .option('--deep', 'read every byte of every object, also of those that lie in files')
    .option(
      '--trust <directory>',
      'roots of time-stamping authorities (default: preservation.seal.trustAnchors)',
    )
    .option('--offline', 'ask no network for revocation lists')
    .option(
      '--witness-key <key...>',
      'verifier keys of witnesses (default: evidence.witnesses): cosignatures are verified by them',
    )
    .action(context.action((options: VerifyOptions) => verify(options, context)));
}

async function verify(options: VerifyOptions, context: Context): Promise<ExitCode> {
  const storePlace = await storeOf(options, context);
  const { data, paths } = storePlace;
  requireStore(paths);
  const since = options.since === undefined ? undefined : timeOf(options.since);
  using audit = openAudit(paths);
  if (options.tenant !== undefined && !audit.tenants().includes(options.tenant))
    throw new CommandError(exit.usage, `tenant ${options.tenant} has no log in ${data}`);
  const config = placeOf(options, context).config === undefined ? null : loadFor(options, context).config;
  const isSealed = (await audit.archive.archiveTimestamps()).length > 0;
  const archive = isSealed ? await circumstancesOf(options, data, config) : null;
  const progress = showProgress();
  const result = await verifyStore(audit, {
    deep: options.deep === true,
    onProgress: progress.show,
    ...(!options.json && {
      onFinding(finding) {
        progress.end();
        context.print(lineOf(finding));
      },
      onUndecided(finding) {
        progress.end();
        context.print(`undecided: ${lineOf(finding)}`);
      },
    }),
    ...(options.tenant !== undefined && { tenant: options.tenant }),
    ...(since !== undefined && { since }),
    archive,
    witnesses: witnessKeys(
      options.witnessKey ?? config?.evidence.witnesses.map((witness) => witness.key) ?? [],
    ),
  });
  progress.end();
  if (options.json) context.printJson(result);
  else print(result, context);
  if (result.findingCount > 0) return exit.finding;
  // A store with findings is left as it is: nothing more is written into a log that does not hold.
  await recordAccess(
    context,
    storePlace,
    result.heads.map((head) => head.tenant),
    'verify',
    since === undefined ? 'whole log' : `since ${since}`,
  );
  return result.undecidedCount > 0 ? exit.indeterminate : exit.good;
}

function lineOf({ tenant, place, problem }: Finding): string {
  return `${tenant}: ${place}: ${problem}`;
}

/** What is told at the end; findings were told as they were made. */
function print(result: VerifyResult, context: Context): void {
  for (const head of result.heads) context.print(`${head.tenant}: ${head.size} entries, root ${head.root}`);
  for (const c of result.closed)
    context.print(
      `${c.tenant}: log ${c.origin} was closed at ${c.size} entries (${c.known} had been seen): ${c.reason}`,
    );
  const { entries, objects, unread, archiveTimestamps, findingCount, undecidedCount } = result;
  const read = unread === 0 ? '' : ` (${unread} of them in files, by their length: --deep reads them)`;
  context.print(
    `${entries} entries, ${objects} objects${read} and ${archiveTimestamps} seals and renewals verified, ${findingCount} findings, ${undecidedCount} undecided`,
  );
}

/** Null where nothing says whom to trust. */
async function circumstancesOf(
  options: VerifyOptions,
  data: string,
  config: Config | null,
): Promise<ArchiveCircumstances | null> {
  const preservation = config?.preservation;
  const seal = preservation?.seal;
  if (options.trust === undefined && seal === undefined) return null;
  const network =
    options.offline === true || seal?.revocation.network === false
      ? undefined
      : revocationNetwork({ allowPrivate: seal?.revocation.privateAddresses ?? false });
  return {
    trust:
      options.trust === undefined
        ? await readTrustFiles(seal!.trustAnchors)
        : await readTrustFolder(options.trust).catch((cause) => {
            throw new CommandError(
              exit.usage,
              `--trust ${options.trust}: ${(cause as Error).message}`,
              cause,
            );
          }),
    revocation: await revocationAtHand(data, seal?.revocation.folder, network),
    policy: loadAlgorithms(preservation?.algorithms),
    time: new Date(),
  };
}

function witnessKeys(keys: readonly string[]): NoteKey[] {
  return keys.map((key) => {
    try {
      return parseVerifierKey(key);
    } catch (error) {
      throw new CommandError(exit.usage, `--witness-key ${key}: ${(error as Error).message}`, error);
    }
  });
}

function timeOf(text: string): string {
  const time = new Date(text);
  if (Number.isNaN(time.getTime()))
    throw new CommandError(exit.usage, `--since ${text}: a time such as 2026-03-01 or 2026-03-01T08:00:00Z`);
  return time.toISOString();
}

/** One line on a terminal, written over now and then. */
function showProgress(): { show(done: Progress): void; end(): void } {
  const { stderr } = process;
  if (!stderr.isTTY) return { show: () => {}, end: () => {} };
  let shownAt = 0;
  return {
    show({ entries, objects, bytes, groups }) {
      const now = Date.now();
      if (now - shownAt < 200) return;
      shownAt = now;
      const mib = (bytes / 1024 ** 2).toFixed(0);
      stderr.write(
        `\r\x1b[K${entries} entries, ${objects} objects (${mib} MiB), ${groups} groups under time-stamps`,
      );
    },
    end: () => void stderr.write('\r\x1b[K'),
  };
}
