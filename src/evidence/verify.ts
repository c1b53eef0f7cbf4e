/**
 * Verification of a whole store: every leaf, tile, checkpoint, derived column, queue row and object is
 * computed again from the entries and the bytes, and compared. Every finding names its place.
 */
import type {
  Announcement,
  AuditEntry,
  AuditLog,
  AuditSource,
  Finding,
  Renumbering,
  Report,
} from './audit.ts';
import { commitmentOf, entryBytes, parseEntry } from './canonical.ts';
import type { ClosedLog, Entry } from './entry.ts';
import { createErasureCheck } from './erasure-check.ts';
import { createFindings } from './findings.ts';
import { createIntentReplay } from './intent-replay.ts';
import type { NoteKey } from './note.ts';
import { createClaimCheck, type ObjectClaims } from './object-claims.ts';
import { createOutboxReplay } from './outbox-replay.ts';
import { createPrivateReplay } from './private-replay.ts';
import { createProjectionCheck } from './projection-check.ts';
import { sealsByTenant, type TenantSeals, verifyArchive } from './verify-archive.ts';
import type { ArchiveCircumstances } from './verify-archive-tokens.ts';
import { createLogCheck } from './verify-log.ts';
import { verifyObjects } from './verify-objects.ts';
import { createTimeCheck } from './verify-times.ts';

export interface VerifyResult {
  /** What does not fit: the first of these. */
  readonly findings: readonly Finding[];
  /** How many there are in all. */
  readonly findingCount: number;
  /** What could not be decided, and why: it never counts as good. The first of these. */
  readonly undecided: readonly Finding[];
  readonly undecidedCount: number;
  readonly entries: number;
  readonly objects: number;
  /** Of these, objects in files of which only the length was looked at. */
  readonly unread: number;
  /** Seals and renewals. */
  readonly archiveTimestamps: number;
  /** Size and root of each open log, as verified. */
  readonly heads: readonly TenantHead[];
  /** Logs that were closed: what had been seen of them may be more than the store has. */
  readonly closed: readonly ClosedLogResult[];
}

interface TenantHead {
  readonly tenant: string;
  readonly size: number;
  readonly root: string;
}

interface ClosedLogResult {
  readonly tenant: string;
  readonly origin: string;
  readonly size: number;
  readonly known: number;
  readonly reason: string;
}

export interface VerifyOptions {
  readonly tenant?: string;
  /** RFC 3339: entries before the first one from then on are not opened; their commitments are computed all the same. */
  readonly since?: string;
  /** Read objects in files of their own, too; else their length alone is looked at. Default: true. */
  readonly deep?: boolean;
  /** Verifier keys (type 04) of witnesses: with them, cosignatures are verified. */
  readonly witnesses?: readonly NoteKey[];
  /** By what time-stamps are judged. Null or absent: they are not, which is told where there are any. */
  readonly archive?: ArchiveCircumstances | null;
  /** Told of every finding as it is made: of very many, the result has the first ones. */
  readonly onFinding?: (finding: Finding) => void;
  readonly onUndecided?: (finding: Finding) => void;
  /** Told of each entry, object and group under a time-stamp that is done. */
  readonly onProgress?: (done: Progress) => void;
}

export interface Progress {
  readonly entries: number;
  readonly objects: number;
  /** Bytes of these. */
  readonly bytes: number;
  /** Groups of seals and renewals. */
  readonly groups: number;
}

