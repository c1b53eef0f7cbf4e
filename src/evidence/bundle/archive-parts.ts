/**
 * Seals and renewals over a tenant's entries, as they go along with an export: what the tables say of each, its token
 * and response, and of its tree the part that this tenant's proofs need. Other tenants are left out: of them there are
 * siblings, hashes of groups that hold a 32-byte salt.
 */
import { digestLength } from '../../pki/digest-algorithm.ts';
import type { ArchiveRows, ArchiveTimestamp } from '../../store/store.ts';
import {
  type NodeReader,
  type NodeRun,
  nodesOfTiles,
  type Positions,
  partOfTree,
} from '../ers/partial-tree.ts';
import type { ArchivePart } from './tenant-layout.ts';

export interface CollectedPart {
  readonly part: ArchivePart;
  nodes(): AsyncIterable<NodeRun>;
}

/** Every seal with entries of the tenant before `entries`, and every renewal over those, by number. */
export async function collectParts(
  reader: ArchiveRows,
  tenant: string,
  entries: number,
): Promise<CollectedPart[]> {
  const found = new Map<number, CollectedPart>();
  const covers = Map.groupBy(await reader.archiveCovers(), ({ id }) => id);
  for (const one of await reader.archiveTimestamps()) {
    const range = (await reader.archiveRanges(one.id)).find(
      (each) => each.tenant === tenant && each.to <= entries,
    );
    const covered: ArchivePart['covers'][number][] = [];
    for (const { covers: id } of covers.get(one.id) ?? []) {
      const place = (await reader.renewalsOf(id)).find((renewal) => renewal.id === one.id);
      if (found.has(id) && place !== undefined) covered.push({ number: id, position: place.position });
    }
    if (range === undefined && covered.length === 0) continue;
    const list = (await reader.archiveLeafLists(one.id)).find((each) => each.tenant === tenant);
    const excluded = (await reader.archiveExcluded(one.id)).filter((each) => each.tenant === tenant);
    const part: ArchivePart = {
      number: one.id,
      kind: one.kind,
      digest: one.digest,
      genTime: one.genTime,
      authority: one.authority,
      leaves: one.leaves,
      final: one.final,
      range:
        range === undefined
          ? null
          : { from: range.from, to: range.to, position: range.position, checkpoint: range.checkpoint },
      covers: covered,
      leafList: list === undefined ? null : { size: list.size, position: list.position },
      excluded: excluded.map(({ index, reason }) => ({ index, reason })),
    };
    const positions = positionsOf(part, (number) => found.get(number)?.part);
    found.set(one.id, { part, nodes: () => partOfTree(one, positions, nodeReader(reader, one)) });
  }
  return [...found.values()];
}

/** Where the tenant's groups stand in the tree. @param partOf an earlier part by its number */
export function positionsOf(
  { kind, range, covers, leafList }: ArchivePart,
  partOf: (number: number) => ArchivePart | undefined,
): Positions[] {
  const positions: Positions[] = [];
  const add = (from: number, groups: number) => positions.push({ from, to: from + groups });
  // The checkpoint stands behind the entries.
  if (range !== null) add(range.position, range.to - range.from + 1);
  for (const { number, position } of covers) {
    const seal = partOf(number)?.range;
    if (kind === 'timestamp-renewal') add(position, 1);
    else if (seal != null) add(position + seal.position, seal.to - seal.from + 1);
  }
  if (leafList !== null) add(leafList.position, 1);
  return positions.sort((a, b) => a.from - b.from);
}

function nodeReader(reader: ArchiveRows, one: ArchiveTimestamp): NodeReader {
  return one.partial
    ? (level, n) => reader.archiveNode(one.id, level, n)
    : nodesOfTiles(one, (level, n) => reader.archiveTile(one.id, level, n));
}

/** A run in a file of nodes: level (1 byte), number of its first node (6 bytes), number of nodes (2 bytes), the nodes. */
const HEADER = 9;

export function printRun({ level, first, hashes }: NodeRun, width: number): Buffer {
  const header = Buffer.alloc(HEADER);
  header.writeUInt8(level);
  header.writeUIntBE(first, 1, 6);
  header.writeUInt16BE(hashes.length / width, 7);
  return Buffer.concat([header, hashes]);
}

/** @throws Error where the bytes are no runs of nodes */
export function* parseRuns(bytes: Buffer, { digest }: Pick<ArchivePart, 'digest'>): Generator<NodeRun> {
  const width = digestLength[digest];
  for (let at = 0; at < bytes.length; ) {
    if (bytes.length - at < HEADER) throw new Error('it ends within a run of nodes');
    const [level, first, nodes] = [
      bytes.readUInt8(at),
      bytes.readUIntBE(at + 1, 6),
      bytes.readUInt16BE(at + 7),
    ];
    const end = at + HEADER + nodes * width;
    if (nodes === 0 || end > bytes.length) throw new Error('it ends within a run of nodes');
    yield { level, first, hashes: bytes.subarray(at + HEADER, end) };
    at = end;
  }
}
