/** What lies where in the export of a whole tenant. */
import { entryNames } from './layout.ts';

export const TENANT_FORMAT = 'demail-gateway/tenant-export/v1';

/** `tenant.json`. */
export interface TenantSummary {
  readonly format: typeof TENANT_FORMAT;
  readonly tenant: string;
  /** Entries of the tenant, over all its logs. */
  readonly entries: number;
  readonly logs: readonly {
    readonly number: number;
    readonly origin: string;
    readonly base: number;
    readonly size: number;
    /** Verifier keys, oldest first. */
    readonly keys: readonly string[];
  }[];
}

/** A bundle: of a letter, or of a message that belongs to none. */
export function bundlePath(index: number): string {
  return `letters/${String(index).padStart(6, '0')}.asice`;
}

/** Tiles and checkpoint of a log (c2sp.org/tlog-tiles). */
export function logFolder(number: number): string {
  return `logs/${number}`;
}

/** Files of an entry that belongs to no letter and names no object. */
export function loosePaths(index: number) {
  const { entry, salt } = entryNames(index);
  return {
    entry: `entries/${entry}`,
    salt: `entries/${salt}`,
    record: `entries/${entry.replace('.json', '.ers')}`,
  };
}
