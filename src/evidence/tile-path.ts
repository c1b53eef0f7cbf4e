/** Names of the resources of a tiled log (c2sp.org/tlog-tiles), as paths below its prefix. */
import { TILE_WIDTH } from './merkle.ts';

/** A tile of hashes at a level, or a bundle of entries. */
export interface TileName {
  readonly level: number | 'entries';
  readonly n: number;
  /** Hashes or entries in it: 256 in a full one. */
  readonly width: number;
}

/** `tile/0/x001/x234/067`, and `.p/17` behind it for a partial one. */
export function tilePath({ level, n, width }: TileName): string {
  const digits = String(n).padStart(Math.ceil(String(n).length / 3) * 3, '0');
  const parts = digits.match(/\d{3}/g)!;
  const last = parts.pop()!;
  const path = ['tile', level, ...parts.map((part) => `x${part}`), last].join('/');
  return width === TILE_WIDTH ? path : `${path}.p/${width}`;
}

/** Reads such a path; null for everything that `tilePath` does not write. */
export function parseTilePath(path: string): TileName | null {
  const match = /^tile\/(\d{1,2}|entries)\/((?:x\d{3}\/){0,4}\d{3})(?:\.p\/([1-9]\d{0,2}))?$/.exec(path);
  if (match === null) return null;
  const level = match[1] === 'entries' ? 'entries' : Number(match[1]);
  const n = Number(match[2]!.replace(/[x/]/g, ''));
  const name: TileName = { level, n, width: match[3] === undefined ? TILE_WIDTH : Number(match[3]) };
  if (match[3] !== undefined && name.width >= TILE_WIDTH) return null;
  if (level !== 'entries' && level > 63) return null;
  return tilePath(name) === path ? name : null;
}

/** Entry bundle: each entry with its length before it, 16 bits big-endian. */
export function entryBundle(entries: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    entries.flatMap((entry) => [Buffer.from([entry.length >> 8, entry.length & 0xff]), entry]),
  );
}

/** Every tile that belongs to the tree of `to` leaves and not, or not as wide, to that of `from`. */
export function* newTiles(from: number, to: number): Generator<TileName> {
  for (let level = 0, before = from, after = to; after > 0; level++) {
    for (let n = Math.floor(before / TILE_WIDTH); n * TILE_WIDTH < after; n++) {
      const width = Math.min(TILE_WIDTH, after - n * TILE_WIDTH);
      if (n * TILE_WIDTH + width <= before) continue;
      if (level === 0) yield { level: 'entries', n, width };
      yield { level, n, width };
    }
    before = Math.floor(before / TILE_WIDTH);
    after = Math.floor(after / TILE_WIDTH);
  }
}
