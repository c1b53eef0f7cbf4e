/**
 * Verification of a whole store: every leaf, tile, checkpoint, derived column, queue row and object is
 * computed again from the entries and the bytes, and compared. Every finding names its place.
 */
import type { AuditEntry, AuditSource, Finding, ObjectClaims } from './audit.ts';
import { commitmentOf, entryBytes, parseEntry } from './canonical.ts';
import { openCheckpoint } from './checkpoint.ts';
import type { Entry } from './entry.ts';
import {
  appendLeaves,
  type ChangedTile,
  edgeRoot,
  emptyEdge,
  leafHash,
  TILE_WIDTH,
  type TreeEdge,
} from './merkle.ts';
import { objectsOf } from './objects-of.ts';
import { createOutboxReplay } from './outbox-replay.ts';
import { createProjectionCheck } from './projection-check.ts';
import { verifyObjects } from './verify-objects.ts';

export interface VerifyResult {
  readonly findings: readonly Finding[];
  readonly entries: number;
  readonly objects: number;
  /** Tenant → size and root that were verified. */
  readonly heads: readonly { readonly tenant: string; readonly size: number; readonly root: string }[];
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
  const heads: { tenant: string; size: number; root: string }[] = [];
  let entries = 0;
  let objects = 0;
  for (const tenant of source.tenants()) {
    if (only !== undefined && tenant !== only) continue;
    const report = (place: string, problem: string) => void findings.push({ tenant, place, problem });
    const log = verifyLog(source, tenant, report, () => {
      entries++;
      onProgress?.(entries);
    });
    objects += await verifyObjects(source, tenant, log.claims, report);
    for (const copy of source.brokenCopies(tenant)) {
      report(`mailbox ${copy.mailbox}, UID ${copy.uid}`, `its object ${copy.object} is missing`);
    }
    heads.push({ tenant, size: log.edge.size, root: edgeRoot(log.edge).toString('base64') });
  }
  return { findings, entries, objects, heads };
}

type Report = (place: string, problem: string) => void;

function verifyLog(
  source: AuditSource,
  tenant: string,
  report: Report,
  onEntry: () => void,
): { edge: TreeEdge; claims: ObjectClaims } {
  const checkpoint = source.checkpoint(tenant);
  const kept = source.keptCheckpoint(tenant);
  const claims: ObjectClaims = { objects: new Map(), handed: [] };
  const projection = createProjectionCheck(source, tenant, report);
  const outbox = createOutboxReplay();
  const tiles = createTileCheck(source, tenant, report);
  const submitted = new Map<number, string>();
  const keptSize =
    kept === null || checkpoint === null ? null : openKept(source, tenant, checkpoint.origin, kept, report);
  let edge = emptyEdge();
  let batch: Buffer[] = [];
  let expected = 0;

  const flush = () => {
    const step = appendLeaves(edge, batch);
    tiles.add(step.changed);
    edge = step.edge;
    batch = [];
    if (keptSize !== null && edge.size === keptSize.size && !edgeRoot(edge).equals(keptSize.root)) {
      report(
        `checkpoint ${kept!.place}`,
        `the first ${keptSize.size} entries differ from those that it signed`,
      );
    }
  };

  for (const row of source.entries(tenant)) {
    if (row.index !== expected) {
      report(
        `entry ${expected}`,
        row.index > expected
          ? `missing: the next one in the store is ${row.index}`
          : `entry ${row.index} stands twice`,
      );
    }
    expected = row.index + 1;
    const entry = verifyEntry(tenant, row, report);
    if (entry !== null) {
      projection.entry(entry);
      outbox.entry(entry);
      collectClaims(entry, claims, submitted);
    }
    batch.push(leafHash(row.commitment));
    const size = edge.size + batch.length;
    if (batch.length === TILE_WIDTH || size === keptSize?.size) flush();
    onEntry();
  }
  flush();
  tiles.end();
  projection.end();
  for (const { place, problem } of outbox.compare(source.openRecipients(tenant))) report(place, problem);
  verifyHead(source, tenant, checkpoint, edge, report);
  if (kept === null && checkpoint !== null)
    report(
      'checkpoint outside the database',
      'there is none: nothing here proves that the newest entries were not cut off',
    );
  if (keptSize !== null && keptSize.size > edge.size) {
    report(
      `checkpoint ${kept!.place}`,
      `it signs ${keptSize.size} entries, the store has ${edge.size}: the log was cut off, or an older database was restored`,
    );
  }
  return { edge, claims };
}

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

function verifyHead(
  source: AuditSource,
  tenant: string,
  checkpoint: ReturnType<AuditSource['checkpoint']>,
  edge: TreeEdge,
  report: Report,
): void {
  if (checkpoint === null) {
    report('checkpoint', 'missing');
    return;
  }
  try {
    const signed = openCheckpoint(checkpoint.note, source.verifierKey(tenant, checkpoint.origin));
    if (signed.origin !== checkpoint.origin) report('checkpoint', `it is of the log ${signed.origin}`);
    if (signed.size !== checkpoint.size)
      report('checkpoint', `column size says ${checkpoint.size}, the signed note ${signed.size}`);
    if (signed.size !== edge.size)
      report('checkpoint', `it signs ${signed.size} entries, the store has ${edge.size}`);
    else if (!signed.root.equals(edgeRoot(edge))) report('checkpoint', 'its root is not that of the entries');
  } catch (error) {
    report('checkpoint', (error as Error).message);
  }
}

function openKept(
  source: AuditSource,
  tenant: string,
  origin: string,
  kept: { place: string; note: string },
  report: Report,
): { size: number; root: Buffer } | null {
  try {
    return openCheckpoint(kept.note, source.verifierKey(tenant, origin));
  } catch (error) {
    report(`checkpoint ${kept.place}`, (error as Error).message);
    return null;
  }
}

/** Compares the stored tiles with those that the leaves give. */
function createTileCheck(
  source: AuditSource,
  tenant: string,
  report: Report,
): { add(changed: readonly ChangedTile[]): void; end(): void } {
  const stored = new Map<string, Uint8Array>();
  for (const tile of source.tiles(tenant)) stored.set(`${tile.level}/${tile.n}`, tile.hashes);
  const partial = new Map<string, Uint8Array>();
  const compare = (name: string, hashes: Uint8Array) => {
    const tile = stored.get(name);
    stored.delete(name);
    if (tile === undefined) report(`tile ${name}`, 'missing');
    else if (!Buffer.from(tile).equals(hashes))
      report(`tile ${name}`, 'its hashes are not those of the entries');
  };
  return {
    add(changed) {
      for (const { level, n, hashes } of changed) {
        const name = `${level}/${n}`;
        if (hashes.length === TILE_WIDTH * 32) {
          partial.delete(name);
          compare(name, hashes);
        } else partial.set(name, hashes);
      }
    },
    end() {
      for (const [name, hashes] of partial) compare(name, hashes);
      for (const name of stored.keys()) report(`tile ${name}`, 'no entries belong to it');
    },
  };
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
