/**
 * A tenant's export taken into another store: verified first, then put there as it was, and each evidence record that
 * comes out compared with the one in the export before anything is committed.
 */
import { hash } from 'node:crypto';
import { type Archive, openArchive } from '../evidence/bundle/archive.ts';
import { type BundleFiles, bundleFiles } from '../evidence/bundle/bundle-files.ts';
import type { ReadPart } from '../evidence/bundle/check-archive.ts';
import {
  type BundleLayout,
  checkpointName,
  entryIndexOf,
  entryNames,
  layoutOf,
  recordNames,
} from '../evidence/bundle/layout.ts';
import { filesOfManifest } from '../evidence/bundle/manifest.ts';
import { letterOfPath, loosePaths, TENANT_FORMAT, tenantFiles } from '../evidence/bundle/tenant-layout.ts';
import type { BundleCircumstances } from '../evidence/bundle/verify-bundle.ts';
import { type VerifiedExport, verifyTenant } from '../evidence/bundle/verify-tenant.ts';
import { commitmentOf, parseEntry } from '../evidence/canonical.ts';
import type { Actor, Entry } from '../evidence/entry.ts';
import { MAX_RECORD_BYTES } from '../evidence/ers/evidence-record.ts';
import { objectsOf } from '../evidence/objects-of.ts';
import { ExcludedEntry, evidenceRecords } from '../evidence/record-of.ts';
import type { CheckResult } from '../pki/types.ts';
import { beginImport, type ImportOptions, type TenantImport } from '../store/sqlite/import-tenant.ts';
import type { SealRange } from '../store/store.ts';

export interface ImportSettings
  extends Pick<ImportOptions, 'directory' | 'paths' | 'originPrefix' | 'now' | 'warn'> {
  readonly tenant: string;
  readonly actor: Actor;
  readonly reason: string;
}

export interface Imported {
  readonly tenant: string;
  readonly entries: number;
  readonly erased: number;
  readonly objects: number;
  readonly archiveTimestamps: number;
  /** Evidence records compared with those in the export. */
  readonly records: number;
  /** Origin and key of the log that goes on. */
  readonly origin: string;
  readonly key: string;
  /** Hand-overs that waited: they are in doubt here. */
  readonly inDoubt: number;
}

/** Why an export is not taken over. */
export class ImportRefused extends Error {
  readonly checks: readonly CheckResult[];

  constructor(message: string, checks: readonly CheckResult[] = []) {
    super(message);
    this.name = 'ImportRefused';
    this.checks = checks;
  }
}

/** Checks that must have passed: by these the entries are those of that log, all of them, as it signed them. */
const required = ['log', 'complete', 'files', 'list-signature', 'archive'];

/**
 * Verifies an export as for an import.
 * @throws ImportRefused naming what is wrong, and where
 * @throws Error where it is no export
 */
export async function verifyForImport(
  directory: string,
  tenant: string,
  circumstances: BundleCircumstances,
): Promise<VerifiedExport> {
  const verified = await verifyTenant(directory, circumstances);
  if (verified.summary.format !== TENANT_FORMAT)
    throw new ImportRefused(
      `${directory} was made by an earlier release: its seals cannot be renewed anywhere else; export it again`,
    );
  if (verified.tenant !== tenant)
    throw new ImportRefused(
      `${directory} is of tenant ${verified.tenant}: its name stands in every entry, it cannot become ${tenant}`,
    );
  const wrong = verified.checks.filter(
    ({ name, result }) => result === 'failed' || (result === 'undecided' && required.includes(name)),
  );
  if (wrong.length > 0) throw new ImportRefused(`${directory} is not taken over`, wrong);
  return verified;
}

