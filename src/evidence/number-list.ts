/** Numbers in eight bytes each: what verification remembers of ten million entries must not be ten million objects. */
export interface NumberList {
  push(value: number): void;
  /** All so far; not to be used after the next `push`. */
  values(): Float64Array;
}

export function createNumberList(): NumberList {
  let held = new Float64Array(64);
  let length = 0;
  return {
    push(value) {
      if (length === held.length) {
        const larger = new Float64Array(2 * length);
        larger.set(held);
        held = larger;
      }
      held[length++] = value;
    },
    values: () => held.subarray(0, length),
  };
}

/** Where a value stands in an ascending list; its first place where it stands several times, -1 where it does not. */
export function placeIn(values: Float64Array, value: number): number {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (values[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return values[low] === value ? low : -1;
}

/** Positions of the values, the least value first; equal ones in the order in which they came. */
export function ascending(values: Float64Array): Uint32Array {
  return Uint32Array.from(values, (_, at) => at).sort((a, b) => values[a]! - values[b]! || a - b);
}
