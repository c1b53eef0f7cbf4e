/**
 * What verification finds. A store that is wholly broken has a finding per entry: each is told as it is found, the first
 * are kept, all are counted.
 */
import type { Finding } from './audit.ts';

/** How many are kept, of findings and of undecided ones each. */
export const MOST_KEPT = 10_000;

export interface Findings {
  add(finding: Finding): void;
  readonly kept: readonly Finding[];
  readonly count: number;
}

export function createFindings(tell?: (finding: Finding) => void): Findings {
  const kept: Finding[] = [];
  let count = 0;
  return {
    add(finding) {
      count++;
      if (kept.length < MOST_KEPT) kept.push(finding);
      tell?.(finding);
    },
    kept,
    get count() {
      return count;
    },
  };
}
