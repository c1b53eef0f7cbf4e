/** Sender's signatures as an entry names them, with their objects. */
import type { EmbeddedSignature } from '../../../evidence/entry.ts';
import type { WriteContext } from '../write-context.ts';
import { insertObject } from './object.ts';
import { factOf, type WireSignature } from './wire.ts';

/** Makes the objects' rows. Null: nothing was looked for, and the entry says nothing. */
export function keepSignatures(
  context: WriteContext,
  tenant: string,
  signatures: readonly WireSignature[] | null,
): { readonly signatures?: readonly EmbeddedSignature[] } {
  if (signatures === null || signatures.length === 0) return {};
  return {
    signatures: signatures.map(({ object, ...signature }) => {
      if (object === undefined) return signature;
      insertObject(context, tenant, object, null);
      return { ...signature, object: factOf(object) };
    }),
  };
}
