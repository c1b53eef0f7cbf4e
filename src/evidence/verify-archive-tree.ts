/** One hash tree of a seal or renewal, computed again and compared with its stored tiles and with its token. */
import { digestLength } from '../pki/digest-algorithm.ts';
import type { TimestampToken } from '../pki/timestamp-token.ts';
import type { ArchiveTimestamp } from '../store/store.ts';
import type { ArchiveSource, Report } from './audit.ts';
import { createHashTree, groupValue, type HashTreeTile } from './ers/hash-tree.ts';
import { growPart, type NodeRun, type Positions, partOfTree } from './ers/partial-tree.ts';

const TILE_WIDTH = 256;
/** One changed token makes every leaf another. */
export const MOST_NAMED = 20;

export interface TreeCheck {
  /**
   * The next group.
   * @param own its digests as they are now; null where they are not looked at: then the stored hash stands for it
   * @param name what it is, for messages
   * @param at where it stands by the tables; in a whole tree each is the next one
   */
  add(own: readonly Buffer[] | null, name: string, at: number): Promise<void>;
  /** Compares all with what the token stamps. */
  end(): Promise<void>;
}

export function createTreeCheck(
  archive: Pick<ArchiveSource, 'archiveTile' | 'archiveNode' | 'tileNames' | 'nodes'>,
  one: ArchiveTimestamp,
  token: TimestampToken | null,
  report: Report,
): TreeCheck {
  if (one.partial) return createPartCheck(archive, one, token, report);
  const { id, digest, leaves } = one;
  if (!Object.hasOwn(digestLength, digest)) throw new Error(`there is no digest ${digest}`);
  const width = digestLength[digest];
  const blank = Buffer.alloc(width);
  const filled: HashTreeTile[] = [];
  const tree = createHashTree(digest, (tile) => filled.push(tile));
  /** The first that differ, and how many do. */
  const differing: { name: string; tile: number }[] = [];
  let different = 0;
  /** Names of tiles that were compared; a tree of ten million groups has 40,000. */
  const compared = new Set<string>();
  /** What is wrong with them; hashes above the leaves count only where those are right. */
  const wrong: { readonly place: string; readonly problem: string; readonly isAbove: boolean }[] = [];
  let loaded = -1;
  let tile: Buffer = blank;
  let position = 0;

  async function storedLeaf(): Promise<Buffer | null> {
    const n = Math.floor(position / TILE_WIDTH);
    if (n !== loaded) {
      tile = Buffer.from(await archive.archiveTile(id, 0, n));
      loaded = n;
    }
    const at = (position % TILE_WIDTH) * width;
    return tile.length >= at + width ? tile.subarray(at, at + width) : null;
  }

  return {
    async add(own, name) {
      const stored = await storedLeaf();
      const value = own === null ? (stored ?? blank) : groupValue(digest, own);
      if (own !== null && stored !== null && !value.equals(stored) && ++different <= MOST_NAMED)
        differing.push({ name, tile: Math.floor(position / TILE_WIDTH) });
      tree.add([value]);
      position++;
      await compareFilled();
    },
    async end() {
      const place = `archive timestamp ${id}`;
      if (position !== leaves)
        report(place, `column leaves says ${leaves}, its ranges and covers give ${position}`);
      if (position === 0) return;
      const { root } = tree.finish();
      await compareFilled();
      const isStamped = token?.imprint.digest.equals(root) === true;
      for (const { name, tile: n } of differing)
        report(
          isStamped ? `tile 0/${n} of ${place}` : place,
          isStamped
            ? `its hash for ${name} was changed: what is there now is what was time-stamped`
            : `${name} is not what was time-stamped`,
        );
      if (different > MOST_NAMED)
        report(place, `${different - MOST_NAMED} more of its groups are not what was time-stamped`);
      if (!isStamped && token !== null && different === 0)
        report(place, 'its tree does not lead to the digest that its token stamps');
      for (const { place: of, problem, isAbove } of wrong) if (isStamped || !isAbove) report(of, problem);
      for (const { level, n } of archive.tileNames(id))
        if (!compared.has(`${level}/${n}`))
          report(`tile ${level}/${n} of archive timestamp ${id}`, 'no groups belong to it');
    },
  };

  /** Each tile as soon as it is there: nothing of the tree is kept. */
  async function compareFilled(): Promise<void> {
    for (const { level, n, hashes } of filled.splice(0)) {
      const place = `tile ${level}/${n} of archive timestamp ${id}`;
      compared.add(`${level}/${n}`);
      const stored = Buffer.from(await archive.archiveTile(id, level, n));
      if (stored.length === 0) wrong.push({ place, problem: 'missing', isAbove: false });
      else if (stored.length !== hashes.length)
        wrong.push({
          place,
          problem: `it has ${stored.length} bytes where ${hashes.length} belong`,
          isAbove: false,
        });
      else if (level > 0 && !stored.equals(hashes))
        wrong.push({ place, problem: 'its hashes are not those of the tiles below', isAbove: true });
    }
  }
}

/** The same of a tree of which only a tenant's part is held: each of its groups stands at its place among the nodes. */
function createPartCheck(
  archive: Pick<ArchiveSource, 'archiveNode' | 'nodes' | 'tileNames'>,
  { id, digest, leaves }: ArchiveTimestamp,
  token: TimestampToken | null,
  report: Report,
): TreeCheck {
  const place = `archive timestamp ${id}`;
  /** Groups that follow one another are one run. */
  const positions: Positions[] = [];
  return {
    async add(own, name, at) {
      const last = positions.at(-1);
      if (last?.to === at) positions[positions.length - 1] = { from: last.from, to: at + 1 };
      else positions.push({ from: at, to: at + 1 });
      const stored = await archive.archiveNode(id, 0, at);
      if (stored === null) report(place, `its part of the tree does not hold ${name}`);
      else if (own !== null && !groupValue(digest, own).equals(stored))
        report(place, `${name} is not what was time-stamped`);
    },
    async end() {
      for (const { level, n } of archive.tileNames(id))
        report(`tile ${level}/${n} of ${place}`, 'a tree that came in part has none');
      const shape = { digest, leaves };
      const needed: NodeRun[] = [];
      for await (const run of partOfTree(shape, positions, (level, n) => archive.archiveNode(id, level, n)))
        needed.push(run);
      const { nodes, root } = growPart(shape, needed);
      if (token !== null && !token.imprint.digest.equals(root))
        report(place, 'its part of the tree does not lead to the digest that its token stamps');
      const stored = [...archive.nodes(id)];
      const differs = nodes.findIndex((run, at) => !isSameRun(run, stored[at]));
      if (differs >= 0 || stored.length !== nodes.length) {
        const { level, first } = nodes[differs] ?? stored[nodes.length]!;
        report(`node ${level}/${first} of ${place}`, 'it is not what follows from the nodes below');
      }
    },
  };
}

function isSameRun(run: NodeRun, stored: NodeRun | undefined): boolean {
  return stored?.level === run.level && stored.first === run.first && run.hashes.equals(stored.hashes);
}
