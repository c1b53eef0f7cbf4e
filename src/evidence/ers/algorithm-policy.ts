/**
 * How long algorithms count, as `config/algorithms.yaml` says it: name, purpose, valid until. A proof counts as long
 * as each of its algorithms was good enough when the next time-stamp covered it (RFC 4998 5.3, TR-ESOR).
 */
import { z } from 'zod';
import type { AlgorithmUse } from '../../pki/timestamp.ts';

/** A day of the file counts to its end. */
const lastMoment = z.iso.date().transform((day) => new Date(`${day}T23:59:59.999Z`));

const ruleSchema = z.discriminatedUnion('purpose', [
  z.strictObject({
    name: z.enum(['sha1', 'sha256', 'sha384', 'sha512']),
    purpose: z.literal('digest'),
    validUntil: lastMoment,
  }),
  z.strictObject({
    name: z.enum(['rsa', 'rsassa-pss', 'ec-dsa']),
    purpose: z.literal('signature'),
    minBits: z.int().min(160).max(65_536).optional(),
    validUntil: lastMoment,
  }),
]);

/** `config/algorithms.yaml`. */
export const algorithmPolicySchema = z
  .strictObject({ algorithms: z.array(ruleSchema).min(1).max(200) })
  .transform(({ algorithms }): AlgorithmPolicy => algorithms);

export interface AlgorithmRule {
  readonly name: string;
  readonly purpose: 'digest' | 'signature';
  /** The last moment at which it counts. */
  readonly validUntil: Date;
  /** Bits of the shortest key that the rule is about. Default: any. */
  readonly minBits?: number | undefined;
}

export type AlgorithmPolicy = readonly AlgorithmRule[];

/** When that use stops to count; null where no rule permits it. */
export function validUntil(policy: AlgorithmPolicy, use: AlgorithmUse): Date | null {
  const ends = policy
    .filter(({ name, purpose }) => name === use.name && purpose === use.purpose)
    .filter(({ minBits }) => minBits === undefined || (use.bits !== null && use.bits >= minBits))
    .map((rule) => rule.validUntil.getTime());
  return ends.length === 0 ? null : new Date(Math.max(...ends));
}

/** Why that use does not count at that moment; null where it does. */
export function algorithmProblem(policy: AlgorithmPolicy, use: AlgorithmUse, moment: Date): string | null {
  const name = use.bits === null ? use.name : `${use.name} with ${use.bits} bits`;
  const until = validUntil(policy, use);
  if (until === null) return `${name} is not among the algorithms that count`;
  if (moment <= until) return null;
  return `${name} counted until ${iso(until)}, and nothing covered it before ${iso(moment)}`;
}

function iso(date: Date): string {
  return `${date.toISOString().slice(0, 19)}Z`;
}
