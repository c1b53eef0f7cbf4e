/** Rows of seals and renewals against each other, and against the entries that announce them. */
import type { ArchiveTimestamp, SealRange } from '../store/store.ts';
import type { Announcement, Renumbering, Report } from './audit.ts';
import type { RenewedEntry, SealedEntry } from './entry.ts';
import { numberHere } from './renumbering.ts';
import type { StoredToken } from './verify-archive-tokens.ts';

export interface ArchiveScope {
  /** Only this tenant's entries and objects are read; trees and tokens are those of all. */
  readonly only?: string | undefined;
  /** Reads objects that lie in files. */
  readonly deep: boolean;
  /** First entry of a tenant that is read. */
  readonly from: ReadonlyMap<string, number>;
  readonly announced: readonly Announcement[];
  readonly renumbered: readonly Renumbering[];
  readonly onGroup?: (() => void) | undefined;
}

/** A seal or renewal with everything that lies in rows of it. */
export interface Loaded {
  readonly one: ArchiveTimestamp;
  readonly token: StoredToken | null;
  readonly ranges: readonly SealRange[];
  readonly covers: readonly { readonly id: number; readonly position: number }[];
  readonly leafLists: readonly {
    readonly tenant: string;
    readonly size: number;
    readonly position: number;
  }[];
  readonly excluded: readonly { readonly tenant: string; readonly index: number; readonly reason: string }[];
}

/** Each tenant's seals follow one another without a gap. */
export function checkRanges(all: readonly Loaded[], report: Report): void {
  const ends = new Map<string, number>();
  for (const { one, ranges } of all) {
    for (const { tenant, from, to } of ranges) {
      const expected = ends.get(tenant) ?? 0;
      if (from !== expected || to <= from)
        report(
          `archive timestamp ${one.id}`,
          `its range of ${tenant} is of the entries ${from} to ${to - 1}, the one before ended at ${expected}`,
        );
      ends.set(tenant, to);
    }
  }
}

/** Tenants whose entries stand under it, also through renewals between. */
export function tenantsUnder(loaded: ReadonlyMap<number, Loaded>, { ranges, covers }: Loaded): Set<string> {
  const found = new Set(ranges.map(({ tenant }) => tenant));
  for (const { id } of covers) {
    const under = loaded.get(id);
    // Renewals cover what is older than they are; anything else is a stray row, and reported.
    if (under !== undefined && !under.covers.some((cover) => cover.id >= id))
      for (const tenant of tenantsUnder(loaded, under)) found.add(tenant);
  }
  return found;
}

/** Rows against the entries that announce them: each log says which seals and renewals are over it. */
export function checkAnnouncements(
  loaded: ReadonlyMap<number, Loaded>,
  tenants: ReadonlyMap<number, ReadonlySet<string>>,
  { announced, renumbered, only, from }: ArchiveScope,
  report: (tenant: string, place: string, problem: string) => void,
): void {
  const said = new Set<string>();
  for (const { tenant, index, entry } of announced) {
    const own = renumbered.filter((one) => one.tenant === tenant);
    const here = (number: number) => numberHere(own, index, number);
    const id = here(entry.archiveTimestamp);
    const each = id === null ? undefined : loaded.get(id);
    const place = `archive timestamp ${id ?? entry.archiveTimestamp}`;
    if (each === undefined) {
      report(tenant, place, `missing; entry ${index} names it`);
      continue;
    }
    said.add(`${id} ${tenant}`);
    for (const difference of differences(tenant, entry, each, here))
      report(tenant, place, `${difference} (entry ${index})`);
  }
  for (const [id, under] of tenants) {
    for (const tenant of under) {
      if (said.has(`${id} ${tenant}`) || from.has(tenant)) continue;
      if (only === undefined || only === tenant)
        report(tenant, `archive timestamp ${id}`, 'no entry of the log names it');
    }
  }
}

function differences(
  tenant: string,
  entry: SealedEntry | RenewedEntry,
  each: Loaded,
  here: (number: number) => number | null,
): string[] {
  const { one, token, ranges, covers, excluded } = each;
  const wrong: string[] = [];
  const compare = (what: string, row: unknown, own: unknown) => {
    if (row !== own) wrong.push(`${what} is ${row}, the entry says ${own}`);
  };
  compare('column digest', one.digest, entry.digest);
  compare('column gen_time', one.genTime, entry.genTime);
  compare('column authority', one.authority, entry.authority);
  compare('the token as it came', token?.original?.sha256, entry.token.sha256);
  compare('its size', token?.original?.size, entry.token.size);
  const isSeal = entry.kind === 'sealed';
  compare(
    'column kind',
    one.kind,
    isSeal ? 'seal' : entry.method === 'timestamp' ? 'timestamp-renewal' : 'hash-tree-renewal',
  );
  if (isSeal) {
    const range = ranges.find((candidate) => candidate.tenant === tenant);
    compare('its range', `${range?.from} to ${range?.to}`, `${entry.from} to ${entry.to}`);
  } else {
    const ids = (list: readonly number[]) => [...list].sort((a, b) => a - b).join(', ');
    // What stood over other tenants alone stayed where it was.
    const said = entry.covers.map(here).filter((id) => id !== null);
    compare('what it covers', ids(covers.map(({ id }) => id)), ids(said));
  }
  const list = (items: readonly { index: number; reason: string }[]) =>
    items.map(({ index, reason }) => `${index} (${reason})`).join(', ');
  compare(
    'what it leaves out',
    list(excluded.filter((item) => item.tenant === tenant)),
    list([...(entry.excluded ?? [])].sort((a, b) => a.index - b.index)),
  );
  return wrong;
}

/** The parts of a tree follow one another; of one that came in part, what lies between them is not here. */
export function checkPositions(
  { id, partial }: ArchiveTimestamp,
  blocks: readonly { readonly position: number; readonly leaves: number }[],
  report: Report,
): void {
  if (partial) return;
  let expected = 0;
  for (const { position, leaves } of blocks) {
    if (position !== expected)
      report(`archive timestamp ${id}`, `column position says ${position} where ${expected} belongs`);
    expected = position + leaves;
  }
}
