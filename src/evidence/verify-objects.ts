/**
 * Reads objects again: content, address, structure index, and the handed-over forms made of them. Those that lie in the
 * database always; those in files of their own where it is to be deep, else by their length.
 */
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { createIndexer } from '../mime/structure.ts';
import type { MessageIndex } from '../mime/types.ts';
import type { AuditObject, AuditSource, ObjectClaims } from './audit.ts';

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
  report: (place: string, problem: string) => void,
  scope: ObjectScope,
): Promise<{ objects: number; unread: number }> {
  let count = 0;
  let unread = 0;
  const seen = new Set<string>();
  for (const object of scope.claimedOnly ? claimed(source, tenant, claims) : source.objects(tenant)) {
    count++;
    seen.add(object.object);
    if (object.isFile && !scope.deep) {
      unread++;
      const problem = object.fileProblem() ?? rowProblem(object, claims);
      if (problem !== null) report(`object ${object.object}`, problem);
    } else await verifyObject(source, tenant, object, claims, report);
    scope.onObject?.(object.size);
  }
  for (const [object, claim] of claims.objects) {
    if (!seen.has(object)) report(`object ${object}`, `missing; entry ${claim.index} names it`);
  }
  for (const handed of claims.handed) {
    const header = source.object(tenant, handed.header);
    const submitted = source.object(tenant, handed.submitted);
    if (header === null || submitted === null) continue; // reported above as missing
    if (!scope.deep && (header.isFile || submitted.isFile)) continue;
    const place = `entry ${handed.index}`;
    try {
      const hash = createHash('sha256');
      let size = 0;
      for (const part of [header.read(), submitted.read(handed.bodyFrom)]) {
        for await (const chunk of part) {
          hash.update(chunk);
          size += chunk.length;
        }
      }
      if (hash.digest('hex') !== handed.sha256 || size !== handed.size)
        report(place, 'header and body do not give the bytes that were handed over');
    } catch (error) {
      report(place, `the bytes handed over cannot be put together: ${(error as Error).message}`);
    }
  }
  return { objects: count, unread };
}

function* claimed(source: AuditSource, tenant: string, claims: ObjectClaims): Iterable<AuditObject> {
  for (const name of claims.objects.keys()) {
    const object = source.object(tenant, name);
    if (object !== null) yield object;
  }
}

function rowProblem(object: AuditObject, claims: ObjectClaims): string | null {
  const claim = claims.objects.get(object.object);
  if (claim === undefined) return null;
  if (claim.size !== object.size)
    return `its row says ${object.size} bytes, entry ${claim.index} ${claim.size}`;
  return claim.message && structureOf(object) === null ? 'its structure index is missing' : null;
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
  claims: ObjectClaims,
  report: (place: string, problem: string) => void,
): Promise<void> {
  const place = `object ${object.object}`;
  const claim = claims.objects.get(object.object);
  const structure = structureOf(object);
  const indexer = structure === null ? null : createIndexer();
  const hash = createHash('sha256');
  let size = 0;
  let head: Buffer = Buffer.alloc(0);
  try {
    for await (const chunk of object.read()) {
      hash.update(chunk);
      indexer?.push(chunk);
      if (size === 0) head = chunk;
      size += chunk.length;
    }
  } catch (error) {
    report(place, `its bytes do not decrypt (${(error as Error).message})`);
    return;
  }
  const sha256 = hash.digest('hex');
  if (source.keyed(tenant, sha256) !== object.object) report(place, 'its content does not give its address');
  if (size !== object.size) report(place, `its row says ${object.size} bytes, it has ${size}`);
  if (claim !== undefined && (claim.sha256 !== sha256 || claim.size !== size))
    report(place, `entry ${claim.index} says other content (SHA-256 ${claim.sha256}, ${claim.size} bytes)`);
  if (claim?.message === true && structure === null) report(place, 'its structure index is missing');
  if (indexer === null) return;
  const index = indexer.finish();
  if (!isDeepStrictEqual(JSON.parse(JSON.stringify(index)), structure))
    report(place, 'its structure index is not that of its bytes');
  const problem = object.summaryProblem(index, head);
  if (problem !== null) report(place, problem);
}
