/**
 * The logs of an export: each computed again from its commitments, and by whose word it counts. Besides a key that was
 * given, a log counts by what the logs themselves record: a change of keys that both sign, and the root that a log
 * states of the one before it. A checkpoint of earlier days counts where its root is that of these same entries.
 */
import { check } from '../../pki/check.ts';
import type { CheckResult } from '../../pki/types.ts';
import { openCheckpoint, readCheckpointText } from '../checkpoint.ts';
import type { Entry } from '../entry.ts';
import { isKeyNote } from '../log-notes.ts';
import { appendLeaves, edgeRoot, emptyEdge, HASH_LENGTH, leafHash, rootAt, TILE_WIDTH } from '../merkle.ts';
import { parseNote, parseVerifierKey, signersOf } from '../note.ts';
import { newTiles, tilePath } from '../tile-path.ts';
import type { ExportFolder } from './export-folder.ts';
import { logFolder, type TenantSummary } from './tenant-layout.ts';

export interface ExportedLog {
  readonly number: number;
  readonly origin: string;
  readonly base: number;
  readonly size: number;
  readonly root: Buffer;
  /** Its last checkpoint. */
  readonly note: string;
  /** Keys that the export names. */
  readonly keys: readonly string[];
  /** Of a leaf, 32 bytes. */
  commitment(leaf: number): Buffer;
  rootOf(size: number): Buffer;
}

/** Length and commitment of an entry in a tile of entries. */
const ENTRY_BYTES = 2 + HASH_LENGTH;
const LONGEST_NOTE = 131_072;

/** @throws Error saying what of the log is missing, damaged, or does not fit its checkpoint */
export async function readLog(
  folder: ExportFolder,
  log: TenantSummary['logs'][number],
): Promise<ExportedLog> {
  const at = logFolder(log.number);
  const note = (await folder.bytes(`${at}/checkpoint`, LONGEST_NOTE))?.toString('utf8') ?? '';
  const { size, root, origin } = openCheckpoint(note, ...log.keys);
  if (size !== log.size || origin !== log.origin) throw new Error('its checkpoint is of another size or log');
  const commitments: Buffer[] = [];
  const tiles = new Map<string, Buffer>();
  let edge = emptyEdge();
  for (const name of newTiles(0, size)) {
    const path = `${at}/${tilePath(name)}`;
    const width = name.width * (name.level === 'entries' ? ENTRY_BYTES : HASH_LENGTH);
    const bytes = await folder.bytes(path, TILE_WIDTH * ENTRY_BYTES);
    if (bytes?.length !== width) throw new Error(`${path} is missing or damaged`);
    if (name.level !== 'entries') {
      if (tiles.get(`${name.level}/${name.n}`)?.equals(bytes) !== true)
        throw new Error(`${path} does not hold the hashes of its entries`);
      continue;
    }
    const own = Array.from({ length: name.width }, (_, i) =>
      bytes.subarray(i * ENTRY_BYTES + 2, (i + 1) * ENTRY_BYTES),
    );
    commitments.push(Buffer.concat(own));
    const step = appendLeaves(edge, own.map(leafHash));
    edge = step.edge;
    for (const tile of step.changed) tiles.set(`${tile.level}/${tile.n}`, tile.hashes);
  }
  if (size > 0 && !edgeRoot(edge).equals(root)) throw new Error('its entries do not lead to the signed root');
  return {
    ...log,
    root,
    note,
    commitment: (leaf) =>
      commitments[Math.floor(leaf / TILE_WIDTH)]!.subarray(
        (leaf % TILE_WIDTH) * HASH_LENGTH,
        ((leaf % TILE_WIDTH) + 1) * HASH_LENGTH,
      ),
    rootOf: (of) => rootAt(of, (level, n) => tiles.get(`${level}/${n}`) ?? Buffer.alloc(0)),
  };
}

