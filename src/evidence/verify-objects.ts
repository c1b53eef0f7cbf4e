/**
 * Reads objects again: content, address, structure index, and the handed-over forms made of them. Those that lie in the
 * database always; those in files of their own where it is to be deep, else by their length.
 */
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { createIndexer } from '../mime/structure.ts';
import type { MessageIndex } from '../mime/types.ts';
import type { AuditObject, AuditSource, ObjectClaims, Report } from './audit.ts';

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
  const seen = new Set<string>();
  const handed = Map.groupBy(claims.handed, ({ submitted }) => submitted);
  for (const object of scope.claimedOnly ? claimed(source, tenant, claims) : source.objects(tenant)) {
    count++;
    seen.add(object.object);
    if (object.isFile && !scope.deep) {
      unread++;
      const problem = object.fileProblem() ?? rowProblem(object, claims);
      if (problem !== null) report(`object ${object.object}`, problem);
    } else {
      const forms: HandedForm[] = [];
      for (const claim of handed.get(object.object) ?? []) {
        const form = await beginForm(claim, source.object(tenant, claim.header), scope, report);
        if (form !== null) forms.push(form);
      }
      await verifyObject(source, tenant, object, claims, forms, report);
    }
    scope.onObject?.(object.size);
  }
  for (const [object, claim] of claims.objects) {
    if (!seen.has(object)) report(`object ${object}`, `missing; entry ${claim.index} names it`);
  }
  return { objects: count, unread };
}

/** A handed-over form that is put together while its body is read: header ++ submitted object from a byte on. */
interface HandedForm {
  /** The next bytes of the submitted object. */
  push(chunk: Buffer): void;
  end(): void;
}

/** Null where its header is missing or cannot be read, which is reported, or is not to be read. */
async function beginForm(
  claim: ObjectClaims['handed'][number],
  header: AuditObject | null,
  { deep }: ObjectScope,
  report: Report,
): Promise<HandedForm | null> {
  if (header === null || (header.isFile && !deep)) return null;
  const place = `entry ${claim.index}`;
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
  forms: readonly HandedForm[],
  report: Report,
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