/** @throws Error saying what does not fit; then nothing of it is in the store */
export async function importTenant(verified: VerifiedExport, settings: ImportSettings): Promise<Imported> {
  const { folder, logs, places, summary, parts, checks } = verified;
  const { tenant, actor, reason } = settings;
  const addressKey = await folder.bytes(tenantFiles.addressKey, 32);
  if (addressKey?.length !== 32) throw new ImportRefused(`${tenantFiles.addressKey} is missing, or no key`);
  const sums = await folder.bytes(tenantFiles.sums, LONGEST_LIST);
  const note = await folder.bytes(tenantFiles.sumsNote, LONGEST_LIST);
  if (sums === null || note === null) throw new ImportRefused(`${tenantFiles.sums} is missing`);
  await using target = beginImport({
    ...settings,
    entries: summary.entries,
    logs: logs.length,
    addressKey,
  });
  using bundles = openBundles(folder.path);
  let objects = 0;
  let erased = 0;
  for (const log of logs) {
    for (let index = log.base; index < log.base + log.size; index++) {
      const commitment = log.commitment(index - log.base);
      const bundle = places.get(index);
      if (bundle === undefined) {
        target.erased(index, commitment);
        erased++;
        continue;
      }
      const { salt, bytes } = await entryIn(verified, bundles, index, bundle);
      // Read a second time: the folder may be another by now.
      if (!commitmentOf(salt, bytes).equals(commitment))
        throw new Error(`entry ${index} was changed meanwhile`);
      objects += await putObjects(target, bundles, parseEntry(bytes), bundle);
      target.entry(salt, bytes);
    }
    target.closeLog(log);
  }
  const numbers = putParts(target, tenant, parts);
  const records = await compareRecords(verified, target.reader, bundles, numbers);
  const done = await target.commit({
    actor,
    reason,
    imported: {
      actor,
      origin: logs.at(-1)!.origin,
      entries: summary.entries,
      erased,
      checkpoint: logs.at(-1)!.note,
      export: {
        format: TENANT_FORMAT,
        sha256: hash('sha256', sums),
        note: note.toString('utf8'),
        undecided: checks.filter(({ result }) => result === 'undecided').length,
      },
      archiveTimestamps: [...numbers],
    },
  });
  return {
    tenant,
    entries: summary.entries,
    erased,
    objects,
    archiveTimestamps: numbers.size,
    records,
    ...done,
  };
}

const LONGEST_LIST = 1024 * 1024 * 1024;
const LONGEST_ENTRY = 16 * 1024 * 1024;

async function entryIn(
  { folder }: VerifiedExport,
  bundles: Bundles,
  index: number,
  bundle: string | null,
): Promise<{ salt: Buffer; bytes: Buffer }> {
  const own = entryNames(index);
  const at = loosePaths(index);
  const files = bundle === null ? null : (await bundles.open(bundle)).files;
  const salt = await (files === null ? folder.bytes(at.salt, 32) : files.bytes(own.salt, 32));
  const bytes = await (files === null
    ? folder.bytes(at.entry, LONGEST_ENTRY)
    : files.bytes(own.entry, LONGEST_ENTRY));
  if (salt === null || bytes === null) throw new Error(`entry ${index} is missing`);
  return { salt, bytes };
}

/** Objects that the entry names and that are not there yet. @returns how many */
async function putObjects(
  target: TenantImport,
  bundles: Bundles,
  entry: Entry,
  bundle: string | null,
): Promise<number> {
  let put = 0;
  for (const { fact, message } of objectsOf(entry)) {
    if (target.hasObject(fact.object)) continue;
    if (bundle === null) throw new Error(`entry ${entry.index} names an object, and lies in no bundle`);
    const { layout, files } = await bundles.open(bundle);
    const name = layout.objects.find((one) => one.fact.object === fact.object)?.name ?? '';
    try {
      await target.object(fact, message, files.read(name));
    } catch (error) {
      throw new Error(`${bundle}: ${name}: ${(error as Error).message}`, { cause: error });
    }
    put++;
  }
  return put;
}

/** @returns the numbers there, and here */
function putParts(
  target: TenantImport,
  tenant: string,
  parts: ReadonlyMap<number, ReadPart>,
): Map<number, number> {
  const numbers = new Map<number, number>();
  for (const [number, { part, token, response, nodes }] of parts) {
    const { kind, digest, genTime, authority, leaves, final, range, covers, leafList, excluded } = part;
    const ranges: SealRange[] = range === null ? [] : [{ tenant, ...range }];
    const id = target.archiveTimestamp(
      {
        kind,
        digest,
        genTime,
        authority,
        leaves,
        final,
        token,
        response,
        ranges,
        covers: covers.map((cover) => ({ id: numbers.get(cover.number)!, position: cover.position })),
        leafLists: leafList === null ? [] : [{ tenant, ...leafList }],
        excluded: excluded.map((each) => ({ tenant, ...each })),
      },
      nodes,
    );
    numbers.set(number, id);
  }
  return numbers;
}

