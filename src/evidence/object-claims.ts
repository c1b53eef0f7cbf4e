/**
 * What entries say of objects, compared with the objects' rows while the entries pass: of each nothing is kept but where
 * handed-over forms come from, in numbers. The bytes are read afterwards (verify-objects.ts): an address is that of its
 * content, so content that has the address that an entry names, under which it says that content's digest, is the content
 * that it says.
 */
import type { AuditSource, Report } from './audit.ts';
import type { Entry } from './entry.ts';
import { ascending, createNumberList, placeIn } from './number-list.ts';
import { objectsOf } from './objects-of.ts';

/** What is to be read, by rows of objects. */
export interface ObjectClaims {
  /** Rows of the objects that are named, ascending, each once; only where they were asked for. */
  readonly rows: Float64Array;
  /** Hand-overs by the row of the submitted object, ascending. */
  readonly handed: Iterable<HandedOver>;
}

interface HandedOver {
  readonly row: number;
  /** Index of the intent. */
  readonly entry: number;
}

/** How many findings are remembered: what several entries name has one finding, not several. */
const MOST_REMEMBERED = 10_000;

export interface ClaimCheck {
  /** In the order of `index`, where the entry lies. */
  entry(index: number, entry: Entry): void;
  end(): ObjectClaims;
}

/** @param keepRows the rows of all objects that are named will be asked for */
export function createClaimCheck(
  source: Pick<AuditSource, 'objectRow' | 'keyed'>,
  tenant: string,
  report: Report,
  keepRows: boolean,
): ClaimCheck {
  const told = new Set<string>();
  const rows = createNumberList();
  const letters = createNumberList();
  const letterRows = createNumberList();
  const handedRows = createNumberList();
  const handedEntries = createNumberList();

  function tell(object: string, what: string, problem: string): void {
    const name = `${object} ${what}`;
    if (told.has(name)) return;
    if (told.size < MOST_REMEMBERED) told.add(name);
    report(`object ${object}`, problem);
  }

  function compare(index: number, entry: Entry): void {
    for (const { fact, message } of objectsOf(entry)) {
      const { object, sha256, size } = fact;
      if (source.keyed(tenant, sha256) !== object)
        tell(object, 'content', `entry ${index} says other content (SHA-256 ${sha256}, ${size} bytes)`);
      const row = source.objectRow(tenant, object);
      if (row === null) {
        tell(object, 'row', `missing; entry ${index} names it`);
        continue;
      }
      if (!Number.isSafeInteger(row.number))
        tell(object, 'number', 'its row has a number that no database gives: it cannot be read by it');
      if (row.size !== size) tell(object, 'size', `its row says ${row.size} bytes, entry ${index} ${size}`);
      if (message && !row.hasStructure) tell(object, 'structure', 'its structure index is missing');
      if (keepRows) rows.push(row.number);
      if (entry.kind === 'submission' && fact === entry.message) {
        letters.push(index);
        letterRows.push(row.number);
      }
    }
  }

  return {
    entry(index, entry) {
      compare(index, entry);
      if (entry.kind !== 'handover-intent') return;
      const at = placeIn(letters.values(), entry.letter);
      if (at < 0) return;
      handedRows.push(letterRows.values()[at]!);
      handedEntries.push(index);
    },
    end: () => ({
      rows: rows
        .values()
        .sort()
        .filter((row, at, all) => at === 0 || row !== all[at - 1]),
      handed: pairs(handedRows.values(), handedEntries.values()),
    }),
  };
}

function* pairs(rows: Float64Array, entries: Float64Array): Generator<HandedOver> {
  for (const at of ascending(rows)) yield { row: rows[at]!, entry: entries[at]! };
}
