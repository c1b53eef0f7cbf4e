/** Mutated inputs for parsers: the same on every machine, by seed. */

/** Small and fast (mulberry32). @returns a function giving an integer from 0 to `below` - 1 */
export function random(start: number): (below: number) => number {
  let state = start;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

/** One to five edits: a piece put in or put over something, bytes changed, a stretch doubled, moved or cut off. */
export function mutate(
  next: (below: number) => number,
  seeds: readonly Buffer[],
  pieces: readonly string[],
): Buffer {
  let bytes = seeds[next(seeds.length)]!;
  for (let edits = next(5); edits >= 0; edits--) {
    const at = next(bytes.length + 1);
    const to = Math.min(bytes.length, at + next(24));
    const piece = Buffer.from(pieces[next(pieces.length)]!, 'latin1');
    switch (next(6)) {
      case 0:
        bytes = Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(at)]);
        break;
      case 1:
        bytes = Buffer.concat([bytes.subarray(0, at), piece, bytes.subarray(to)]);
        break;
      case 2:
        bytes = Buffer.from(bytes);
        if (at < bytes.length) bytes[at] = next(256);
        break;
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, to), bytes.subarray(at)]);
        break;
      case 4: {
        const other = seeds[next(seeds.length)]!;
        bytes = Buffer.concat([bytes.subarray(0, at), other.subarray(next(other.length + 1))]);
        break;
      }
      default:
        bytes =
          next(8) === 0 ? bytes.subarray(0, at) : Buffer.concat([bytes.subarray(0, at), bytes.subarray(to)]);
    }
  }
  return bytes;
}
