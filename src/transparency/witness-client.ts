/** Asking a witness: for its cosignature, and for what it has seen (c2sp.org/tlog-witness). */
import { createHash } from 'node:crypto';
import type { WitnessClientConfig } from '../config/schema.ts';
import { cosignaturesOf } from '../evidence/cosignature.ts';
import { parseNote, parseSignatures, parseVerifierKey } from '../evidence/note.ts';
import { formatAddCheckpoint } from '../evidence/witness-request.ts';
import { ask } from './http-client.ts';

/** The witness has seen more entries, or others, than the log has: `size` as it says, without a proof. */
export class WitnessDisagrees extends Error {
  override name = 'WitnessDisagrees';
  readonly size: number;
  constructor(message: string, size: number) {
    super(message);
    this.size = size;
  }
}

export interface WitnessClient {
  readonly name: string;
  /**
   * Lines of a cosignature on the checkpoint.
   * @param consistency proof from a size up to the checkpoint's.
   * @throws WitnessDisagrees, or Error where it gives none.
   */
  cosign(
    note: string,
    size: number,
    consistency: (from: number) => Promise<readonly Buffer[]>,
  ): Promise<string>;
  /** The newest checkpoint that it has seen of a log, unverified; null: none. @throws Error out of reach */
  latest(origin: string): Promise<string | null>;
}

export function createWitnessClient(config: WitnessClientConfig, signal: AbortSignal): WitnessClient {
  const key = parseVerifierKey(config.key);
  const settings = { trustAnchors: config.trustAnchors, signal };
  const prefix = config.url.replace(/\/$/, '');
  const monitoring = (config.monitoring ?? config.url).replace(/\/$/, '');
  /** What it cosigned last, by origin. */
  const seen = new Map<string, number>();

  return {
    name: key.name,
    async cosign(note, size, consistency) {
      const { text } = parseNote(note);
      const origin = text.slice(0, text.indexOf('\n'));
      // One more try with the size that a 409 tells.
      for (let attempt = 0; attempt < 2; attempt++) {
        const oldSize = Math.min(seen.get(origin) ?? 0, size);
        const proof = oldSize === 0 || oldSize === size ? [] : [...(await consistency(oldSize))];
        const { status, body } = await ask(
          'POST',
          `${prefix}/add-checkpoint`,
          settings,
          formatAddCheckpoint({ oldSize, proof, checkpoint: note }),
        );
        if (status === 200) {
          const [cosignature] = cosignaturesOf(text, parseSignatures(body), [key]);
          if (cosignature === undefined) throw new Error('its answer carries no cosignature of its key');
          seen.set(origin, size);
          return cosignature.line;
        }
        if (status === 422)
          throw new WitnessDisagrees('it finds no consistency with what it has seen', oldSize);
        if (status !== 409) throw new Error(`it answers ${status}: ${body.slice(0, 200).trim()}`);
        const known = /^(0|[1-9]\d{0,15})\n$/.exec(body)?.[1];
        if (known === undefined) throw new Error('it answers 409 without a size');
        if (Number(known) > size)
          throw new WitnessDisagrees(`it has seen ${known} entries, the log has ${size}`, Number(known));
        seen.set(origin, Number(known));
      }
      throw new Error('it changes its mind about the size that it has seen');
    },
    async latest(origin) {
      const hash = createHash('sha256').update(origin).digest('hex');
      const { status, body } = await ask('GET', `${monitoring}/${hash}/checkpoint`, settings);
      if (status === 404) return null;
      if (status !== 200) throw new Error(`it answers ${status}`);
      return body;
    },
  };
}
