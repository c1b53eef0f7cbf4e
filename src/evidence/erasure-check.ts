/** What was erased must be named by an entry that says so, and what such an entry names must be gone. */
import type { AuditEntry, Report } from './audit.ts';
import type { Entry } from './entry.ts';

export interface ErasureCheck {
  /** Rows in index order; `entry` is null where it was erased or cannot be read. */
  row(row: Pick<AuditEntry, 'index' | 'kind' | 'time' | 'erased'>, entry: Entry | null): void;
  isErased(index: number): boolean;
  end(): void;
}

export function createErasureCheck(report: Report): ErasureCheck {
  /** Index → the entry that says that it was erased. */
  const said = new Map<number, number>();
  const gone = new Set<number>();
  return {
    row({ index, kind, time, erased }, entry) {
      if (erased) {
        gone.add(index);
        if (kind !== '' || time !== '')
          report(`entry ${index}`, 'its content was erased, but a column still says kind or time');
      }
      if (entry?.kind === 'erased') for (const one of entry.entries) said.set(one, index);
    },
    isErased: (index) => gone.has(index),
    end() {
      for (const index of gone)
        if (!said.has(index))
          report(`entry ${index}`, 'its content is gone, and no entry says that it was erased');
      for (const [index, by] of said)
        if (!gone.has(index))
          report(`entry ${index}`, `entry ${by} says that it was erased, but it is still there`);
    },
  };
}
