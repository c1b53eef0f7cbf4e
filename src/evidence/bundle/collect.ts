/** Puts a letter's bundle together from what the store holds. Reads only; the same store gives the same bytes. */
import { createHash, hash } from 'node:crypto';
import { readTimestampToken } from '../../pki/timestamp-token.ts';
import type { Reader } from '../../store/store.ts';
import type { ArchiveDigest, Entry } from '../entry.ts';
import { parseEvidenceRecord } from '../ers/evidence-record.ts';
import type { NoteSigner } from '../note.ts';
import { type ArchiveReader, type EvidenceRecords, evidenceRecords } from '../record-of.ts';
import { instructions } from './instructions.ts';
import {
  ASIC_E,
  type BundleLayout,
  checkpointName,
  fixed,
  layoutOf,
  MOST_ENTRIES,
  recordNames,
} from './layout.ts';
import { type Manifest, printManifest } from './manifest.ts';
import { type EvidenceReport, printReport, reportOf, type Sealed } from './report.ts';
import { reportPdf } from './report-pdf.ts';
import { printSums, sumsNote } from './sums.ts';

export type BundleReader = ArchiveReader &
  Pick<Reader, 'timeline' | 'entryFiles' | 'object' | 'proof' | 'logs' | 'archiveRanges' | 'sealOf'>;

/** A file on its way into the archive. Large ones are read when they are written. */
export interface BundleFile {
  readonly name: string;
  /** Hex. */
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
  bytes(): Promise<Buffer>;
}

export interface Bundle {
  /** In the order in which they are written. */
  readonly files: readonly BundleFile[];
  readonly report: EvidenceReport;
}

/**
 * @param records of the same reader, where many bundles are made
 * @param signer the log's; null where its key is out of reach: the list of files is not signed then
 * @throws Error naming an entry or object that is missing, erased, or does not verify
 */
export async function collectBundle(
  reader: BundleReader,
  { tenant, letter }: { readonly tenant: string; readonly letter: number },
  signer: NoteSigner | null,
  records = evidenceRecords(reader),
): Promise<Bundle> {
  const entries = await entriesOf(reader, tenant, letter);
  if (entries.length > MOST_ENTRIES)
    throw new Error(`${tenant}/${letter} has more than ${MOST_ENTRIES} entries`);
  const layout = layoutOf(letter, entries);
  const files = new Map<string, BundleFile>();
  const add = (file: BundleFile) => files.set(file.name, file);
  for (const object of layout.objects) add(stored(reader, tenant, object.name, object.fact));
  for (const { name, header, body, bodyFrom, sha256, size } of layout.composed)
    add({
      name,
      sha256,
      size,
      bytes: async () => {
        const [first, second] = [await files.get(header)!.bytes(), await files.get(body)!.bytes()];
        return checked(name, Buffer.concat([first, second.subarray(bodyFrom)]), sha256);
      },
    });
  const proofs = await addEntries(reader, tenant, layout, add);
  const sealed = await addRecords(records, tenant, layout, proofs, files, add);
  const report = reportOf({ tenant, letter }, layout, sealed);
  add(inMemory(fixed.reportJson, printReport(report)));
  add(inMemory(fixed.reportPdf, await reportPdf(report)));
  add(inMemory(fixed.instructions, instructions(report)));
  const logs = await reader.logs(tenant);
  add(inMemory(fixed.logKeys, logs.flatMap(({ keys }) => keys.map(({ key }) => `${key}\n`)).join('')));
  const listed = [inMemory(fixed.mimetype, ASIC_E), ...[...files.values()].sort(byName)];
  const sums = printSums(listed);
  const closing = [inMemory(fixed.sums, sums)];
  if (signer !== null) closing.push(inMemory(fixed.sumsNote, sumsNote({ tenant, letter, sums }, signer)));
  return { files: [...listed, ...closing], report };
}

/** A message that fits no letter stands for itself. */
async function entriesOf(reader: BundleReader, tenant: string, letter: number): Promise<Entry[]> {
  const entries = await reader.timeline(tenant, letter);
  if (entries.some(({ index }) => index === letter)) return entries;
  const own = await reader.entryFiles(tenant, letter);
  if (own === null) throw new Error(`${tenant}/${letter}: there is no such letter`);
  return [own.entry, ...entries];
}

