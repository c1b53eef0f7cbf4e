/**
 * Verification of seals and renewals: every tree from the entries, objects and tokens that it is over, every token as
 * of the next one that covered it, every row of the archive's tables against what token and log say.
 */
import { createHash, hash } from 'node:crypto';
import type { ArchiveTimestamp, SealRange } from '../store/store.ts';
import type { Announcement, ArchiveSource, AuditSource, Finding, Report } from './audit.ts';
import type { ArchiveDigest, RenewedEntry, SealedEntry } from './entry.ts';
import { hashTreeRenewalDigests } from './ers/renewal.ts';
import { checkpointGroup } from './groups.ts';
import { objectsOf } from './objects-of.ts';
import { recordAt } from './record-of.ts';
import {
  type ArchiveCircumstances,
  createTokenJudge,
  readStored,
  type StoredToken,
} from './verify-archive-tokens.ts';
import { createTreeCheck, type TreeCheck } from './verify-archive-tree.ts';
import type { SealedCheckpoint } from './verify-log.ts';

/** Findings about what all tenants share bear this in the place of a tenant. */
export const ALL_TENANTS = '*';

export interface ArchiveScope {
  /** Only this tenant's entries and objects are read; trees and tokens are those of all. */
  readonly only?: string | undefined;
  /** Reads objects that lie in files. */
  readonly deep: boolean;
  /** First entry of a tenant that is read. */
  readonly from: ReadonlyMap<string, number>;
  readonly announced: readonly Announcement[];
  readonly onGroup?: (() => void) | undefined;
}

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

export interface ArchiveResult {
  readonly findings: readonly Finding[];
  /** What could not be decided. */
  readonly undecided: readonly Finding[];
  readonly timestamps: number;
}

