/** One log of a tenant, computed again: tree and tiles, keys, checkpoints here and elsewhere, its closing. */
import type { AuditLog, AuditSource, LogKey, Report } from './audit.ts';
import { type Checkpoint, openCheckpoint } from './checkpoint.ts';
import { cosignaturesOf } from './cosignature.ts';
import type { ClosedLog, Entry } from './entry.ts';
import { type KeyPeriod, keyAt } from './log-keys.ts';
import { isSignedBy } from './log-notes.ts';
import {
  appendLeaves,
  edgeRoot,
  emptyEdge,
  HASH_LENGTH,
  leafHash,
  TILE_WIDTH,
  type TreeEdge,
} from './merkle.ts';
import { type NoteKey, parseNote } from './note.ts';

export interface LogCheck {
  /** Rows in index order; `entry` is null where it could not be read. */
  row(index: number, commitment: Uint8Array, entry: Entry | null): void;
  /** After the last row. @param predecessor what the next log's first entry says of this one; null: it is open. */
  end(predecessor: ClosedLog | null): { readonly size: number; readonly root: Buffer };
}

/** A checkpoint of this log that the tree must continue. */
interface Mark {
  readonly place: string;
  readonly checkpoint: Checkpoint;
}

/** A checkpoint that stands under a seal: of the entries before `to`. */
export interface SealedCheckpoint {
  readonly place: string;
  readonly note: string;
  readonly to: number;
}

/** What else than the database speaks of a log. */
export interface LogWitnesses {
  readonly sealed: readonly SealedCheckpoint[];
  /** Verifier keys (type 04) of those who cosign; empty: their lines are passed over. */
  readonly witnesses: readonly NoteKey[];
  /** Told what cannot be decided. */
  readonly open: Report;
}

export function createLogCheck(
  source: AuditSource,
  tenant: string,
  log: AuditLog,
  report: Report,
  others: LogWitnesses,
): LogCheck {
  // The place of a tenant's first log needs no name.
  const of = log.number === 1 ? '' : ` of log ${log.origin}`;
  const tiles = createTileCheck(source, tenant, log, report, of);
  const marks = readMarks(source, tenant, log, report, others);
  const marksAt = Map.groupBy(marks, ({ checkpoint }) => checkpoint.size);
  const keys: LogKey[] = [];
  let edge: TreeEdge = emptyEdge();
  let batch: Buffer[] = [];
  let expected = log.base;

  const flush = () => {
    const step = appendLeaves(edge, batch);
    tiles.add(step.changed);
    edge = step.edge;
    batch = [];
    for (const { place, checkpoint } of marksAt.get(edge.size) ?? []) {
      if (!checkpoint.root.equals(edgeRoot(edge)))
        report(place, `the first ${checkpoint.size} entries differ from those that it signed`);
    }
  };

  return {
    row(index, commitment, entry) {
      if (index !== expected)
        report(
          `entry ${expected}`,
          index > expected ? `missing: the next one in the store is ${index}` : `entry ${index} stands twice`,
        );
      expected = index + 1;
      if (entry?.kind === 'log-opened') {
        if (index !== log.base || entry.origin !== log.origin)
          report(`entry ${index}`, `it opens the log ${entry.origin}, which does not begin there`);
        // The first key of a tenant's first log has no row, but where that log came with an import.
        const hasRow = log.number > 1 || log.keys[0]?.until !== null;
        keys.push({ after: -1, key: entry.key, until: hasRow ? 0 : null });
      }
      if (entry?.kind === 'log-key') {
        if (keys.at(-1)?.key !== entry.previous || !signedByBoth(entry))
          report(
            `entry ${index}`,
            'its change of the log key is not signed by the key before and the new one',
          );
        const until = entry.until === undefined ? 0 : Date.parse(entry.until);
        keys.push({ after: index - log.base, key: entry.key, until });
      }
      batch.push(leafHash(commitment));
      const size = edge.size + batch.length;
      if (batch.length === TILE_WIDTH || marksAt.has(size)) flush();
    },
    end(predecessor) {
      flush();
      tiles.end(edge.size);
      const root = edgeRoot(edge);
      verifyKeys(log, keys, predecessor, report, of);
      verifyHead(log, keys, edge, report, of);
      for (const { place, checkpoint } of marks) {
        if (checkpoint.size > edge.size && !known(predecessor, checkpoint.size))
          report(
            place,
            `it signs ${checkpoint.size} entries, the store has ${edge.size}: the log was cut off, or an older database was restored`,
          );
      }
      if (predecessor !== null) verifyClosing(log, predecessor, edge.size, root, report);
      return { size: edge.size, root };
    },
  };
}

/** The closing of a log states what had been seen of it and is lost. */
function known(predecessor: ClosedLog | null, size: number): boolean {
  return predecessor?.known.some((seen) => seen.size >= size) ?? false;
}

function signedByBoth(entry: { previous: string; key: string; note: string }): boolean {
  try {
    return isSignedBy(entry.note, entry.previous, entry.key);
  } catch {
    return false;
  }
}

