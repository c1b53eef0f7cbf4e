/** Entry, salt, commitment, audit path, signed checkpoint: does the entry stand in the log? */
import { check } from '../../pki/check.ts';
import type { CheckResult } from '../../pki/types.ts';
import { commitmentOf, SALT_LENGTH } from '../canonical.ts';
import type { Entry } from '../entry.ts';
import { leafHash } from '../merkle.ts';
import { parseNote, parseVerifierKey, signersOf } from '../note.ts';
import { parseProof, verifyProof } from '../proof.ts';
import type { BundleFiles } from './bundle-files.ts';
import type { EntryNames } from './layout.ts';

export interface LogKeys {
  /** From a source that is trusted. */
  readonly pinned: readonly string[];
  /** The bundle's own: they tell damage, and nothing else. */
  readonly brought: readonly string[];
}

const LONGEST_PROOF = 262_144;
const LONGEST_ENTRY = 16 * 1024 * 1024;

export async function proofCheck(
  files: BundleFiles,
  { index }: Entry,
  names: EntryNames,
  { pinned, brought }: LogKeys,
): Promise<CheckResult[]> {
  const say = (result: CheckResult['result'], reason: string, code?: string) => [
    check('log-proof', result, `entry ${index}: ${reason}`, code),
  ];
  const [bytes, salt, text] = [
    await files.bytes(names.entry, LONGEST_ENTRY),
    await files.bytes(names.salt, SALT_LENGTH),
    await files.bytes(names.proof, LONGEST_PROOF),
  ];
  if (bytes === null || salt === null || text === null || salt.length !== SALT_LENGTH)
    return say('failed', 'its salt or proof is missing, or no salt or proof', 'log-proof-missing');
  try {
    const proof = parseProof(text.toString('utf8'));
    const leaf = leafHash(commitmentOf(salt, bytes));
    // First what is true whoever signed: a damaged file is damaged without any key.
    const { checkpoint } = verifyProof(proof, leaf, brought);
    const at = `leaf ${proof.index} of ${checkpoint.origin}, under its checkpoint of ${checkpoint.size} entries`;
    if (pinned.length === 0)
      return say(
        'undecided',
        `${at}, signed by a key that the bundle brings along: give the log key by --log-key`,
        'log-key-not-given',
      );
    const known = signersOf(parseNote(proof.checkpoint, 'checkpoint'), pinned.map(parseVerifierKey));
    return known.length > 0
      ? say('passed', at)
      : say('undecided', `${at}, signed by none of the log keys that were given`, 'log-key-unknown');
  } catch (error) {
    return say('failed', (error as Error).message);
  }
}