export interface TrustedLogs {
  readonly checks: readonly CheckResult[];
  /** Keys by which checkpoints of these logs count: those given, and those that the logs lead to. */
  readonly keys: readonly string[];
  /** Origins of the logs that count. */
  readonly origins: ReadonlySet<string>;
}

/**
 * @param given keys from a source that is trusted
 * @param entries of kind `log-opened` and `log-key`, each in its place in the logs; ascending
 */
export function trustLogs(
  logs: readonly ExportedLog[],
  given: readonly string[],
  entries: readonly Entry[],
): TrustedLogs {
  const keys = new Set(given);
  const origins = new Set<string>();
  const checks: CheckResult[] = [];
  // The newest first: it vouches for those before it.
  for (const log of logs.toReversed()) {
    const own = entries.filter(({ index }) => index >= log.base && index < log.base + log.size);
    for (const entry of own)
      if (
        entry.kind === 'log-key' &&
        keys.has(entry.previous) &&
        isKeyNote(entry.note, { ...entry, origin: log.origin })
      )
        keys.add(entry.key);
    const by = signerAmong(log, keys) ?? successorOf(log, logs, origins, entries);
    const say = (result: CheckResult['result'], reason: string) =>
      checks.unshift(check('log', result, `${log.origin}: ${log.size} entries lead to its root, ${reason}`));
    if (by === null) {
      say('undecided', 'signed by none of the log keys that were given, nor by one that they lead to');
      continue;
    }
    say('passed', by);
    origins.add(log.origin);
    // What the log itself records of its keys stands under that root.
    for (const entry of own) {
      if (entry.kind === 'log-opened') keys.add(entry.key);
      if (entry.kind === 'log-key') keys.add(entry.previous).add(entry.key);
    }
  }
  return { checks, keys: [...keys], origins };
}

function signerAmong(log: ExportedLog, keys: ReadonlySet<string>): string | null {
  const [signer] = signersOf(
    parseNote(log.note, 'checkpoint'),
    [...keys].filter((key) => key.startsWith(`${log.origin}+`)).map(parseVerifierKey),
  );
  return signer === undefined ? null : `signed by ${signer.name}+${signer.id.toString('hex')}`;
}

/** The next log states the root at which this one was closed. */
function successorOf(
  log: ExportedLog,
  logs: readonly ExportedLog[],
  origins: ReadonlySet<string>,
  entries: readonly Entry[],
): string | null {
  const next = logs.find(({ number }) => number === log.number + 1);
  if (next === undefined || !origins.has(next.origin)) return null;
  const opened = entries.find(({ index }) => index === next.base);
  const before = opened?.kind === 'log-opened' ? opened.predecessor : undefined;
  return before?.origin === log.origin &&
    before.size === log.size &&
    before.root === log.root.toString('base64')
    ? `which ${next.origin} states of it`
    : null;
}

/**
 * Is a checkpoint of earlier days one of these logs? Looked at once for each.
 * @returns null where it is; else what is wrong
 */
export function checkpointsOf(logs: readonly ExportedLog[]): (note: string, to?: number) => string | null {
  const known = new Map<string, string | null>();
  return (note, to) => {
    const name = `${to} ${note}`;
    let problem = known.get(name);
    if (problem === undefined) {
      problem = problemOf(note, to);
      known.set(name, problem);
    }
    return problem;
  };

  function problemOf(note: string, to: number | undefined): string | null {
    try {
      const { origin, size, root } = readCheckpointText(parseNote(note, 'checkpoint').text);
      const log = logs.find((one) => one.origin === origin);
      if (log === undefined) return `it is of the log ${origin.slice(0, 200)}, which is not here`;
      if (size > log.size) return `it signs ${size} entries of ${origin}, of which ${log.size} are here`;
      if (to !== undefined && log.base + size !== to) return `it does not sign the entries up to ${to - 1}`;
      openCheckpoint(note, ...log.keys);
      return log.rootOf(size).equals(root)
        ? null
        : `it signs other entries than those of ${origin}: it is forged`;
    } catch (error) {
      return (error as Error).message;
    }
  }
}
