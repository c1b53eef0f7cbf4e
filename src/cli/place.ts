/** Where configuration and store lie, from options, environment and habit. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { keyFolder } from '../config/files.ts';
import { preservation } from '../config/schema.ts';
import { type CopySettings, copySettings } from '../preservation/configured-copies.ts';
import { type StorePaths, storePaths } from '../store/sqlite/open.ts';
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
  return (await storeOf(options, context)).data;
}

/** A store, and what a command that writes to it must know of the configuration. */
export interface StorePlace {
  readonly data: string;
  readonly paths: StorePaths;
  /** Backups and second copy; null: none is configured; undefined: there is no configuration. */
  readonly copies: CopySettings | null | undefined;
  /** Certificates (PEM files) of the offline keys. */
  readonly recovery: readonly string[];
}

/** The store's directory and where its parts lie: keys and checkpoints may be configured to lie elsewhere. */
export async function storeOf(
  options: CommonOptions,
  context: Pick<Context, 'env' | 'cwd'>,
): Promise<StorePlace> {
  const place = placeOf(options, context);
  const said = place.config === undefined ? {} : await readPaths(place.config);
  const base = place.config === undefined ? context.cwd : dirname(place.config);
  const data = place.data ?? resolve(base, said.data ?? './data');
  const at = (directory: string) => resolve(base, directory);
  const recovery = (said.keys?.recovery ?? []).map(at);
  const { backup, secondCopy } = said.preservation ?? {};
  return {
    data,
    recovery,
    copies:
      place.config === undefined
        ? undefined
        : copySettings({
            ...(backup && { backup: { ...backup, directory: at(backup.directory) } }),
            ...(secondCopy && { secondCopy: { ...secondCopy, directory: at(secondCopy.directory) } }),
            recovery,
          }),
    paths: storePaths({
      directory: data,
      ...(said.keys?.directory === undefined ? {} : { keysDirectory: keyFolder(said.keys.directory, base) }),
      ...(said.checkpoints === undefined ? {} : { checkpointsDirectory: at(said.checkpoints.directory) }),
      checkpointFolders: (said.evidence?.checkpointFolders ?? []).map(at),
      ...(said.evidence?.tiles === undefined ? {} : { tilesDirectory: at(said.evidence.tiles.directory) }),
    }),
  };
}

const operatorsOnly = z.looseObject({
  tenants: z.array(
    z.looseObject({
      id: z.string(),
      privateMail: z.looseObject({ operators: z.array(z.string()).default([]) }).optional(),
    }),
  ),
});

/** Tenant → names in the operating system, by the configuration file; nobody where there is none. */
export async function privateOperatorsOf(
  options: CommonOptions,
  context: Pick<Context, 'env' | 'cwd'>,
): Promise<Readonly<Record<string, readonly string[]>>> {
  const { config } = placeOf(options, context);
  if (config === undefined) return {};
  const read = operatorsOnly.safeParse(parse(await readConfig(config)));
  if (!read.success) return {};
  return Object.fromEntries(
    read.data.tenants.map(({ id, privateMail }) => [id, privateMail?.operators ?? []]),
  );
}

const directory = z.looseObject({ directory: z.string() });
const pathsOnly = z.looseObject({
  data: z.string().optional(),
  keys: z
    .looseObject({ directory: z.string().optional(), recovery: z.array(z.string()).optional() })
    .optional(),
  checkpoints: directory.optional(),
  evidence: z
    .looseObject({ checkpointFolders: z.array(z.string()).optional(), tiles: directory.optional() })
    .optional(),
  preservation: preservation.pick({ backup: true, secondCopy: true }).loose().optional(),
});

/** Only what says where things lie: looking at evidence must not need secrets or certificates. */
async function readPaths(file: string): Promise<z.output<typeof pathsOnly>> {
  try {
    return pathsOnly.parse(parse(await readConfig(file)) ?? {});
  } catch (error) {
    if (error instanceof CommandError) throw error;
    throw new CommandError(exit.configuration, `${file}: ${(error as Error).message}`, error);
  }
}

async function readConfig(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new CommandError(exit.configuration, `${file}: ${(error as Error).message}`, error);
  }
}
