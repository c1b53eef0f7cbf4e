/** Where configuration and store lie, from options, environment and habit. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import type { CommonOptions, Context } from './context.ts';
import { CommandError, exit } from './exit.ts';

export interface Place {
  /** Absolute path of the configuration file; undefined where none was named or found. */
  readonly config: string | undefined;
  /** Absolute path of the store's directory; undefined: whatever the configuration says. */
  readonly data: string | undefined;
}

/**
 * Configuration: `--config`, `DEMAIL_CONFIG`, `./config/gateway.yaml`. Store: `--data`, `DEMAIL_DATA`, the
 * configuration's `data`, and without any configuration the demo's `./data/demo`.
 */
export function placeOf(options: CommonOptions, context: Pick<Context, 'env' | 'cwd'>): Place {
  const named = options.config ?? context.env.DEMAIL_CONFIG;
  const usual = resolve(context.cwd, 'config/gateway.yaml');
  const config = named ? resolve(context.cwd, named) : existsSync(usual) ? usual : undefined;
  const data = options.data ?? context.env.DEMAIL_DATA;
  if (data) return { config, data: resolve(context.cwd, data) };
  return { config, data: config ? undefined : demoData(context) };
}

/** The demo keeps its state below the directory it was started in. */
export function demoData(context: Pick<Context, 'cwd'>): string {
  return resolve(context.cwd, 'data/demo');
}

/** The store's directory, for commands that need no more of the configuration than that. */
export async function dataOf(options: CommonOptions, context: Pick<Context, 'env' | 'cwd'>): Promise<string> {
  const place = placeOf(options, context);
  if (place.data !== undefined) return place.data;
  const file = place.config!;
  const said: unknown = parse(await readConfig(file));
  const data = (said as { data?: unknown } | null)?.data ?? './data';
  if (typeof data !== 'string')
    throw new CommandError(exit.configuration, `${file}: data: must be a directory`);
  return resolve(dirname(file), data);
}

async function readConfig(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new CommandError(exit.configuration, `${file}: ${(error as Error).message}`, error);
  }
}
