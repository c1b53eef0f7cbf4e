/** Which stored objects an entry names: the one list that projection, verification, seals and exports go by. */
import type { EmbeddedSignature, Entry, ObjectFact } from './entry.ts';

export interface NamedObject {
  readonly fact: ObjectFact;
  /** A message has a structure index. */
  readonly message: boolean;
}

/** In the order in which the entry names them; one that it names twice stands twice. */
export function objectsOf(entry: Entry): readonly NamedObject[] {
  switch (entry.kind) {
    case 'submission':
    case 'inbound':
    case 'confirmation':
    case 'notification':
    case 'sent-copy':
      return [{ fact: entry.message, message: true }, ...signaturesOf(entry)];
    case 'refused':
    case 'notice':
      return [{ fact: entry.message, message: true }];
    case 'verdict':
      return entry.material.map((fact) => ({ fact, message: false }));
    case 'handover-intent':
      return [{ fact: entry.handed.header, message: false }];
    default:
      return [];
  }
}

function signaturesOf({ signatures }: { readonly signatures?: readonly EmbeddedSignature[] }): NamedObject[] {
  return (signatures ?? []).flatMap(({ object }) =>
    object === undefined ? [] : [{ fact: object, message: false }],
  );
}
