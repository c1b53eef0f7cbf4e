/** Which key of a log had to sign a checkpoint. */

/** A key signs the checkpoints of more than `after` entries (-1: all), until the next one takes over. */
export interface KeyPeriod {
  readonly after: number;
  /** Verifier key. */
  readonly key: string;
}

/** @param keys oldest first. */
export function keyAt(keys: readonly KeyPeriod[], size: number): string {
  const period = keys.findLast(({ after }) => size > after);
  if (period === undefined) throw new Error('no key of the log is known');
  return period.key;
}
