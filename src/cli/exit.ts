/** Exit codes, part of the public contract (docs/cli.md). */
export const exit = {
  good: 0,
  finding: 1,
  usage: 2,
  indeterminate: 3,
  unavailable: 69,
  configuration: 78,
} as const;

export type ExitCode = (typeof exit)[keyof typeof exit];

/** Ends a command with a message for the person at the terminal. */
export class CommandError extends Error {
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'CommandError';
    this.exitCode = exitCode;
  }
}
