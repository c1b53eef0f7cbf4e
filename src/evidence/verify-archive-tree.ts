/** One hash tree of a seal or renewal, computed again and compared with its stored tiles and with its token. */
import { digestLength } from '../pki/digest-algorithm.ts';
import type { TimestampToken } from '../pki/timestamp-token.ts';
import type { ArchiveTimestamp } from '../store/store.ts';
import type { ArchiveSource, Report } from './audit.ts';
import { createHashTree, groupValue } from './ers/hash-tree.ts';

const TILE_WIDTH = 256;
/** One changed token makes every leaf another. */
const MOST_NAMED = 20;

export interface TreeCheck {
  /**
   * The next group.
   * @param own its digests as they are now; null where they are not looked at: then the stored hash stands for it
   * @param name what it is, for messages
   */
  add(own: readonly Buffer[] | null, name: string): Promise<void>;
  /** Compares all with what the token stamps. */
  end(): Promise<void>;
}

export function createTreeCheck(
  archive: Pick<ArchiveSource, 'archiveTile' | 'tileNames'>,
  { id, digest, leaves }: ArchiveTimestamp,
  token: TimestampToken | null,
  report: Report,
): TreeCheck {
  if (!Object.hasOwn(digestLength, digest)) throw new Error(`there is no digest ${digest}`);
  const width = digestLength[digest];
  const blank = Buffer.alloc(width);
  const built = new Map<string, Buffer>();
  const tree = createHashTree(digest, ({ level, n, hashes }) => built.set(`${level}/${n}`, hashes));
  const differing: { name: string; tile: number }[] = [];
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
      if (own !== null && stored !== null && !value.equals(stored))
        differing.push({ name, tile: Math.floor(position / TILE_WIDTH) });
      tree.add([value]);
      position++;
    },
    async end() {
      const place = `archive timestamp ${id}`;
      if (position !== leaves)
        report(place, `column leaves says ${leaves}, its ranges and covers give ${position}`);
      if (position === 0) return;
      const { root } = tree.finish();
      const isStamped = token?.imprint.digest.equals(root) === true;
      for (const { name, tile: n } of differing.slice(0, MOST_NAMED))
        report(
          isStamped ? `tile 0/${n} of ${place}` : place,
          isStamped
            ? `its hash for ${name} was changed: what is there now is what was time-stamped`
            : `${name} is not what was time-stamped`,
        );
      if (differing.length > MOST_NAMED)
        report(place, `${differing.length - MOST_NAMED} more of its groups are not what was time-stamped`);
      if (!isStamped && token !== null && differing.length === 0)
        report(place, 'its tree does not lead to the digest that its token stamps');
      await compareTiles(isStamped);
    },
  };

  /** Above the leaves only where those are right: one wrong leaf makes everything above it another. */
  async function compareTiles(isStamped: boolean): Promise<void> {
    const stored = new Set<string>();
    for (const { level, n } of [...archive.tileNames(id)]) stored.add(`${level}/${n}`);
    for (const [name, hashes] of built) {
      const place = `tile ${name} of archive timestamp ${id}`;
      const [level, n] = name.split('/').map(Number) as [number, number];
      if (!stored.delete(name)) report(place, 'missing');
      else {
        const bytes = Buffer.from(await archive.archiveTile(id, level, n));
        if (bytes.length !== hashes.length)
          report(place, `it has ${bytes.length} bytes where ${hashes.length} belong`);
        else if (isStamped && level > 0 && !bytes.equals(hashes))
          report(place, 'its hashes are not those of the tiles below');
      }
    }
    for (const name of stored) report(`tile ${name} of archive timestamp ${id}`, 'no groups belong to it');
  }
}
