/** Sequence sets (RFC 3501 `sequence-set`): parse, print, compress, resolve. */

/** `*`, the largest number in use. */
export const STAR = Number.POSITIVE_INFINITY;

/** A range as written; the ends may come in either order, and either may be `STAR`. */
export type Range = readonly [number, number];
export type SequenceSet = readonly Range[];

const item = /^(?:([1-9]\d{0,9})|(\*))(?::(?:([1-9]\d{0,9})|(\*)))?$/;

/** Numbers are 1 to 4294967295; null for anything that is not a sequence set. */
export function parseSequenceSet(text: string): SequenceSet | null {
  const ranges: Range[] = [];
  for (const piece of text.split(',')) {
    const match = item.exec(piece);
    if (!match) return null;
    const from = match[2] ? STAR : Number(match[1]);
    const to = match[4] ? STAR : match[3] ? Number(match[3]) : from;
    if ((from !== STAR && from > 0xffffffff) || (to !== STAR && to > 0xffffffff)) return null;
    ranges.push([from, to]);
  }
  return ranges;
}

export function printSequenceSet(set: SequenceSet): string {
  return set.map(([from, to]) => (from === to ? name(from) : `${name(from)}:${name(to)}`)).join(',');
}

/** Numbers in ascending order, without repetition, in their shortest spelling: `1:3,7`. */
export function compress(ascending: Iterable<number>): string {
  return printSequenceSet(ranges(ascending));
}

/** Ascending numbers → ranges. */
export function ranges(ascending: Iterable<number>): SequenceSet {
  const found: [number, number][] = [];
  for (const number of ascending) {
    const last = found.at(-1);
    if (last && number === last[1] + 1) last[1] = number;
    else if (!last || number > last[1]) found.push([number, number]);
  }
  return found;
}

/**
 * Ranges in ascending order, merged, with `*` replaced by `largest`. RFC 3501 9: `5:*` with a largest of 3
 * is `3:5`. With nothing in use (`largest` 0) `*` names nothing.
 */
export function resolve(set: SequenceSet, largest: number): SequenceSet {
  const plain = set
    .filter(([from, to]) => largest > 0 || (from !== STAR && to !== STAR))
    .map(([from, to]): [number, number] => {
      const a = from === STAR ? largest : from;
      const b = to === STAR ? largest : to;
      return a <= b ? [a, b] : [b, a];
    })
    .sort((a, b) => a[0] - b[0]);
  const merged: [number, number][] = [];
  for (const [from, to] of plain) {
    const last = merged.at(-1);
    if (last && from <= last[1] + 1) last[1] = Math.max(last[1], to);
    else merged.push([from, to]);
  }
  return merged;
}

/** Is the number in a resolved set? Logarithmic. */
export function includes(resolved: SequenceSet, number: number): boolean {
  let low = 0;
  let high = resolved.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const [from, to] = resolved[middle]!;
    if (number < from) high = middle - 1;
    else if (number > to) low = middle + 1;
    else return true;
  }
  return false;
}

function name(number: number): string {
  return number === STAR ? '*' : String(number);
}
