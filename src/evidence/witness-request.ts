/** Body of `add-checkpoint` (c2sp.org/tlog-witness): old size, consistency proof, empty line, checkpoint. */
import { readHash } from './proof.ts';

export interface AddCheckpoint {
  readonly oldSize: number;
  readonly proof: readonly Buffer[];
  /** The signed checkpoint. */
  readonly checkpoint: string;
}

const MOST_LINES = 63;

export function formatAddCheckpoint({ oldSize, proof, checkpoint }: AddCheckpoint): string {
  return `old ${oldSize}\n${proof.map((hash) => `${hash.toString('base64')}\n`).join('')}\n${checkpoint}`;
}

/** @throws Error saying which line is malformed. */
export function parseAddCheckpoint(body: string): AddCheckpoint {
  const end = body.indexOf('\n\n');
  if (end < 0) throw new Error('no empty line before the checkpoint');
  const [first, ...lines] = body.slice(0, end).split('\n');
  const oldSize = /^old (0|[1-9]\d{0,15})$/.exec(first!)?.[1];
  if (oldSize === undefined || !Number.isSafeInteger(Number(oldSize)))
    throw new Error('the first line is not "old" and a size');
  if (lines.length > MOST_LINES) throw new Error(`more than ${MOST_LINES} lines of proof`);
  return { oldSize: Number(oldSize), proof: lines.map(readHash), checkpoint: body.slice(end + 2) };
}