/** Verifies the logs of all tenants, or of one, with everything that hangs on them. */
export async function verifyStore(source: AuditSource, options: VerifyOptions = {}): Promise<VerifyResult> {
  const { tenant: only, since, deep = true, witnesses = [] } = options;
  const findings = createFindings(options.onFinding);
  const undecided = createFindings(options.onUndecided);
  const heads: TenantHead[] = [];
  const closed: ClosedLogResult[] = [];
  const announced: Announcement[] = [];
  const renumbered: Renumbering[] = [];
  const from = new Map<string, number>();
  const done = { entries: 0, objects: 0, bytes: 0, groups: 0 };
  const progress = () => options.onProgress?.(done);
  const seals = await sealsByTenant(source.archive);
  let objects = 0;
  let unread = 0;
  for (const tenant of source.tenants()) {
    if (only !== undefined && tenant !== only) continue;
    const report = (place: string, problem: string) => findings.add({ tenant, place, problem });
    const open = (place: string, problem: string) => undecided.add({ tenant, place, problem });
    const logs = verifyTenant({
      source,
      tenant,
      since,
      seals: seals.get(tenant) ?? { checkpoints: [], ranges: [] },
      witnesses,
      report,
      open,
      onEntry() {
        done.entries++;
        progress();
      },
    });
    announced.push(...logs.announced);
    renumbered.push(...logs.renumbered);
    if (since !== undefined) from.set(tenant, logs.from);
    const read = await verifyObjects(source, tenant, logs.claims, report, {
      deep,
      claimedOnly: since !== undefined,
      onObject(bytes) {
        done.objects++;
        done.bytes += bytes;
        progress();
      },
    });
    objects += read.objects;
    unread += read.unread;
    for (const copy of source.brokenCopies(tenant)) {
      report(`mailbox ${copy.mailbox}, UID ${copy.uid}`, `its object ${copy.object} is missing`);
    }
    heads.push(...logs.heads);
    closed.push(...logs.closed);
  }
  const archiveTimestamps = await verifyArchive(source, options.archive ?? null, {
    only,
    deep,
    from,
    announced,
    renumbered,
    report: findings.add,
    undecided: undecided.add,
    onGroup() {
      done.groups++;
      progress();
    },
  });
  const { entries } = done;
  return {
    findings: findings.kept,
    findingCount: findings.count,
    undecided: undecided.kept,
    undecidedCount: undecided.count,
    entries,
    objects,
    unread,
    archiveTimestamps,
    heads,
    closed,
  };
}

interface TenantWork {
  readonly source: AuditSource;
  readonly tenant: string;
  readonly since: string | undefined;
  readonly seals: TenantSeals;
  readonly witnesses: readonly NoteKey[];
  readonly report: Report;
  readonly open: Report;
  readonly onEntry: () => void;
}

/** Kinds without which a log and its seals cannot be judged: opened whatever their time. */
const framework = new Set(['log-opened', 'log-key', 'imported', 'sealed', 'renewed', 'erased']);

