/** The malware scanner of the gateway: asks clamd, a few at a time, and tells whether it is there. */
import type { Config } from '../config/schema.ts';
import type { ScanFact } from '../evidence/entry.ts';
import { createTurnstile } from '../turnstile.ts';
import { ClamdUnavailable, scanStream, version } from './clamd.ts';

export type MalwareConfig = Omit<NonNullable<Config['malware']>, 'append'>;

/** A message that was looked at. `too-large` is a matter of configuration: clamd's StreamMaxLength is too small. */
export type Scanned =
  | (ScanFact & { readonly result: 'clean' | 'infected' })
  | { readonly result: 'too-large' };

export interface Scanner {
  readonly config: MalwareConfig;
  /** @throws ClamdUnavailable, and what the content throws */
  scan(content: AsyncIterable<Uint8Array>): Promise<Scanned>;
  /** Why the last message could not be scanned; null while all is well. */
  readonly problem: string | null;
  /** Asks it for a sign of life, so that `problem` is of now. */
  probe(): Promise<void>;
}

/** clamd serves ten at once by default (MaxThreads), and other programs may use it too. */
const AT_ONCE = 6;

export function createScanner(config: MalwareConfig): Scanner {
  const { clamd } = config;
  const turnstile = createTurnstile(AT_ONCE);
  let problem: string | null = null;

  async function watched<T>(work: () => Promise<T>): Promise<T> {
    try {
      const result = await work();
      problem = null;
      return result;
    } catch (error) {
      if (error instanceof ClamdUnavailable) problem = error.message;
      throw error;
    }
  }

  return {
    config,
    get problem() {
      return problem;
    },
    async scan(content) {
      return await turnstile.pass(() =>
        watched(async () => {
          // Asked first: signatures may be renewed in between, and older ones are the safer claim.
          const scanner = await version(clamd);
          const answer = await scanStream(clamd, content);
          if (answer.result === 'too-large') return answer;
          return answer.result === 'infected'
            ? { result: answer.result, detail: answer.name, scanner }
            : { result: answer.result, scanner };
        }),
      );
    },
    async probe() {
      await watched(() => version(clamd)).catch(() => {});
    },
  };
}
