/** Changing a header while every field that is not meant stays byte for byte. */
import type { HeaderEdit } from '../evidence/entry.ts';
import { type FieldValue, plainValue, writeField } from './fold.ts';
import { type HeaderField, parseHeader } from './header.ts';

export type HeaderChange =
  /** A new field above all others: the topmost counts (TR-01201 IO 3.1.1), and no junk can hide it. */
  | { readonly op: 'add'; readonly name: string; readonly value: FieldValue }
  /** Takes that very field out. */
  | { readonly op: 'remove'; readonly field: HeaderField }
  /** Puts another value into that very field, in place. `raw` keeps folding that is already there. */
  | { readonly op: 'replace'; readonly field: HeaderField; readonly value: FieldValue }
  | { readonly op: 'rewrite'; readonly field: HeaderField; readonly raw: Buffer };

/**
 * The header after the changes, its empty line included, and the list of what changed. Fields to add come
 * on top in the order given. A stray continuation line at the start would become part of an added field:
 * it is taken out, which the edits say.
 *
 * @throws RangeError as `writeField`, and for a rewritten field that is not exactly one field.
 */
export function editHeader(
  fields: readonly HeaderField[],
  changes: readonly HeaderChange[],
): { bytes: Buffer; edits: HeaderEdit[] } {
  const edits: HeaderEdit[] = [];
  const added: Buffer[] = [];
  const byField = new Map<HeaderField, Exclude<HeaderChange, { op: 'add' }>>();
  for (const change of changes) {
    if (change.op === 'add') {
      added.push(Buffer.from(writeField(change.name, change.value), 'utf8'));
      edits.push({ op: 'add', name: change.name, after: plainValue(change.value) });
    } else {
      byField.set(change.field, change);
    }
  }
  const kept: Buffer[] = [];
  for (const [index, field] of fields.entries()) {
    const stray = index === 0 && field.name === '' && /^[ \t]/.test(field.raw.toString('latin1', 0, 1));
    const change = byField.get(field) ?? (stray ? ({ op: 'remove', field } as const) : undefined);
    if (change === undefined) {
      kept.push(withLineEnd(field.raw));
    } else if (change.op === 'remove') {
      edits.push({ op: 'remove', name: field.name, before: field.value });
    } else {
      const [raw, after] = replacement(field, change);
      if (!raw.equals(field.raw)) {
        edits.push({ op: 'replace', name: field.name, before: field.value, after });
      }
      kept.push(withLineEnd(raw));
    }
  }
  return { bytes: Buffer.concat([...added, ...kept, Buffer.from('\r\n')]), edits };
}

function replacement(
  field: HeaderField,
  change: Extract<HeaderChange, { op: 'replace' | 'rewrite' }>,
): [Buffer, string] {
  if (change.op === 'replace') {
    return [Buffer.from(writeField(field.name, change.value), 'utf8'), plainValue(change.value)];
  }
  const parsed = parseHeader(change.raw);
  const only = parsed[0];
  if (parsed.length !== 1 || only?.lower !== field.lower || only.end !== change.raw.length) {
    throw new RangeError(`rewritten header field ${field.name} is not one field`);
  }
  return [change.raw, only.value];
}

function withLineEnd(raw: Buffer): Buffer {
  return raw.at(-1) === 10 ? raw : Buffer.concat([raw, Buffer.from('\r\n')]);
}
