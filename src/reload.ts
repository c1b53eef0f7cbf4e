/** What a reload of the configuration can change while the gateway runs, and what needs a restart. */
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import type { Config } from './config/schema.ts';
import { tlsServerOptions } from './pki/tls.ts';
import type { SmtpDeps } from './smtp/listener.ts';

/** Read anew by a reload. */
const reloadable: readonly (keyof Config)[] = ['tenants', 'relays', 'demailDomains', 'tls', 'log'];

export interface Reloaded {
  readonly tenants: number;
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** Keys that differ from those in force and count only after a restart. */
  readonly needRestart: readonly string[];
}

/** @param started what the gateway was started with: that is in force for what needs a restart */
export function compareConfigs(before: Config, after: Config, started: Config): Reloaded {
  const ids = (config: Config) => config.tenants.map(({ id }) => id);
  const keys = new Set([...Object.keys(started), ...Object.keys(after)] as (keyof Config)[]);
  const differs = (key: keyof Config) => JSON.stringify(started[key]) !== JSON.stringify(after[key]);
  return {
    tenants: after.tenants.length,
    added: ids(after).filter((id) => !ids(before).includes(id)),
    removed: ids(before).filter((id) => !ids(after).includes(id)),
    needRestart: [...keys].filter((key) => !reloadable.includes(key) && differs(key)),
  };
}

/**
 * Certificate, key and client authorities of the listeners.
 * @throws Error where a file cannot be read, or certificate and key do not belong together
 */
export async function readListenerTls({ tls }: Config): Promise<SmtpDeps['tls']> {
  const [certificate, key, ...clientAuthorities] = await Promise.all(
    [tls.certificate, tls.key, ...tls.clientAuthorities].map((file) => readFile(file)),
  );
  const identity = { certificate: certificate!, key: key!, clientAuthorities };
  try {
    createSecureContext(tlsServerOptions(identity));
  } catch (error) {
    throw new Error(`tls: ${tls.certificate} and ${tls.key}: ${(error as Error).message}`, { cause: error });
  }
  return identity;
}
