/** How long algorithms count (`config/algorithms.yaml`): renewals and verification go by it. */
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { z } from 'zod';
import { type AlgorithmPolicy, algorithmPolicySchema } from '../evidence/ers/algorithm-policy.ts';

/** The file that comes along. */
const shipped = new URL('../../config/algorithms.yaml', import.meta.url);

/** @throws Error naming the file and what is wrong in it */
export function loadAlgorithms(file: string | URL = shipped): AlgorithmPolicy {
  try {
    return algorithmPolicySchema.parse(parse(readFileSync(file, 'utf8')));
  } catch (error) {
    const said =
      error instanceof z.ZodError
        ? error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ')
        : (error as Error).message;
    throw new Error(`${file}: ${said}`);
  }
}
