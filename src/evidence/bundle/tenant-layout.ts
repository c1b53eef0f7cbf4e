/** What lies where in the export of a whole tenant. */
import { z } from 'zod';
import { archiveKinds } from '../../store/store.ts';
import { archiveDigests } from '../entry.ts';
import { entryNames } from './layout.ts';

export const TENANT_FORMAT = 'demail-gateway/tenant-export/v2';
/** Of earlier releases: without the trees of seals, and so without a way into another store. */
export const FIRST_TENANT_FORMAT = 'demail-gateway/tenant-export/v1';

export const tenantFiles = {
  summary: 'tenant.json',
  /** The key that objects are addressed by, 32 bytes: their addresses stand in entries. */
  addressKey: 'address.key',
  sums: 'SHA256SUMS',
  sumsNote: 'SHA256SUMS.note',
} as const;

const count = z.int().min(0);
const position = z.int();

const archivePart = z.strictObject({
  /** As the entries name it that came last. */
  number: z.int().min(1),
  kind: z.enum(archiveKinds),
  digest: z.enum(archiveDigests),
  genTime: z.iso.datetime(),
  authority: z.string(),
  /** Groups of its whole tree, those of other tenants too. */
  leaves: z.int().min(1),
  final: z.boolean(),
  /** A seal's: entries [from, to), where they stand in its tree, and the checkpoint behind them. */
  range: z.strictObject({ from: count, to: count, position: count, checkpoint: z.string() }).nullable(),
  /** A renewal's: what it renews; added to a group's position there, `position` gives the one here. */
  covers: z.array(z.strictObject({ number: z.int().min(1), position })),
  /** A hash-tree renewal's: the tenant's first `size` leaves under its digest. */
  leafList: z.strictObject({ size: count, position: count }).nullable(),
  excluded: z.array(z.strictObject({ index: count, reason: z.string() })),
});

/** A seal or renewal over the tenant's entries; its token and its part of the tree lie in files of their own. */
export type ArchivePart = z.output<typeof archivePart>;

const log = z.strictObject({
  number: z.int().min(1),
  origin: z.string().min(1),
  base: count,
  size: count,
  /** Verifier keys, oldest first. */
  keys: z.array(z.string()).min(1),
});

/** `tenant.json`. */
const summary = z.discriminatedUnion('format', [
  z.strictObject({
    format: z.literal(FIRST_TENANT_FORMAT),
    tenant: z.string(),
    entries: count,
    logs: z.array(log).min(1),
  }),
  z.strictObject({
    format: z.literal(TENANT_FORMAT),
    tenant: z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/),
    /** Entries of the tenant, over all its logs. */
    entries: count,
    logs: z.array(log).min(1),
    /** In the order of their numbers. */
    archive: z.array(archivePart),
  }),
]);

export type TenantSummary = z.output<typeof summary>;
export type FullSummary = Extract<TenantSummary, { format: typeof TENANT_FORMAT }>;

/** @throws Error saying what does not have the form of a summary */
export function readTenantSummary(bytes: Buffer): TenantSummary {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw new Error(`${tenantFiles.summary} is no JSON: ${(error as Error).message}`);
  }
  const read = summary.safeParse(value);
  if (!read.success) {
    const [first] = read.error.issues;
    throw new Error(
      `${tenantFiles.summary} does not have the format ${TENANT_FORMAT}: ${first?.path.join('.')}: ${first?.message}`,
    );
  }
  let next = 0;
  for (const [at, { number, base, size }] of read.data.logs.entries()) {
    if (number !== at + 1 || base !== next)
      throw new Error(`${tenantFiles.summary}: log ${number} does not follow the one before`);
    next = base + size;
  }
  if (next !== read.data.entries)
    throw new Error(`${tenantFiles.summary}: its logs hold ${next} entries, it says ${read.data.entries}`);
  return read.data;
}

/** A bundle: of a letter, or of a message that belongs to none. */
export function bundlePath(index: number): string {
  return `letters/${String(index).padStart(6, '0')}.asice`;
}

/** Reads the letter out of the path of a bundle; null for any other path. */
export function letterOfPath(path: string): number | null {
  const digits = /^letters\/(\d{6,15})\.asice$/.exec(path)?.[1];
  return digits !== undefined && bundlePath(Number(digits)) === path ? Number(digits) : null;
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

/** Files of a seal or renewal: token, raw response of its authority, part of its tree. */
export function archivePaths(number: number) {
  const name = `archive/${String(number).padStart(6, '0')}`;
  return { token: `${name}.tst`, response: `${name}.tsr`, nodes: `${name}.nodes` };
}
