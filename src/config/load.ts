/**
 * Loads the configuration: one YAML file, every error at once, each with its line, its path and what to
 * do. Relative paths are meant from the folder of the file.
 */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { z } from 'zod';
import { crossCheck } from './cross-checks.ts';
import { checkFiles, readPasswordHashes, resolvePaths } from './files.ts';
import { type Config, configSchema } from './schema.ts';
import { type Finding, type LocatedYaml, type Path, parseYaml, printPath } from './yaml.ts';

/** What the command line or the demo set over the file. */
export interface ConfigOverrides {
  /** Data folder, meant from the current folder. */
  readonly data?: string;
  readonly hostname?: string;
  readonly listeners?: Partial<Config['listeners']>;
  readonly logLevel?: Config['log']['level'];
}

export interface LoadOptions {
  readonly overrides?: ConfigOverrides;
  /** False: certificates, keys and secrets need not be there (a check on another machine). Default true. */
  readonly files?: boolean;
}

/** The configuration cannot be used. `lines` are `file:line: path: message`, in the order of the file. */
export class ConfigError extends Error {
  readonly lines: readonly string[];

  constructor(lines: readonly string[]) {
    super(lines.join('\n'));
    this.name = 'ConfigError';
    this.lines = lines;
  }
}

/**
 * Reads and checks a configuration file.
 * @throws ConfigError with every error found
 */
export function loadConfig(file: string, overrides: ConfigOverrides = {}, options: LoadOptions = {}): Config {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new ConfigError([`${file}:1: (top): cannot be read: ${(error as Error).message}`]);
  }
  return parseConfig(text, file, { ...options, overrides: { ...options.overrides, ...overrides } });
}

/**
 * The same for a text that is in memory; `file` gives the name for errors and the folder for paths.
 * @throws ConfigError with every error found
 */
export function parseConfig(text: string, file: string, options: LoadOptions = {}): Config {
  const yaml = parseYaml(text);
  if (yaml.errors.length > 0) {
    throw new ConfigError(yaml.errors.map((error) => `${file}:${error.line}: (top): ${error.message}`));
  }
  const parsed = configSchema.safeParse(yaml.value ?? {});
  const folder = resolve(dirname(file));
  const findings: Finding[] = [];
  let config: Config | undefined;
  if (parsed.success) {
    config = parsed.data;
    findings.push(...crossCheck(config));
    resolvePaths(config, folder);
    applyOverrides(config, options.overrides ?? {});
    if (options.files !== false) {
      findings.push(...checkFiles(config), ...readPasswordHashes(config));
    }
  } else {
    findings.push(...parsed.error.issues.flatMap(findingsOf), ...checkSurvivors(yaml.value, parsed.error));
  }
  if (config === undefined || findings.length > 0) {
    throw new ConfigError(describe(findings, file, yaml));
  }
  return config;
}

function describe(findings: readonly Finding[], file: string, yaml: LocatedYaml): string[] {
  const lines = findings
    .map((finding) => ({ line: yaml.lineOf(finding.path), ...finding }))
    .sort((a, b) => a.line - b.line)
    .map((finding) => `${file}:${finding.line}: ${printPath(finding.path)}: ${finding.message}`);
  return [...new Set(lines)];
}

function findingsOf(issue: z.core.$ZodIssue): Finding[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: [...issue.path, key], message: 'unknown key' }));
  }
  if (issue.code === 'invalid_type' && issue.input === undefined && /undefined$/.test(issue.message)) {
    return [{ path: issue.path, message: `is missing (expected ${issue.expected})` }];
  }
  const message = issue.message.replace(/^Invalid (?:input|string|option): /, '');
  return [{ path: issue.path, message: message.charAt(0).toLowerCase() + message.slice(1) }];
}

/**
 * The cross-checks of what is valid in itself, although something else is not: an administrator should
 * not meet the second half of the errors only after mending the first.
 */
function checkSurvivors(value: unknown, error: z.ZodError): Finding[] {
  if (typeof value !== 'object' || value === null) return [];
  const rest: Record<string, unknown> = { ...value };
  const dropped = { tenants: new Set<number>(), relays: new Set<number>() };
  for (const { path } of error.issues) {
    const [section, position] = path;
    if ((section === 'tenants' || section === 'relays') && typeof position === 'number') {
      dropped[section].add(position);
    } else if (section === 'tls') {
      rest.tls = { certificate: '-', key: '-' };
    } else if (section !== undefined) {
      delete rest[String(section)];
    } else {
      for (const key of Object.keys(rest)) {
        if (!(key in configSchema.shape)) delete rest[key];
      }
    }
  }
  const kept = { tenants: keep(rest, 'tenants'), relays: keep(rest, 'relays') };
  const parsed = configSchema.safeParse(rest);
  if (!parsed.success) return [];
  return crossCheck(parsed.data, { knownTenants: tenantIds(value) }).map(
    ({ path: [section, position, ...more], message }) => ({
      path:
        (section === 'tenants' || section === 'relays') && typeof position === 'number'
          ? [section, kept[section][position]!, ...more]
          : ([section, position, ...more].filter((step) => step !== undefined) as Path),
      message,
    }),
  );

  /** Leaves out the broken elements; returns the original position of each one kept. */
  function keep(target: Record<string, unknown>, section: 'tenants' | 'relays'): number[] {
    const list = target[section];
    if (!Array.isArray(list)) return [];
    const positions = list.map((_, i) => i).filter((i) => !dropped[section].has(i));
    target[section] = positions.map((i) => list[i]);
    return positions;
  }
}

function tenantIds(value: object): string[] {
  const tenants = (value as { tenants?: unknown }).tenants;
  return Array.isArray(tenants) ? tenants.map((tenant) => String(tenant?.id)) : [];
}

function applyOverrides(config: Config, overrides: ConfigOverrides): void {
  if (overrides.data !== undefined) config.data = resolve(overrides.data);
  if (overrides.hostname !== undefined) config.hostname = overrides.hostname;
  if (overrides.logLevel !== undefined) config.log.level = overrides.logLevel;
  Object.assign(config.listeners, overrides.listeners ?? {});
}