/** Adds entries, salts and proofs. A sealed entry is proven under the checkpoint of its seal, which never changes. */
async function addEntries(
  reader: BundleReader,
  tenant: string,
  layout: BundleLayout,
  add: (file: BundleFile) => void,
): Promise<ReadonlyMap<number, { readonly seal: number; readonly note: string }>> {
  const under = new Map<number, { seal: number; note: string }>();
  for (const { entry, files } of layout.entries) {
    const place = `${tenant}/${entry.index}`;
    const own = await reader.entryFiles(tenant, entry.index);
    if (own === null) throw new Error(`entry ${place} was erased`);
    const seal = await reader.sealOf(tenant, entry.index);
    const range =
      seal === null ? undefined : (await reader.archiveRanges(seal.id)).find((one) => one.tenant === tenant);
    const left = seal === null ? [] : await reader.archiveExcluded(seal.id);
    const isExcluded = left.some((one) => one.tenant === tenant && one.index === entry.index);
    if (range !== undefined && seal !== null && !isExcluded)
      under.set(entry.index, { seal: seal.id, note: range.checkpoint });
    const proof = await reader.proof(tenant, entry.index, range?.checkpoint);
    if (proof === null) throw new Error(`entry ${place} has no proof`);
    add(inMemory(files.entry, own.bytes));
    add(inMemory(files.salt, own.salt));
    add(inMemory(files.proof, proof));
  }
  return under;
}

/** Adds a manifest and a record for each sealed entry, then for each checkpoint that they are proven under. */
async function addRecords(
  records: EvidenceRecords,
  tenant: string,
  layout: BundleLayout,
  seals: ReadonlyMap<number, { readonly seal: number; readonly note: string }>,
  files: ReadonlyMap<string, BundleFile>,
  add: (file: BundleFile) => void,
): Promise<ReadonlyMap<number, Sealed>> {
  const sealed = new Map<number, Sealed>();
  const types = new Map(layout.objects.map(({ name, type }) => [name, type]));
  let number = 0;
  const addRecord = async (record: Buffer, names: readonly string[]): Promise<Sealed> => {
    const at = recordNames(++number);
    const { digest, since } = firstOf(record);
    const listed: Manifest['files'][number][] = [];
    for (const name of names) {
      const file = files.get(name)!;
      const value =
        digest === 'sha256' ? Buffer.from(file.sha256, 'hex') : hash(digest, await file.bytes(), 'buffer');
      listed.push({ name, type: types.get(name) ?? typeOf(name), digest: value });
    }
    add(inMemory(at.manifest, printManifest({ record: at.record, digest, files: listed })));
    add(inMemory(at.record, record));
    return { ...at, since };
  };
  for (const { entry, files: own, objects } of layout.entries) {
    if (!seals.has(entry.index)) continue;
    const record = await records.ofEntry(tenant, entry.index);
    if (record !== null) sealed.set(entry.index, await addRecord(record, [own.entry, own.salt, ...objects]));
  }
  const distinct = [...new Set([...seals.values()].map(({ seal }) => seal))].sort((a, b) => a - b);
  for (const [position, seal] of distinct.entries()) {
    const found = await records.ofCheckpoint(seal, tenant);
    if (found === null) throw new Error(`the seal ${seal} has no checkpoint of ${tenant}`);
    const name = checkpointName(position + 1);
    add(inMemory(name, found.checkpoint));
    await addRecord(found.record, [name]);
  }
  return sealed;
}

/** Digest and time of the first archive time-stamp of a record. */
export function firstOf(record: Buffer): { readonly digest: ArchiveDigest; readonly since: string | null } {
  const parsed = parseEvidenceRecord(record);
  const token = parsed.ok ? readTimestampToken(parsed.record.chains[0]![0]!.timeStamp) : null;
  if (token === null || !token.ok) return { digest: 'sha256', since: null };
  return { digest: token.token.imprint.hash, since: token.token.genTime.toISOString() };
}

export function typeOf(name: string): string {
  if (name.endsWith('.json')) return 'application/json';
  return name.endsWith('.txt') ? 'text/plain' : 'application/octet-stream';
}

function stored(
  reader: BundleReader,
  tenant: string,
  name: string,
  { object, sha256, size }: { readonly object: string; readonly sha256: string; readonly size: number },
): BundleFile {
  return {
    name,
    sha256,
    size,
    bytes: async () => {
      const opened = await reader.object(tenant, object);
      if (opened === null) throw new Error(`object ${tenant}/${object} is missing`);
      const chunks: Buffer[] = [];
      for await (const chunk of opened.read()) chunks.push(chunk);
      return checked(name, Buffer.concat(chunks), sha256);
    },
  };
}

function checked(name: string, bytes: Buffer, sha256: string): Buffer {
  if (createHash('sha256').update(bytes).digest('hex') !== sha256)
    throw new Error(`${name} is not what its entry says`);
  return bytes;
}

function inMemory(name: string, content: string | Buffer): BundleFile {
  const bytes = Buffer.from(content);
  return { name, sha256: hash('sha256', bytes), size: bytes.length, bytes: async () => bytes };
}

function byName(a: BundleFile, b: BundleFile): number {
  return a.name < b.name ? -1 : 1;
}
