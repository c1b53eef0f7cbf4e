/**
 * Reads objects again: content, address, structure index, and the handed-over forms made of them. Those that lie in the
 * database always; those in files of their own where it is to be deep, else by their length.
 */
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { createIndexer } from '../mime/structure.ts';
import type { MessageIndex } from '../mime/types.ts';
import type { AuditObject, AuditSource, Report } from './audit.ts';
import { parseEntry } from './canonical.ts';
import type { HandoverIntentEntry } from './entry.ts';
import type { ObjectClaims } from './object-claims.ts';

export interface ObjectScope {
  /** Read files too. */
  readonly deep: boolean;
  /** Only objects that the entries name which were looked at. */
  readonly claimedOnly: boolean;
  readonly onObject?: ((bytes: number) => void) | undefined;
}

/** Returns the number of objects, and of those whose bytes were not read. */
export async function verifyObjects(
  source: AuditSource,
  tenant: string,
  claims: ObjectClaims,
  report: Report,
  scope: ObjectScope,
): Promise<{ objects: number; unread: number }> {
  let count = 0;
  let unread = 0;
  const handed = createHandedCursor(claims);
  for (const object of source.objects(tenant, scope.claimedOnly ? claims.rows : undefined)) {
    count++;
    if (object.isFile && !scope.deep) {
      unread++;
      const problem = object.fileProblem();
      if (problem !== null) report(`object ${object.object}`, problem);
    } else {
      const forms: HandedForm[] = [];
      for (const index of handed.of(object.row)) {
        const form = await beginForm(source, tenant, index, scope, report);
        if (form !== null) forms.push(form);
      }
      await verifyObject(source, tenant, object, forms, report);
    }
    scope.onObject?.(object.size);
  }
  return { objects: count, unread };
}

/** Hand-overs of one object after the other, in the order of rows. */
function createHandedCursor({ handed }: ObjectClaims): { of(row: number): number[] } {
  const iterator = handed[Symbol.iterator]();
  let next = iterator.next();
  return {
    of(row) {
      const found: number[] = [];
      for (; !next.done && next.value.row <= row; next = iterator.next())
        if (next.value.row === row) found.push(next.value.entry);
      return found;
    },
  };
}

/** A handed-over form that is put together while its body is read: header ++ submitted object from a byte on. */
interface HandedForm {
  /** The next bytes of the submitted object. */
  push(chunk: Buffer): void;
  end(): void;
}

/** Null where its header is missing or cannot be read, which is reported, or is not to be read. */
async function beginForm(
  source: AuditSource,
  tenant: string,
  index: number,
  { deep }: ObjectScope,
  report: Report,
): Promise<HandedForm | null> {
  const place = `entry ${index}`;
  const claim = intentAt(source, tenant, index)?.handed;
  if (claim === undefined) return null;
  const header = source.object(tenant, claim.header.object);
  if (header === null || (header.isFile && !deep)) return null;
  const hash = createHash('sha256');
  let size = 0;
  try {
    for await (const chunk of header.read()) {
      hash.update(chunk);
      size += chunk.length;
    }
  } catch (error) {
    report(place, `the bytes handed over cannot be put together: ${(error as Error).message}`);
    return null;
  }
  let skip = claim.bodyFrom;
  return {
    push(chunk) {
      const body = chunk.subarray(Math.min(skip, chunk.length));
      skip -= chunk.length - body.length;
      hash.update(body);
      size += body.length;
    },
    end() {
      if (hash.digest('hex') !== claim.sha256 || size !== claim.size)
        report(place, 'header and body do not give the bytes that were handed over');
    },
  };
}

/** An entry that was read before, over the same snapshot. */
function intentAt(source: AuditSource, tenant: string, index: number): HandoverIntentEntry | null {
  const opened = source.entry(tenant, index)?.open();
  if (opened === undefined) return null;
  const entry = parseEntry(opened.bytes);
  return entry.kind === 'handover-intent' ? entry : null;
}

/** One that cannot be read is none of any message. */
function structureOf(object: AuditObject): MessageIndex | 'unreadable' | null {
  try {
    return object.structure();
  } catch {
    return 'unreadable';
  }
}

async function verifyObject(
  source: AuditSource,
  tenant: string,
  object: AuditObject,
  forms: readonly HandedForm[],
  report: Report,
): Promise<void> {
  const place = `object ${object.object}`;
  const structure = structureOf(object);
  const indexer = structure === null ? null : createIndexer();
  const hash = createHash('sha256');
  let size = 0;
  let head: Buffer = Buffer.alloc(0);
  try {
    for await (const chunk of object.read()) {
      hash.update(chunk);
      indexer?.push(chunk);
      for (const form of forms) form.push(chunk);
      if (size === 0) head = chunk;
      size += chunk.length;
    }
  } catch (error) {
    report(place, `its bytes do not decrypt (${(error as Error).message})`);
    return;
  }
  for (const form of forms) form.end();
  const sha256 = hash.digest('hex');
  if (source.keyed(tenant, sha256) !== object.object) report(place, 'its content does not give its address');
  if (size !== object.size) report(place, `its row says ${object.size} bytes, it has ${size}`);
  if (indexer === null) return;
  const index = indexer.finish();
  if (!isDeepStrictEqual(JSON.parse(JSON.stringify(index)), structure))
    report(place, 'its structure index is not that of its bytes');
  const problem = object.summaryProblem(index, head);
  if (problem !== null) report(place, problem);
}
