/** What was erased must be named by an entry that says so, and what such an entry names must be gone. */
import type { AuditEntry, Report } from './audit.ts';
import type { Entry } from './entry.ts';
import { ascending, createNumberList, placeIn } from './number-list.ts';

export interface ErasureCheck {
  /** Rows in index order; `entry` is null where it was erased or cannot be read. */
  row(row: Pick<AuditEntry, 'index' | 'kind' | 'time' | 'erased'>, entry: Entry | null): void;
  end(): void;
}

export function createErasureCheck(report: Report): ErasureCheck {
  /** Ascending, as the rows are. */
  const gone = createNumberList();
  const said = createNumberList();
  /** The entry that says it. */
  const by = createNumberList();
  return {
    row({ index, kind, time, erased }, entry) {
      if (erased) {
        gone.push(index);
        if (kind !== '' || time !== '')
          report(`entry ${index}`, 'its content was erased, but a column still says kind or time');
      }
      if (entry?.kind !== 'erased') return;
      for (const one of entry.entries) {
        said.push(one);
        by.push(index);
      }
    },
    end() {
      const erased = gone.values();
      const named = said.values();
      for (const at of ascending(named))
        if (placeIn(erased, named[at]!) < 0)
          report(
            `entry ${named[at]}`,
            `entry ${by.values()[at]} says that it was erased, but it is still there`,
          );
      named.sort();
      for (const index of erased)
        if (placeIn(named, index) < 0)
          report(`entry ${index}`, 'its content is gone, and no entry says that it was erased');
    },
  };
}