function readMarks(
  source: AuditSource,
  tenant: string,
  log: AuditLog,
  report: Report,
  { sealed, witnesses, open }: LogWitnesses,
): Mark[] {
  const marks: Mark[] = [];
  const notes: { place: string; note: string; to?: number; column?: number }[] = [
    ...source.keptCheckpoints(tenant),
    ...log.cosigned.map(({ size, note }) => ({ place: 'with cosignatures', note, column: size })),
    ...sealed,
  ];
  for (const { place, note, to, column } of notes) {
    if (!note.startsWith(`${log.origin}\n`)) continue;
    try {
      const checkpoint = openCheckpoint(note, ...log.keys.map(({ key }) => key));
      if (to !== undefined && log.base + checkpoint.size !== to)
        report(
          `checkpoint ${place}`,
          `it signs ${checkpoint.size} entries, its range ends with entry ${to - 1}`,
        );
      if (column !== undefined && column !== checkpoint.size)
        report(`checkpoint ${place}`, `column size says ${column}, the signed note ${checkpoint.size}`);
      if (column !== undefined && witnesses.length > 0) {
        const { text, signatures } = parseNote(note, 'checkpoint');
        if (cosignaturesOf(text, signatures, witnesses).length === 0)
          open(`checkpoint ${place}`, 'none of its cosignatures is of a witness whose key is known here');
      }
      marks.push({ place: `checkpoint ${place}`, checkpoint });
    } catch (error) {
      report(`checkpoint ${place}`, (error as Error).message);
    }
  }
  return marks;
}

/** The keys that the entries name, those that the tables name, and the one in the key folder must be the same. */
function verifyKeys(
  log: AuditLog,
  keys: readonly LogKey[],
  predecessor: ClosedLog | null,
  report: Report,
  of: string,
): void {
  const last = keys.at(-1)?.key;
  if (last === undefined) return; // the first entry is missing or unreadable, and reported
  const trusted = predecessor === null ? log.trustedKey : predecessor.key;
  if (trusted === null)
    report(
      `log key${of}`,
      'its file is missing: nothing here tells whether the key that the log names is ours',
    );
  else if (trusted !== last)
    report(
      `log key${of}`,
      `the log names ${last}, ${predecessor === null ? 'the key folder holds' : 'its closing says'} ${trusted}`,
    );
  if (
    log.keys.length !== keys.length ||
    log.keys.some(
      ({ after, key, until }, i) =>
        key !== keys[i]!.key || after !== keys[i]!.after || until !== keys[i]!.until,
    )
  )
    report(`log key${of}`, 'the table of keys is not what the entries say');
}

function verifyHead(
  log: AuditLog,
  keys: readonly KeyPeriod[],
  edge: TreeEdge,
  report: Report,
  of: string,
): void {
  const place = `checkpoint${of}`;
  // A log that was lost whole, and closed as such.
  if (log.closed && log.size === 0 && log.note === '') return;
  try {
    const signed = openCheckpoint(log.note, keyAt(keys.length > 0 ? keys : log.keys, log.size));
    if (signed.origin !== log.origin) report(place, `it is of the log ${signed.origin}`);
    if (signed.size !== log.size)
      report(place, `column size says ${log.size}, the signed note ${signed.size}`);
    if (signed.size !== edge.size)
      report(place, `it signs ${signed.size} entries, the store has ${edge.size}`);
    else if (!signed.root.equals(edgeRoot(edge))) report(place, 'its root is not that of the entries');
  } catch (error) {
    report(place, (error as Error).message);
  }
}

function verifyClosing(log: AuditLog, closing: ClosedLog, size: number, root: Buffer, report: Report): void {
  const place = `closing of log ${log.origin}`;
  if (closing.origin !== log.origin || closing.base !== log.base)
    report(place, `the next log follows ${closing.origin} from entry ${closing.base} on`);
  else if (closing.size !== size || (closing.root !== '' && closing.root !== root.toString('base64')))
    report(place, `it was closed at ${closing.size} entries of root ${closing.root}, the store has ${size}`);
  try {
    if (closing.note !== null && !isSignedBy(closing.note, closing.key))
      report(place, 'the final note is not signed by the key of the log');
  } catch (error) {
    report(place, (error as Error).message);
  }
}

/** Compares the stored tiles with those that the leaves give. */
function createTileCheck(
  source: AuditSource,
  tenant: string,
  log: AuditLog,
  report: Report,
  of: string,
): { add(changed: Iterable<{ level: number; n: number; hashes: Buffer }>): void; end(size: number): void } {
  const partial = new Map<string, { level: number; n: number; hashes: Buffer }>();
  const compare = (tile: { level: number; n: number; hashes: Buffer }) => {
    const stored = source.tile(tenant, log.number, tile.level, tile.n);
    const name = `tile ${tile.level}/${tile.n}${of}`;
    if (stored.length === 0) report(name, 'missing');
    else if (!tile.hashes.equals(stored)) report(name, 'its hashes are not those of the entries');
  };
  return {
    add(changed) {
      for (const tile of changed) {
        const name = `${tile.level}/${tile.n}`;
        if (tile.hashes.length === TILE_WIDTH * HASH_LENGTH) {
          partial.delete(name);
          compare(tile);
        } else partial.set(name, tile);
      }
    },
    end(size) {
      for (const tile of partial.values()) compare(tile);
      for (const { level, n } of source.tileNames(tenant, log.number)) {
        if (n * TILE_WIDTH >= Math.floor(size / TILE_WIDTH ** level))
          report(`tile ${level}/${n}${of}`, 'no entries belong to it');
      }
    },
  };
}
