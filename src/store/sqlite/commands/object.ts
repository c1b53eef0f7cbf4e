/** Object rows: made once per content and tenant, dropped when neither evidence nor a mailbox names them. */
import type { Cell } from '../../../evidence/projection.ts';
import { keyedDigest, rewrapKey } from '../../sealing.ts';
import { objectContext } from '../objects.ts';
import { isFetched } from '../renderings.ts';
import type { WriteContext } from '../write-context.ts';
import type { WireMessage, WireObject } from './wire.ts';

/**
 * Makes the row of a staged object. The same content is stored once per tenant: a second staging of it leaves
 * its file to be unlinked after the commit.
 */
export function insertObject(
  context: WriteContext,
  tenant: string,
  object: WireObject,
  structure: string | null,
): void {
  const { db: _, sql } = context;
  const known = sql('SELECT structure FROM object WHERE tenant = ? AND object = ?').get(
    tenant,
    object.object,
  ) as { structure: string | null } | undefined;
  if (known === undefined) {
    const { uid, key: staged, wrapId, inline } = object.storage;
    const { keys } = context.log(tenant);
    const key =
      wrapId === keys.wrapId
        ? staged
        : (rewrapKey(keys.wraps, staged, objectContext(tenant, Buffer.from(uid))) ?? staged);
    sql(
      'INSERT INTO object (tenant, object, uid, size, key, inline, structure) VALUES (?, ?, ?, ?, ?, ?, ?)',
    ).run(tenant, object.object, uid, object.size, key, inline, structure);
    if (inline === null) context.files.push(fileName(tenant, Buffer.from(uid)));
    return;
  }
  if (structure !== null && known.structure === null) {
    sql('UPDATE object SET structure = ? WHERE tenant = ? AND object = ?').run(
      structure,
      tenant,
      object.object,
    );
  }
  if (object.storage.inline === null) context.unlink.push(fileName(tenant, Buffer.from(object.storage.uid)));
}

export function insertMessage(context: WriteContext, tenant: string, message: WireMessage): void {
  insertObject(context, tenant, message.object, message.structure);
  if (message.fingerprint !== null)
    insertFingerprint(context, tenant, message.object.object, message.fingerprint);
  if (message.summary === null) return;
  const { envelope, structure, header } = message.summary;
  context
    .sql('INSERT OR IGNORE INTO summary (tenant, object, envelope, structure, header) VALUES (?, ?, ?, ?, ?)')
    .run(tenant, message.object.object, envelope, structure, header);
}

export function insertFingerprint(
  context: WriteContext,
  tenant: string,
  object: string,
  fingerprint: string,
): void {
  // A fetched message is evidence of its own, however much it is like a letter: it is nobody's copy.
  if (isFetched(context.sql, tenant, object)) return;
  // Keyed as the names of objects are: nobody can try contents on a stolen database.
  const keyed = keyedDigest(context.log(tenant).keys.address, fingerprint);
  context
    .sql('INSERT OR IGNORE INTO fingerprint (tenant, object, fingerprint) VALUES (?, ?, ?)')
    .run(tenant, object, keyed);
}

/** What was staged for a command that turned out to have nothing to do. */
export function dropStaged(context: WriteContext, tenant: string, { object }: WireMessage): void {
  const { inline, uid } = object.storage;
  if (inline === null) context.unlink.push(fileName(tenant, Buffer.from(uid)));
}

/** Drops the object if nothing names it any more. Evidence keeps its objects. */
export function releaseObject(context: WriteContext, tenant: string, object: Cell): void {
  const { sql } = context;
  const needed = sql(
    `SELECT 1 WHERE EXISTS (SELECT 1 FROM digest WHERE tenant = $tenant AND digest = $object)
       OR EXISTS (SELECT 1 FROM mail WHERE tenant = $tenant AND object = $object)
       OR EXISTS (SELECT 1 FROM forward WHERE tenant = $tenant AND object = $object)`,
  ).get({ tenant, object });
  if (needed !== undefined) return;
  const row = sql('SELECT uid, inline IS NULL AS file FROM object WHERE tenant = ? AND object = ?').get(
    tenant,
    object,
  ) as { uid: Buffer; file: number } | undefined;
  if (row === undefined) return;
  sql('DELETE FROM object WHERE tenant = ? AND object = ?').run(tenant, object);
  // As long as a copy lies in a mailbox it stays known as private.
  sql('DELETE FROM private_message WHERE tenant = ? AND object = ?').run(tenant, object);
  if (row.file === 1) context.unlink.push(fileName(tenant, row.uid));
}

/** `tenant/uid`, as the writer resolves it below the object folder. */
function fileName(tenant: string, uid: Buffer): string {
  return `${tenant}/${uid.toString('hex')}`;
}
