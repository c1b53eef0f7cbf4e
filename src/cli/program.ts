/** The command line: one file per command, each adding itself to the program. */
import { createRequire } from 'node:module';
import { Command, CommanderError } from 'commander';
import { ConfigError } from '../config/load.ts';
import { Unavailable } from '../unavailable.ts';
import * as backup from './backup.ts';
import * as check from './check.ts';
import * as client from './client.ts';
import type { Context } from './context.ts';
import * as demo from './demo.ts';
import * as evidence from './evidence.ts';
import { CommandError, type ExitCode, exit } from './exit.ts';
import * as incident from './incident.ts';
import * as keys from './keys.ts';
import * as privateMail from './private.ts';
import * as queue from './queue.ts';
import * as reload from './reload.ts';
import * as retention from './retention.ts';
import * as searchText from './search-text.ts';
import * as start from './start.ts';
import * as stop from './stop.ts';
import * as tenant from './tenant.ts';
import * as tour from './tour.ts';
import * as user from './user.ts';
import * as verify from './verify.ts';
import * as witness from './witness.ts';

const registrations: readonly ((program: Command, context: Context) => void)[] = [
  start.register,
  stop.register,
  reload.register,
  demo.register,
  tour.register,
  check.register,
  queue.register,
  privateMail.register,
  tenant.register,
  incident.register,
  evidence.register,
  keys.register,
  retention.register,
  backup.register,
  searchText.register,
  user.register,
  client.register,
  verify.register,
  witness.register,
];

/** Runs one command line. Never throws; the result is the exit code. */
export async function runCommandLine(args: readonly string[]): Promise<ExitCode> {
  const ended: { code: ExitCode } = { code: exit.good };
  const context: Context = {
    env: process.env,
    cwd: process.cwd(),
    print: (line) => process.stdout.write(`${line}\n`),
    printJson: (value) => process.stdout.write(`${JSON.stringify(value)}\n`),
    warn: (line) => process.stderr.write(`${line}\n`),
    action:
      (work) =>
      async (...values) => {
        ended.code = await work(...values);
      },
  };
  const program = buildProgram(context);
  try {
    await program.parseAsync(args, { from: 'user' });
    return ended.code;
  } catch (error) {
    // commander has printed its own text: help and version end well, everything else is usage.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exit.good : exit.usage;
    if (error instanceof ConfigError) for (const line of error.lines) context.warn(line);
    else context.warn(`demail-gateway: ${(error as Error).message}`);
    return exitCodeOf(error);
  }
}

function buildProgram(context: Context): Command {
  const { version } = createRequire(import.meta.url)('../../package.json') as { version: string };
  const program = new Command('demail-gateway')
    .description('Central De-Mail gateway: SMTP and IMAP for the mail clients staff already use')
    .version(version)
    .showHelpAfterError('(see --help)')
    .exitOverride();
  for (const register of registrations) register(program, context);
  return program;
}

function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof CommandError) return error.exitCode;
  if (error instanceof Unavailable) return exit.unavailable;
  if (error instanceof ConfigError) return exit.configuration;
  return exit.finding;
}
