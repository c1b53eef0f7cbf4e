/** What every command is given: where to print, and how it ends. */
import type { Command } from 'commander';
import type { ExitCode } from './exit.ts';

/** Options that every command has. */
export interface CommonOptions {
  readonly json?: boolean;
  readonly config?: string;
  readonly data?: string;
}

export interface Context {
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** One line on stdout. */
  print(line: string): void;
  /** One JSON object on a line of stdout. */
  printJson(value: unknown): void;
  /** One line on stderr. */
  warn(line: string): void;
  /** Wraps a command's work for commander: its result is the exit code. */
  action<A extends unknown[]>(
    work: (...args: A) => Promise<ExitCode> | ExitCode,
  ): (...args: A) => Promise<void>;
}

/** Adds `--json`, `--config` and `--data`. Call it on each command that does something. */
export function withCommonOptions(command: Command): Command {
  return command
    .option('--json', 'print JSON, one object per line')
    .option('--config <file>', 'configuration file')
    .option('--data <directory>', 'directory of the store');
}