/**
 * Every record of the export comes out of the store byte for byte, and none that the export lacks.
 * @returns how many
 */
async function compareRecords(
  verified: VerifiedExport,
  reader: TenantImport['reader'],
  bundles: Bundles,
  numbers: ReadonlyMap<number, number>,
): Promise<number> {
  const { folder, places, summary } = verified;
  const records = evidenceRecords(reader);
  const { tenant } = summary;
  let compared = 0;
  const compare = (what: string, wanted: Buffer | null, own: Buffer | null) => {
    if (wanted === null && own === null) return;
    if (wanted === null || own?.equals(wanted) !== true)
      throw new Error(`the evidence record of ${what} would be another here than in the export`);
    compared++;
  };
  for (const [index, bundle] of places) {
    const own = await records.ofEntry(tenant, index).catch((error: unknown) => {
      if (error instanceof ExcludedEntry) return null;
      throw error;
    });
    const wanted =
      bundle === null
        ? await folder.bytes(loosePaths(index).record, MAX_RECORD_BYTES)
        : ((await bundles.open(bundle)).records.get(index) ?? null);
    compare(`entry ${index}`, wanted, own);
  }
  // Checkpoints of seals lie in the bundles of letters under them.
  const checkpoints = new Map<string, Buffer>();
  for (const name of folder.names)
    if (letterOfPath(name) !== null)
      for (const [note, record] of (await bundles.open(name)).checkpoints) checkpoints.set(note, record);
  for (const here of numbers.values()) {
    const own = await records.ofCheckpoint(here, tenant);
    const wanted = own === null ? undefined : checkpoints.get(own.checkpoint);
    if (own !== null && wanted !== undefined) compare(`a checkpoint`, wanted, own.record);
  }
  return compared;
}

interface OpenBundle {
  readonly archive: Archive;
  readonly files: BundleFiles;
  readonly layout: BundleLayout;
  /** Evidence records by entry. */
  readonly records: ReadonlyMap<number, Buffer>;
  /** Evidence records of checkpoints, by the note. */
  readonly checkpoints: ReadonlyMap<string, Buffer>;
}

interface Bundles extends Disposable {
  open(name: string): Promise<OpenBundle>;
}

/** Entries of letters lie between each other in the log: their bundles are kept open for a while. */
const MOST_OPEN = 64;

function openBundles(path: (name: string) => Promise<string>): Bundles {
  const known = new Map<string, OpenBundle>();
  return {
    async open(name) {
      let bundle = known.get(name);
      if (bundle === undefined) {
        bundle = await readBundle(await openArchive(await path(name)), letterOfPath(name) ?? -1);
        const [oldest] = known;
        if (known.size >= MOST_OPEN && oldest !== undefined) {
          oldest[1].archive[Symbol.dispose]();
          known.delete(oldest[0]);
        }
      } else known.delete(name);
      known.set(name, bundle);
      return bundle;
    },
    [Symbol.dispose]() {
      for (const { archive } of known.values()) archive[Symbol.dispose]();
    },
  };
}

async function readBundle(archive: Archive, letter: number): Promise<OpenBundle> {
  const files = bundleFiles(archive.files);
  const entries: Entry[] = [];
  for (const name of files.names)
    if (entryIndexOf(name) !== null)
      entries.push(parseEntry((await files.bytes(name, LONGEST_ENTRY)) ?? Buffer.alloc(0)));
  entries.sort((a, b) => a.index - b.index);
  const records = new Map<number, Buffer>();
  const checkpoints = new Map<string, Buffer>();
  for (let number = 1; files.has(recordNames(number).manifest); number++) {
    const at = recordNames(number);
    const [first] = filesOfManifest((await files.bytes(at.manifest, LONGEST_ENTRY))?.toString('utf8') ?? '');
    const record = await files.bytes(at.record, MAX_RECORD_BYTES);
    if (record === null || first === undefined) continue;
    const index = entryIndexOf(first);
    if (index !== null) records.set(index, record);
    else if (first === checkpointName(checkpoints.size + 1))
      checkpoints.set((await files.bytes(first, LONGEST_ENTRY))?.toString('utf8') ?? '', record);
  }
  return { archive, files, layout: layoutOf(letter, entries), records, checkpoints };
}
