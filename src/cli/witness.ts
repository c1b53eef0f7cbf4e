/** `witness`: cosign the logs of others, as a process of its own. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Command } from 'commander';
import { parse } from 'yaml';
import { z } from 'zod';
import { resolveWitness } from '../config/files.ts';
import { type WitnessConfig, witnessSchema } from '../config/schema.ts';
import { createLog } from '../observe/log.ts';
import { startWitness } from '../transparency/witness.ts';
import type { Context } from './context.ts';
import { CommandError, type ExitCode, exit } from './exit.ts';

interface WitnessOptions {
  readonly config: string;
  readonly json?: boolean;
}

export function register(program: Command, context: Context): void {
  program
    .command('witness')
    .description('cosign the checkpoints of other logs (c2sp.org/tlog-witness), until SIGTERM')
    .requiredOption('--config <file>', 'a file with the section `witness`; it needs nothing else')
    .option('--json', 'print JSON')
    .action(context.action((options: WitnessOptions) => run(options, context)));
}

async function run(options: WitnessOptions, context: Context): Promise<ExitCode> {
  const file = resolve(context.cwd, options.config);
  const config = readConfig(file);
  const log = createLog('info');
  const signals = new AbortController();
  const told = Promise.race(
    ['SIGTERM', 'SIGINT'].map((name) => once(process, name, { signal: signals.signal })),
  );
  await using running = new AsyncDisposableStack();
  const witness = await startWitness(config, log);
  running.use(witness);
  if (options.json) context.printJson({ event: 'listening', port: witness.port, key: witness.key });
  else {
    context.print(`listening on ${config.listen.address}:${witness.port}`);
    context.print(`verifier key ${witness.key}`);
    context.print('demail-gateway witness ready');
  }
  await told;
  signals.abort();
  return exit.good;
}

function readConfig(file: string): WitnessConfig {
  try {
    const { witness } = z.looseObject({ witness: witnessSchema }).parse(parse(readFileSync(file, 'utf8')));
    resolveWitness(witness, dirname(file));
    return witness;
  } catch (error) {
    const text = error instanceof z.ZodError ? z.prettifyError(error) : (error as Error).message;
    throw new CommandError(exit.configuration, `${file}: ${text}`, error);
  }
}
