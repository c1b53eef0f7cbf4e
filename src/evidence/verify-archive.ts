/**
 * Verification of seals and renewals: every tree from the entries, objects and tokens that it is over, every token as
 * of the next one that covered it, every row of the archive's tables against what token and log say.
 */
import type { ArchiveTimestamp } from '../store/store.ts';
import type { ArchiveSource, AuditSource, Finding, Report } from './audit.ts';
import { createGroups } from './verify-archive-groups.ts';
import {
  type ArchiveScope,
  checkAnnouncements,
  checkRanges,
  type Loaded,
  tenantsUnder,
} from './verify-archive-rows.ts';
import { type ArchiveCircumstances, createTokenJudge, readStored } from './verify-archive-tokens.ts';
import { createTreeCheck } from './verify-archive-tree.ts';
import { addRenewedTree, addSeal, addTokens, type TreeParts } from './verify-archive-trees.ts';
import type { SealedCheckpoint } from './verify-log.ts';

/** Findings about what all tenants share bear this in the place of a tenant. */
export const ALL_TENANTS = '*';

/** What the seals say of a tenant's log, for its own check. */
export interface TenantSeals {
  readonly checkpoints: readonly SealedCheckpoint[];
  /** In order of entries: entries before `to` existed at `genTime` (epoch ms). */
  readonly ranges: readonly { readonly id: number; readonly to: number; readonly genTime: number }[];
}

export async function sealsByTenant(archive: ArchiveSource): Promise<Map<string, TenantSeals>> {
  const found = new Map<
    string,
    { checkpoints: SealedCheckpoint[]; ranges: TenantSeals['ranges'][number][] }
  >();
  for (const { id, kind, genTime } of await archive.archiveTimestamps()) {
    if (kind !== 'seal') continue;
    for (const { tenant, to, checkpoint } of await archive.archiveRanges(id)) {
      const of = found.get(tenant) ?? { checkpoints: [], ranges: [] };
      found.set(tenant, of);
      of.checkpoints.push({ place: `of archive timestamp ${id}`, note: checkpoint, to });
      of.ranges.push({ id, to, genTime: Date.parse(genTime) });
    }
  }
  for (const { ranges } of found.values()) ranges.sort((a, b) => a.to - b.to);
  return found;
}

/** Verifies everything that stands under a time-stamp, and the time-stamps. Returns the number of these. */
export async function verifyArchive(
  source: AuditSource,
  circumstances: ArchiveCircumstances | null,
  scope: ArchiveScope & {
    readonly report: (finding: Finding) => void;
    readonly undecided: (finding: Finding) => void;
  },
): Promise<number> {
  const report: Report = (place, problem) => scope.report({ tenant: ALL_TENANTS, place, problem });
  const open: Report = (place, problem) => scope.undecided({ tenant: ALL_TENANTS, place, problem });
  const { archive } = source;
  const all = await archive.archiveTimestamps();
  for (const stray of archive.strays()) report(stray, 'a row stands there to which nothing belongs');
  all.forEach(({ id }, at) => {
    if (id !== at + 1) report(`archive timestamp ${at + 1}`, `missing: the next one in the store is ${id}`);
  });
  const loaded = new Map<number, Loaded>();
  const covers = Map.groupBy(await archive.archiveCovers(), ({ id }) => id);
  for (const one of all) loaded.set(one.id, await load(archive, one, covers.get(one.id) ?? [], report));
  checkRanges([...loaded.values()], report);
  const tenants = new Map([...loaded.values()].map((each) => [each.one.id, tenantsUnder(loaded, each)]));
  checkAnnouncements(loaded, tenants, scope, (tenant, place, problem) => {
    scope.report({ tenant, place, problem });
  });
  const parts: TreeParts = { loaded, archive, groups: createGroups(source, scope), report };
  for (const each of loaded.values()) {
    try {
      const tree = createTreeCheck(archive, each.one, each.token?.read ?? null, report);
      if (each.one.kind === 'seal') await addSeal(tree, each, parts);
      else if (each.one.kind === 'timestamp-renewal') await addTokens(tree, each, parts);
      else await addRenewedTree(tree, each, parts);
      await tree.end();
    } catch (error) {
      report(`archive timestamp ${each.one.id}`, `its tree cannot be computed: ${(error as Error).message}`);
    }
    for (const { tenant, index, reason } of each.excluded) {
      if (scope.only === undefined || scope.only === tenant)
        scope.undecided({
          tenant,
          place: `entry ${index}`,
          problem: `archive timestamp ${each.one.id} does not cover it: ${reason}`,
        });
    }
  }
  if (circumstances === null) {
    if (all.length > 0)
      open('archive timestamps', 'no trust anchors of time-stamping authorities: tokens were not judged');
    return all.length;
  }
  const judge = createTokenJudge(circumstances, report, open);
  for (const { id, by } of coverings([...loaded.values()])) {
    const covered = loaded.get(id);
    const coverer = by === null ? null : loaded.get(by);
    if (covered?.token == null || coverer === undefined) continue;
    const coveredAt = coverer?.token?.read?.genTime ?? null;
    if (coveredAt !== null && covered.token.read !== null && coveredAt < covered.token.read.genTime)
      report(`archive timestamp ${by}`, `it is older than archive timestamp ${id}, which it covers`);
    await judge.judge(covered.one, covered.token, coveredAt);
  }
  return all.length;
}

async function load(
  archive: ArchiveSource,
  one: ArchiveTimestamp,
  covers: readonly { readonly covers: number }[],
  report: Report,
): Promise<Loaded> {
  const stored = await archive.archiveToken(one.id);
  const positions: { id: number; position: number }[] = [];
  for (const { covers: id } of covers) {
    const own = (await archive.renewalsOf(id)).find((renewal) => renewal.id === one.id)!;
    positions.push({ id, position: own.position });
  }
  return {
    one,
    token: stored === null ? null : readStored(one, stored, report),
    ranges: await archive.archiveRanges(one.id),
    covers: positions.sort((a, b) => a.position - b.position),
    leafLists: await archive.archiveLeafLists(one.id),
    excluded: await archive.archiveExcluded(one.id),
  };
}

/**
 * Each archive timestamp with each one that covered it as the newest of a chain; null where nothing does. The same one
 * may be covered at several times, where the chains that share it went on apart.
 */
function coverings(all: readonly Loaded[]): { id: number; by: number | null }[] {
  const newestOf = new Map<number, number>();
  const found = new Map<string, { id: number; by: number | null }>();
  const add = (id: number, by: number | null) => found.set(`${id} ${by}`, { id, by });
  for (const { one, covers } of all) {
    if (one.kind === 'seal') newestOf.set(one.id, one.id);
    for (const { id } of covers) {
      for (const [seal, newest] of newestOf) {
        if (one.kind === 'hash-tree-renewal' ? seal !== id : newest !== id) continue;
        add(newest, one.id);
        newestOf.set(seal, one.id);
      }
    }
  }
  for (const newest of newestOf.values()) add(newest, null);
  return [...found.values()];
}