function verifyTenant({ source, tenant, since, seals, witnesses, report, open, onEntry }: TenantWork): {
  claims: ObjectClaims;
  heads: TenantHead[];
  closed: ClosedLogResult[];
  announced: Announcement[];
  renumbered: Renumbering[];
  /** The first entry that was looked at. */
  from: number;
} {
  const claims = createClaimCheck(source, tenant, report, since !== undefined);
  const announced: Announcement[] = [];
  const renumbered: Renumbering[] = [];
  const times = createTimeCheck(seals.ranges, report, open);
  const projection = createProjectionCheck(source, tenant, report);
  const outbox = createOutboxReplay();
  const privateMail = since === undefined ? createPrivateReplay(source, tenant, report) : null;
  const intents = createIntentReplay();
  const erasures = createErasureCheck(report);
  const logs = logsOf(source, tenant, report);
  const heads: TenantHead[] = [];
  const closed: ClosedLogResult[] = [];
  let from = since === undefined ? 0 : Number.POSITIVE_INFINITY;
  let at = 0;
  const others = { sealed: seals.checkpoints, witnesses, open };
  let check = logs[0] === undefined ? null : createLogCheck(source, tenant, logs[0], report, others);
  if (logs[0] === undefined) {
    report('checkpoint', 'missing');
    for (const { place } of source.keptCheckpoints(tenant))
      report(`checkpoint ${place}`, 'it is of this tenant, of which the database has no log');
  }

  const endLog = (predecessor: ClosedLog | null) => {
    const log = logs[at]!;
    const { size, root } = check!.end(predecessor);
    if (predecessor === null) heads.push({ tenant, size, root: root.toString('base64') });
    else
      closed.push({
        tenant,
        origin: log.origin,
        size,
        known: Math.max(size, ...predecessor.known.map((seen) => seen.size)),
        reason: predecessor.reason,
      });
  };

  for (const row of source.entries(tenant)) {
    if (from === Number.POSITIVE_INFINITY && row.time >= since!) {
      from = row.index;
      projection.begin(from);
    }
    const next = logs[at + 1];
    const isIn = row.index >= from;
    const isOpened = !row.erased && (isIn || framework.has(row.kind));
    const entry = isOpened ? verifyEntry(tenant, row, report) : null;
    erasures.row(row, entry);
    if (check !== null && next !== undefined && row.index >= next.base) {
      const predecessor = entry?.kind === 'log-opened' ? entry.predecessor : undefined;
      if (predecessor === undefined)
        report(`entry ${row.index}`, `it does not say how the log ${logs[at]!.origin} before it was closed`);
      endLog(predecessor ?? NOT_STATED);
      at++;
      check = createLogCheck(source, tenant, next, report, others);
    }
    check?.row(row.index, row.commitment, entry);
    times.row(row.index, row.time, entry);
    if (entry?.kind === 'sealed' || entry?.kind === 'renewed')
      announced.push({ tenant, index: row.index, entry });
    if (entry?.kind === 'imported') {
      renumbered.push({ tenant, index: row.index, entry });
      const before = logs[at - 1];
      if (
        before?.origin !== entry.origin ||
        before.note !== entry.checkpoint ||
        entry.entries !== logs[at]!.base
      )
        report(
          `entry ${row.index}`,
          'the log that it says was imported is not the one that was closed before it',
        );
    }
    if (entry !== null && isIn) {
      projection.entry(entry);
      outbox.entry(entry);
      intents.entry(entry);
      claims.entry(row.index, entry);
    } else if (isIn && !row.erased) projection.unreadable(row.index);
    privateMail?.row(row.index, row.erased, entry);
    onEntry();
  }
  if (check !== null) endLog(null);
  erasures.end();
  if (since !== undefined) projection.close();
  else {
    // Rows that no entry gives, queues and private mail follow from the entries as a whole.
    projection.end();
    for (const { place, problem } of outbox.compare(source.openRecipients(tenant))) report(place, problem);
    privateMail?.end();
    for (const { place, problem } of intents.compare(source.openIntents(tenant))) report(place, problem);
    for (const { place, problem } of source.listings(tenant)) report(place, problem);
  }
  if (source.keptCheckpoints(tenant).length === 0 && logs.length > 0)
    report(
      'checkpoint outside the database',
      'there is none: nothing here proves that the newest entries were not cut off',
    );
  return { claims: claims.end(), heads, closed, announced, renumbered, from };
}

/** Rows of a log may name a tenant or a log that does not exist. */
function logsOf(source: AuditSource, tenant: string, report: Report): readonly AuditLog[] {
  try {
    return source.logs(tenant);
  } catch (error) {
    report('log', `its rows cannot be read: ${(error as Error).message || (error as Error).name}`);
    return [];
  }
}

/** Stands in where a log is followed by another and nothing says why: every comparison with it is reported. */
const NOT_STATED: ClosedLog = {
  origin: '',
  key: '',
  base: -1,
  size: -1,
  root: '',
  known: [],
  actor: { type: 'gateway', name: '' },
  reason: 'not stated',
  note: null,
};

function verifyEntry(tenant: string, row: AuditEntry, report: Report): Entry | null {
  const place = `entry ${row.index}`;
  let opened: { salt: Buffer; bytes: Buffer };
  try {
    opened = row.open();
  } catch (error) {
    report(
      place,
      `it does not decrypt: its row, its key or its salt was changed (${(error as Error).message})`,
    );
    return null;
  }
  if (!commitmentOf(opened.salt, opened.bytes).equals(row.commitment))
    report(place, 'salt and content do not give its commitment');
  try {
    const entry = parseEntry(opened.bytes);
    if (!entryBytes(entry).equals(opened.bytes)) report(place, 'its bytes are not in canonical form');
    if (entry.tenant !== tenant || entry.index !== row.index)
      report(place, `it says it is ${entry.tenant}/${entry.index}`);
    if (entry.kind !== row.kind) report(place, `column kind says ${row.kind}, the entry ${entry.kind}`);
    if (entry.time !== row.time) report(place, `column time says ${row.time}, the entry ${entry.time}`);
    return entry;
  } catch (error) {
    report(place, `it cannot be read: ${(error as Error).message}`);
    return null;
  }
}
