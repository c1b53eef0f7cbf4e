/**
 * Verification of a whole store: every leaf, tile, checkpoint, derived column, queue row and object is
 * computed again from the entries and the bytes, and compared. Every finding names its place.
 */
import type { AuditEntry, AuditSource, Finding, ObjectClaims, Report } from './audit.ts';
import { commitmentOf, entryBytes, parseEntry } from './canonical.ts';
import type { ClosedLog, Entry } from './entry.ts';
import { createErasureCheck } from './erasure-check.ts';
import { objectsOf } from './objects-of.ts';
import { createOutboxReplay } from './outbox-replay.ts';
import { createPrivateReplay } from './private-replay.ts';
import { createProjectionCheck } from './projection-check.ts';
import { createLogCheck } from './verify-log.ts';
import { verifyObjects } from './verify-objects.ts';

export interface VerifyResult {
  readonly findings: readonly Finding[];
  readonly entries: number;
  readonly objects: number;
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

/**
 * Verifies the logs of all tenants, or of one.
 * @param onProgress told now and then how many entries are done.
 */
export async function verifyStore(
  source: AuditSource,
  only?: string,
  onProgress?: (entries: number) => void,
): Promise<VerifyResult> {
  const findings: Finding[] = [];
  const heads: TenantHead[] = [];
  const closed: ClosedLogResult[] = [];
  let entries = 0;
  let objects = 0;
  for (const tenant of source.tenants()) {
    if (only !== undefined && tenant !== only) continue;
    const report = (place: string, problem: string) => void findings.push({ tenant, place, problem });
    const logs = verifyTenant(source, tenant, report, () => {
      entries++;
      onProgress?.(entries);
    });
    objects += await verifyObjects(source, tenant, logs.claims, report);
    for (const copy of source.brokenCopies(tenant)) {
      report(`mailbox ${copy.mailbox}, UID ${copy.uid}`, `its object ${copy.object} is missing`);
    }
    heads.push(...logs.heads);
    closed.push(...logs.closed);
  }
  return { findings, entries, objects, heads, closed };
}

function verifyTenant(
  source: AuditSource,
  tenant: string,
  report: Report,
  onEntry: () => void,
): { claims: ObjectClaims; heads: TenantHead[]; closed: ClosedLogResult[] } {
  const claims: ObjectClaims = { objects: new Map(), handed: [] };
  const projection = createProjectionCheck(source, tenant, report);
  const outbox = createOutboxReplay();
  const privateMail = createPrivateReplay();
  const submitted = new Map<number, string>();
  const erasures = createErasureCheck(report);
  const logs = source.logs(tenant);
  const heads: TenantHead[] = [];
  const closed: ClosedLogResult[] = [];
  let at = 0;
  let check = logs[0] === undefined ? null : createLogCheck(source, tenant, logs[0], report);
  if (logs[0] === undefined) report('checkpoint', 'missing');

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
    const entry = row.erased ? null : verifyEntry(tenant, row, report);
    erasures.row(row, entry);
    const next = logs[at + 1];
    if (check !== null && next !== undefined && row.index >= next.base) {
      const predecessor = entry?.kind === 'log-opened' ? entry.predecessor : undefined;
      if (predecessor === undefined)
        report(`entry ${row.index}`, `it does not say how the log ${logs[at]!.origin} before it was closed`);
      endLog(predecessor ?? NOT_STATED);
      at++;
      check = createLogCheck(source, tenant, next, report);
    }
    check?.row(row.index, row.commitment, entry);
    if (entry !== null) {
      projection.entry(entry);
      outbox.entry(entry);
      privateMail.entry(entry);
      collectClaims(entry, claims, submitted);
    }
    onEntry();
  }
  if (check !== null) endLog(null);
  erasures.end();
  projection.end();
  for (const { place, problem } of outbox.compare(source.openRecipients(tenant))) report(place, problem);
  const marks = { waiting: source.waitingPrivate(tenant), objects: source.privateObjects(tenant) };
  for (const { place, problem } of privateMail.compare(marks)) report(place, problem);
  if (source.keptCheckpoints(tenant).length === 0 && logs.length > 0)
    report(
      'checkpoint outside the database',
      'there is none: nothing here proves that the newest entries were not cut off',
    );
  return { claims, heads, closed };
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

function collectClaims(entry: Entry, claims: ObjectClaims, submitted: Map<number, string>): void {
  for (const { fact, message } of objectsOf(entry)) {
    if (!claims.objects.has(fact.object))
      claims.objects.set(fact.object, { index: entry.index, sha256: fact.sha256, size: fact.size, message });
  }
  if (entry.kind === 'submission') submitted.set(entry.index, entry.message.object);
  if (entry.kind === 'handover-intent') {
    claims.handed.push({
      index: entry.index,
      header: entry.handed.header.object,
      submitted: submitted.get(entry.letter) ?? '',
      bodyFrom: entry.handed.bodyFrom,
      sha256: entry.handed.sha256,
      size: entry.handed.size,
    });
  }
}
