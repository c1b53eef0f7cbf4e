/** `verify FILE.tlog-proof`: does this entry stand in the signed log? Offline, with the log's key alone. */
import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { commitmentOf, SALT_LENGTH } from '../evidence/canonical.ts';
import { leafHash } from '../evidence/merkle.ts';
import { parseProof, verifyProof } from '../evidence/proof.ts';
import type { Context } from './context.ts';
import { type ExitCode, exit } from './exit.ts';

export interface ProofKeys {
  /** Verifier keys of the log. */
  readonly logKeys: readonly string[];
  readonly witnessKeys: readonly string[];
}

const LONGEST_PROOF = 262_144;

/** The entry and its salt lie beside the proof, as `evidence proof --out` writes them. */
export async function verifyProofFile(
  file: string,
  { logKeys, witnessKeys }: ProofKeys,
  json: boolean,
  context: Context,
): Promise<ExitCode> {
  const say = (verdict: 'valid' | 'invalid' | 'indeterminate', reason: string, more: object = {}) => {
    if (json) context.printJson({ file, verdict, reason, ...more });
    else context.print(`${file}: ${verdict}: ${reason.replace(/[^\x20-\x7e\u00a0-\uffff]/g, '\ufffd')}`);
    return { valid: exit.good, invalid: exit.finding, indeterminate: exit.indeterminate }[verdict];
  };
  if ((await stat(file)).size > LONGEST_PROOF) return say('invalid', 'it is longer than any proof');
  const missing = [`${file}.json`, `${file}.salt`].find((name) => !existsSync(name));
  if (missing !== undefined) return say('indeterminate', `${missing} is missing: what the proof is about`);
  if (logKeys.length === 0)
    return say('indeterminate', 'no key of the log: give it by --log-key (evidence log prints it)');
  const [text, bytes, salt] = await Promise.all(
    [file, `${file}.json`, `${file}.salt`].map((name) => readFile(name)),
  );
  if (salt!.length !== SALT_LENGTH) return say('invalid', `the salt has ${salt!.length} bytes, not 32`);
  try {
    const proof = parseProof(text!.toString('utf8'));
    const leaf = leafHash(commitmentOf(salt!, bytes!));
    const { checkpoint, cosignatures } = verifyProof(proof, leaf, logKeys, witnessKeys);
    const seen = cosignatures.map(({ witness, time }) => `${witness} ${new Date(time * 1000).toISOString()}`);
    const by = seen.length === 0 ? 'no witness that was named' : seen.join(', ');
    return say(
      'valid',
      `the entry is leaf ${proof.index} of ${checkpoint.origin}, signed at ${checkpoint.size} entries, seen by ${by}`,
      {
        origin: checkpoint.origin,
        index: proof.index,
        size: checkpoint.size,
        cosignatures: cosignatures.map(({ witness, time }) => ({ witness, time })),
      },
    );
  } catch (error) {
    return say('invalid', (error as Error).message);
  }
}
