/**
 * Inner nodes of tiles, once hashed: a proof at random takes the nodes of one tile of leaves anew, and those of the tiles
 * above from here. A node over leaves that exist never changes while its tile grows, so nothing here goes out of date.
 */
import { HASH_LENGTH, nodeHash, type SubtreeReader, TILE_WIDTH, type TileReader } from './merkle.ts';

/** Binary levels of a tile. */
const HEIGHT = 8;

/** Nodes of one tile as a heap: the children of `at` are `2 at` and `2 at + 1`; leaves are not kept. */
interface TileNodes {
  readonly hashes: Buffer;
  readonly known: Uint8Array;
}

export interface TileMemory {
  /** Subtree hashes of the tree whose tiles `readTile` reads. @param tree names it among those remembered */
  of(tree: string, readTile: TileReader): SubtreeReader;
}

/** Remembers the nodes of the tiles asked for last, 8.3 KB each: so many of leaves, and so many above. */
export function createTileMemory(leafTiles = 64, upperTiles = 1024): TileMemory {
  const remembered = [new Map<string, TileNodes>(), new Map<string, TileNodes>()] as const;

  /** The least recently used one makes room. */
  function nodesOf(tree: string, level: number, n: number): TileNodes {
    const [tiles, most] = level === 0 ? [remembered[0], leafTiles] : [remembered[1], upperTiles];
    const name = `${tree}/${level}/${n}`;
    const nodes = tiles.get(name) ?? {
      hashes: Buffer.alloc(TILE_WIDTH * HASH_LENGTH),
      known: new Uint8Array(TILE_WIDTH),
    };
    tiles.delete(name);
    tiles.set(name, nodes);
    if (tiles.size > most) tiles.delete(tiles.keys().next().value!);
    return nodes;
  }

  return {
    of(tree, readTile) {
      return (level, index) => {
        const tileLevel = Math.floor(level / HEIGHT);
        const width = 2 ** (HEIGHT - (level % HEIGHT));
        const n = Math.floor(index / width);
        const { hashes, known } = nodesOf(tree, tileLevel, n);
        let leaves: Uint8Array | null = null;
        const node = (at: number): Uint8Array => {
          if (at >= TILE_WIDTH) {
            leaves ??= readTile(tileLevel, n);
            const from = (at - TILE_WIDTH) * HASH_LENGTH;
            if (leaves.length < from + HASH_LENGTH)
              throw new Error(
                `tile ${tileLevel}/${n} holds ${leaves.length} bytes, ${from + HASH_LENGTH} needed`,
              );
            return leaves.subarray(from, from + HASH_LENGTH);
          }
          const kept = hashes.subarray(at * HASH_LENGTH, (at + 1) * HASH_LENGTH);
          if (known[at] === 0) {
            kept.set(nodeHash(node(2 * at), node(2 * at + 1)));
            known[at] = 1;
          }
          return kept;
        };
        return Buffer.from(node(width + (index % width)));
      };
    },
  };
}
