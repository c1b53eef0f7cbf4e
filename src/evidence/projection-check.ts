/** Compares the derived tables, row by row and in order, with what the entries give. */
import type { AuditSource } from './audit.ts';
import type { Entry } from './entry.ts';
import { type Cell, type EvidenceTable, evidenceTables, projectionOf } from './projection.ts';

export interface ProjectionCheck {
  /** Passes over the rows of entries before this one. */
  begin(index: number): void;
  /** Entries in index order. */
  entry(entry: Entry): void;
  /** Of one that cannot be read nothing is known: its rows are passed over. */
  unreadable(index: number): void;
  end(): void;
  /** Instead of `end`, where the rest is not to be looked at. */
  close(): void;
}

export function createProjectionCheck(
  source: AuditSource,
  tenant: string,
  report: (place: string, problem: string) => void,
): ProjectionCheck {
  const tables = Object.keys(evidenceTables) as EvidenceTable[];
  const cursors = new Map(tables.map((table) => [table, createCursor(source.rows(tenant, table))]));

  function reportStrays(table: EvidenceTable, below: number): void {
    for (const cells of cursors.get(table)!.takeBelow(below))
      report(`${table} of entry ${cells[0]}`, 'a row stands there that no entry gives, or out of order');
  }

  return {
    begin(index) {
      for (const cursor of cursors.values()) cursor.takeBelow(index);
    },
    entry(entry) {
      const wanted = new Map<EvidenceTable, (readonly Cell[])[]>(tables.map((table) => [table, []]));
      for (const row of projectionOf(entry, (sha256) => source.keyed(tenant, sha256)))
        wanted.get(row.table)!.push(row.cells);
      for (const table of tables) {
        reportStrays(table, entry.index);
        const stored = cursors.get(table)!.take(entry.index);
        compareRows(table, entry.index, wanted.get(table)!, stored, report);
      }
    },
    unreadable(index) {
      for (const table of tables) {
        reportStrays(table, index);
        cursors.get(table)!.take(index);
      }
    },
    close() {
      for (const cursor of cursors.values()) cursor.close();
    },
    end() {
      for (const table of tables) reportStrays(table, Number.POSITIVE_INFINITY);
    },
  };
}

function compareRows(
  table: EvidenceTable,
  index: number,
  wanted: readonly (readonly Cell[])[],
  stored: readonly (readonly Cell[])[],
  report: (place: string, problem: string) => void,
): void {
  const columns = evidenceTables[table];
  for (let i = 0; i < Math.max(wanted.length, stored.length); i++) {
    const want = wanted[i];
    const have = stored[i];
    if (want === undefined) report(`${table} of entry ${index}`, 'a row too many');
    else if (have === undefined) report(`${table} of entry ${index}`, 'a row is missing');
    else {
      const column = want.findIndex((cell, at) => cell !== have[at]);
      if (column >= 0)
        report(
          `${table} of entry ${index}`,
          `column ${columns[column]} says ${show(have[column])}, the entry ${show(want[column])}`,
        );
    }
  }
}

function show(cell: Cell | undefined): string {
  return cell === null || cell === undefined ? 'nothing' : JSON.stringify(cell).slice(0, 200);
}

interface Cursor {
  take(index: number): (readonly Cell[])[];
  takeBelow(index: number): (readonly Cell[])[];
  close(): void;
}

function createCursor(rows: Iterable<readonly Cell[]>): Cursor {
  const iterator = rows[Symbol.iterator]();
  let next = iterator.next();
  const takeWhile = (test: (idx: number) => boolean) => {
    const taken: (readonly Cell[])[] = [];
    while (!next.done && test(Number(next.value[0]))) {
      taken.push(next.value);
      next = iterator.next();
    }
    return taken;
  };
  return {
    take: (index) => takeWhile((idx) => idx === index),
    takeBelow: (index) => takeWhile((idx) => idx < index),
    close: () => void iterator.return?.(),
  };
}
