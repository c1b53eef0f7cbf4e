/** Numbers of archive timestamps that came with a tenant out of another store: as its entries name them, and as they are here. */
import type { Renumbering } from './audit.ts';

/**
 * What an archive timestamp that entry `index` names is called here, through each import since.
 * @param renumbered of this tenant, ascending
 * @returns null where it did not come along: it stood over other tenants alone
 */
export function numberHere(
  renumbered: readonly Pick<Renumbering, 'index' | 'entry'>[],
  index: number,
  number: number,
): number | null {
  let here: number | null = number;
  for (const { index: imported, entry } of renumbered)
    if (imported > index) here = entry.archiveTimestamps.find(([before]) => before === here)?.[1] ?? null;
  return here;
}
