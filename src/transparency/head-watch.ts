/**
 * Do the witnesses know more of a log than the database has? A checkpoint that a witness shows counts only with the
 * log's own signature: a witness alone cannot hold a log, and a log cannot deny what it signed.
 */
import { openCheckpoint, readCheckpointText } from '../evidence/checkpoint.ts';
import { parseNote } from '../evidence/note.ts';
import type { Log } from '../observe/log.ts';
import type { Store } from '../store/store.ts';
import type { WitnessClient } from './witness-client.ts';

export interface HeadWatchDeps {
  readonly store: Store;
  readonly log: Log;
  readonly witnesses: readonly WitnessClient[];
  readonly originPrefix: string;
}

/**
 * Compares a tenant's open log with what each witness has seen, and holds or releases it. A witness out of reach
 * changes nothing: what it said last stands.
 * @returns how many witnesses answered
 */
export async function compareWithWitnesses(
  { store, log, witnesses, originPrefix }: HeadWatchDeps,
  tenant: string,
): Promise<number> {
  const answers = await Promise.all(witnesses.map((witness) => compare(witness)));
  return answers.filter(Boolean).length;

  async function compare(witness: WitnessClient): Promise<boolean> {
    const source = `witness ${witness.name}`;
    try {
      const open = (await store.logs(tenant)).at(-1);
      const note = await witness.latest(open?.origin ?? `${originPrefix}/${tenant}`);
      const problem = note === null ? null : open === undefined ? lost(note) : await against(tenant, note);
      if (problem !== null) await store.holdLog(tenant, { source, ...problem });
      else if ((await store.holds(tenant)).some((hold) => hold.source === source))
        await store.releaseLog(tenant, source);
      return true;
    } catch (error) {
      log.warn({ tenant, witness: witness.name, error: String(error) }, 'witness not asked');
      return false;
    }
  }

  /** A log that somebody has seen, and a database without one: not a new tenant. */
  function lost(note: string) {
    const { size } = readCheckpointText(parseNote(note).text);
    const reason = `it has seen ${size} entries of this log, the database has none`;
    return { reason, knownSize: size, knownNote: note };
  }

  async function against(name: string, note: string) {
    const open = (await store.logs(name)).at(-1)!;
    let seen: ReturnType<typeof openCheckpoint>;
    try {
      seen = openCheckpoint(note, ...open.keys.map(({ key }) => key));
    } catch (error) {
      log.warn({ tenant: name, error: String(error) }, 'a witness shows a checkpoint that is not ours');
      return null;
    }
    if (seen.origin !== open.origin) return null;
    if (seen.size > open.size)
      return {
        reason: `it has seen ${seen.size} entries signed by this log, the database has ${open.size}: restored from an older state, or cut`,
        knownSize: seen.size,
        knownNote: note,
      };
    return (await store.rootOf(name, open.number, seen.size)).equals(seen.root)
      ? null
      : {
          reason: `the first ${seen.size} entries are not those that it has seen signed by this log`,
          knownSize: seen.size,
          knownNote: note,
        };
  }
}