interface Loaded {
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

/** Verifies everything that stands under a time-stamp, and the time-stamps. */
export async function verifyArchive(
  source: AuditSource,
  circumstances: ArchiveCircumstances | null,
  scope: ArchiveScope,
): Promise<ArchiveResult> {
  const findings: Finding[] = [];
  const undecided: Finding[] = [];
  const report: Report = (place, problem) => void findings.push({ tenant: ALL_TENANTS, place, problem });
  const open: Report = (place, problem) => void undecided.push({ tenant: ALL_TENANTS, place, problem });
  const { archive } = source;
  const all = await archive.archiveTimestamps();
  for (const stray of archive.strays()) report(stray, 'a row stands there to which nothing belongs');
  all.forEach(({ id }, at) => {
    if (id !== at + 1) report(`archive timestamp ${at + 1}`, `missing: the next one in the store is ${id}`);
  });
  const loaded = new Map<number, Loaded>();
  for (const one of all) loaded.set(one.id, await load(archive, one, report));
  checkRanges([...loaded.values()], report);
  const tenants = new Map([...loaded.values()].map((each) => [each.one.id, tenantsUnder(loaded, each)]));
  checkAnnouncements(loaded, tenants, scope, (tenant, place, problem) => {
    findings.push({ tenant, place, problem });
  });
  const groups = createGroups(source, scope);
  for (const each of loaded.values()) {
    try {
      const tree = createTreeCheck(archive, each.one, each.token?.read ?? null, report);
      if (each.one.kind === 'seal') await addSeal(tree, each, groups, report);
      else if (each.one.kind === 'timestamp-renewal') await addTokens(tree, each, loaded, report);
      else await addRenewedTree(tree, each, loaded, groups, source, report);
      await tree.end();
    } catch (error) {
      report(`archive timestamp ${each.one.id}`, `its tree cannot be computed: ${(error as Error).message}`);
    }
    for (const { tenant, index, reason } of each.excluded) {
      if (scope.only === undefined || scope.only === tenant)
        undecided.push({
          tenant,
          place: `entry ${index}`,
          problem: `archive timestamp ${each.one.id} does not cover it: ${reason}`,
        });
    }
  }
  if (circumstances === null) {
    if (all.length > 0)
      open('archive timestamps', 'no trust anchors of time-stamping authorities: tokens were not judged');
    return { findings, undecided, timestamps: all.length };
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
  return { findings, undecided, timestamps: all.length };
}

async function load(archive: ArchiveSource, one: ArchiveTimestamp, report: Report): Promise<Loaded> {
  const stored = await archive.archiveToken(one.id);
  const covers = (await archive.archiveCovers()).filter(({ id }) => id === one.id);
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

/** Each tenant's seals follow one another without a gap. */
function checkRanges(all: readonly Loaded[], report: Report): void {
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
function tenantsUnder(loaded: ReadonlyMap<number, Loaded>, { ranges, covers }: Loaded): Set<string> {
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
function checkAnnouncements(
  loaded: ReadonlyMap<number, Loaded>,
  tenants: ReadonlyMap<number, ReadonlySet<string>>,
  { announced, only, from }: ArchiveScope,
  report: (tenant: string, place: string, problem: string) => void,
): void {
  const said = new Set<string>();
  for (const { tenant, index, entry } of announced) {
    const place = `archive timestamp ${entry.archiveTimestamp}`;
    const each = loaded.get(entry.archiveTimestamp);
    if (each === undefined) {
      report(tenant, place, `missing; entry ${index} names it`);
      continue;
    }
    said.add(`${entry.archiveTimestamp} ${tenant}`);
    for (const difference of differences(tenant, entry, each))
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

function differences(tenant: string, entry: SealedEntry | RenewedEntry, each: Loaded): string[] {
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
    compare('what it covers', ids(covers.map(({ id }) => id)), ids(entry.covers));
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

interface Groups {
  /** Digests of an entry's files; null where they are not to be looked at, or cannot be: that is reported elsewhere. */
  entry(tenant: string, index: number, digest: ArchiveDigest): Promise<Buffer[] | null>;
  done(): void;
}

function createGroups(source: AuditSource, { only, from, deep, onGroup }: ArchiveScope): Groups {
  const { archive } = source;
  const inScope = (tenant: string, index: number) =>
    (only === undefined || only === tenant) && index >= (from.get(tenant) ?? 0);

  async function objectDigest(tenant: string, object: string, digest: ArchiveDigest): Promise<Buffer | null> {
    const found = source.object(tenant, object);
    if (found === null || (found.isFile && !deep)) return null;
    const computed = createHash(digest);
    for await (const chunk of found.read()) computed.update(chunk);
    return computed.digest();
  }

  return {
    done: () => onGroup?.(),
    async entry(tenant, index, digest) {
      if (!inScope(tenant, index)) return null;
      try {
        const files = await archive.entryFiles(tenant, index);
        if (files === null) return null;
        const digests: Buffer[] = [hash(digest, files.bytes, 'buffer'), hash(digest, files.salt, 'buffer')];
        const sizes = new Map(objectsOf(files.entry).map(({ fact }) => [fact.object, fact]));
        for (const { object, sha256 } of sizes.values()) {
          const own =
            digest === 'sha256' ? Buffer.from(sha256, 'hex') : await objectDigest(tenant, object, digest);
          if (own === null) return null;
          digests.push(own);
        }
        return digests;
      } catch {
        return null; // what does not decrypt is named where entries and objects are read
      }
    },
  };
}

async function addSeal(
  tree: TreeCheck,
  { one, ranges, excluded }: Loaded,
  groups: Groups,
  report: Report,
): Promise<void> {
  const left = new Set(excluded.map(({ tenant, index }) => `${tenant}/${index}`));
  for (const { tenant, from, to, checkpoint } of ranges) {
    for (let index = from; index < to; index++) {
      const name = `${tenant}/${index}`;
      await tree.add(left.has(name) ? null : await groups.entry(tenant, index, one.digest), `entry ${name}`);
      groups.done();
    }
    await tree.add(
      checkpointGroup(checkpoint, one.digest).map((document) => document.digest),
      `the checkpoint of ${tenant}`,
    );
  }
  checkPositions(
    one,
    ranges.map(({ position, from, to }) => ({ position, leaves: to - from + 1 })),
    report,
  );
}

async function addTokens(
  tree: TreeCheck,
  { one, covers }: Loaded,
  loaded: ReadonlyMap<number, Loaded>,
  report: Report,
): Promise<void> {
  for (const { id } of covers) {
    const covered = loaded.get(id);
    if (covered !== undefined && covered.one.digest !== one.digest)
      report(
        `archive timestamp ${one.id}`,
        `it has ${one.digest}, archive timestamp ${id} ${covered.one.digest}`,
      );
    if (covered !== undefined && !covered.one.final)
      report(`archive timestamp ${id}`, `archive timestamp ${one.id} covers it, but column final says no`);
    const token = covered?.token?.token;
    await tree.add(
      token === undefined ? null : [hash(one.digest, token, 'buffer')],
      `the token of archive timestamp ${id}`,
    );
  }
  checkPositions(
    one,
    covers.map(({ position }) => ({ position, leaves: 1 })),
    report,
  );
}

async function addRenewedTree(
  tree: TreeCheck,
  { one, covers, leafLists, excluded }: Loaded,
  loaded: ReadonlyMap<number, Loaded>,
  groups: Groups,
  { archive }: AuditSource,
  report: Report,
): Promise<void> {
  const index = new Map([...loaded].map(([id, each]) => [id, each.one]));
  const left = new Set(excluded.map((each) => `${each.tenant}/${each.index}`));
  const bound = async (
    own: readonly Buffer[],
    id: number,
    position: number,
    name: string,
    sealed: Sealed,
  ) => {
    try {
      const record = await recordAt(archive, index, { id, position }, sealed, new Set(), one.id);
      return hashTreeRenewalDigests(record, one.digest, own);
    } catch (error) {
      report(
        `archive timestamp ${one.id}`,
        `what ${name} was renewed from is broken: ${(error as Error).message}`,
      );
      return null;
    }
  };
  const place = (name: string) => (problem: string) =>
    report(`archive timestamp ${one.id}`, `${name} cannot be computed: ${problem}`);
  const blocks: { position: number; leaves: number }[] = [];
  for (const { id, position } of covers) {
    const seal = loaded.get(id);
    if (seal === undefined) continue; // reported as a stray row
    blocks.push({ position, leaves: seal.one.leaves });
    for (const range of seal.ranges) {
      for (let at = range.from; at < range.to; at++) {
        const name = `${range.tenant}/${at}`;
        const documents = (digest: ArchiveDigest) => groups.entry(range.tenant, at, digest);
        const own = left.has(name) ? null : await documents(one.digest);
        await tree.add(
          own && (await bound(own, id, range.position + at - range.from, `entry ${name}`, documents)),
          `entry ${name}`,
        );
        groups.done();
      }
      const name = `the checkpoint of ${range.tenant} under archive timestamp ${id}`;
      const documents = async (digest: ArchiveDigest) =>
        checkpointGroup(range.checkpoint, digest).map((document) => document.digest);
      const own = await documents(one.digest);
      await tree.add(await bound(own, id, range.position + range.to - range.from, name, documents), name);
    }
  }
  for (const { tenant, size, position } of leafLists) {
    blocks.push({ position, leaves: 1 });
    const name = `the leaf list of ${tenant}`;
    await tree.add(await leafList(archive, tenant, size, one.digest, place(name)), name);
  }
  checkPositions(one, blocks, report);
}

type Sealed = (digest: ArchiveDigest) => Promise<Buffer[] | null>;

async function leafList(
  archive: ArchiveSource,
  tenant: string,
  size: number,
  digest: ArchiveDigest,
  failed: (problem: string) => void,
): Promise<Buffer[] | null> {
  const list = createHash(digest);
  try {
    for await (const hashes of archive.leafHashes(tenant, size)) list.update(hashes);
  } catch (error) {
    failed((error as Error).message);
    return null;
  }
  return [list.digest()];
}

/** The parts of a tree follow one another. */
function checkPositions(
  { id }: ArchiveTimestamp,
  blocks: readonly { readonly position: number; readonly leaves: number }[],
  report: Report,
): void {
  let expected = 0;
  for (const { position, leaves } of blocks) {
    if (position !== expected)
      report(`archive timestamp ${id}`, `column position says ${position} where ${expected} belongs`);
    expected = position + leaves;
  }
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
