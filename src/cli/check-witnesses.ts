/** Do the configured witnesses answer, and does each log continue what they have seen of it? */
import { existsSync } from 'node:fs';
import type { Config } from '../config/schema.ts';
import { readCheckpointText } from '../evidence/checkpoint.ts';
import { parseNote } from '../evidence/note.ts';
import { pathsOf } from '../preservation/configured-copies.ts';
import type { LogInfo } from '../store/logs.ts';
import { createWitnessClient, type WitnessClient } from '../transparency/witness-client.ts';
import { openReader } from './reader.ts';

interface WitnessResult {
  readonly check: 'witness';
  readonly subject: string;
  /** False: out of reach, or it has seen more than the log has. */
  readonly good: boolean;
  readonly detail: string;
}

export async function checkWitnesses(config: Config): Promise<WitnessResult[]> {
  const paths = pathsOf(config);
  if (!existsSync(paths.file)) return [];
  const { signal } = new AbortController();
  const witnesses = config.evidence.witnesses.map((witness) => createWitnessClient(witness, signal));
  using reader = openReader(paths);
  const results: WitnessResult[] = [];
  for (const { id } of config.tenants) {
    const log = (await reader.logs(id)).at(-1);
    if (log === undefined) continue;
    results.push(...(await Promise.all(witnesses.map((witness) => ask(witness, id, log)))));
  }
  return results;
}

async function ask(witness: WitnessClient, tenant: string, log: LogInfo): Promise<WitnessResult> {
  const say = (good: boolean, detail: string): WitnessResult => ({
    check: 'witness',
    subject: `${tenant} ${witness.name}`,
    good,
    detail,
  });
  try {
    const note = await witness.latest(log.origin);
    if (note === null) return say(true, 'has cosigned nothing of it yet');
    const { size } = readCheckpointText(parseNote(note, 'its checkpoint').text);
    return size > log.size
      ? say(
          false,
          `has seen ${size} entries of it, the database has ${log.size}; see docs/operations.md, A log is held`,
        )
      : say(true, `has cosigned ${size} of its ${log.size} entries`);
  } catch (error) {
    return say(false, `does not answer: ${(error as Error).message}`);
  }
}
