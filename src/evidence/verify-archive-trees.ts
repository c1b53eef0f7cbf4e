/** The hash trees of seals and of renewals of both kinds, put together again from what is under them. */
import { createHash, hash } from 'node:crypto';
import type { ArchiveSource, Report } from './audit.ts';
import type { ArchiveDigest } from './entry.ts';
import { hashTreeRenewalDigests } from './ers/renewal.ts';
import { checkpointGroup, heldGroups } from './groups.ts';
import { createRecordMaker, type Documents, exclusions } from './record-of.ts';
import type { Groups } from './verify-archive-groups.ts';
import { checkPositions, type Loaded } from './verify-archive-rows.ts';
import { MOST_NAMED, type TreeCheck } from './verify-archive-tree.ts';

/** What all trees are made of. */
export interface TreeParts {
  readonly loaded: ReadonlyMap<number, Loaded>;
  readonly archive: ArchiveSource;
  readonly groups: Groups;
  readonly report: Report;
}

export async function addSeal(
  tree: TreeCheck,
  { one, ranges, excluded }: Loaded,
  { groups, report }: TreeParts,
): Promise<void> {
  const left = new Set(excluded.map(({ tenant, index }) => `${tenant}/${index}`));
  for (const { tenant, from, to, position, checkpoint } of ranges) {
    for (let index = from; index < to; index++) {
      const name = `${tenant}/${index}`;
      const own = left.has(name) ? null : await groups.entry(tenant, index, [one.digest])(one.digest);
      await tree.add(own, `entry ${name}`, position + index - from);
      groups.done();
    }
    await tree.add(
      checkpointDigests(checkpoint, one.digest),
      `the checkpoint of ${tenant}`,
      position + to - from,
    );
  }
  checkPositions(
    one,
    ranges.map(({ position, from, to }) => ({ position, leaves: to - from + 1 })),
    report,
  );
}

export async function addTokens(
  tree: TreeCheck,
  { one, covers }: Loaded,
  { loaded, report }: TreeParts,
): Promise<void> {
  for (const { id, position } of covers) {
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
      position,
    );
  }
  checkPositions(
    one,
    covers.map(({ position }) => ({ position, leaves: 1 })),
    report,
  );
}

export async function addRenewedTree(
  tree: TreeCheck,
  { one, covers, leafLists, excluded }: Loaded,
  { loaded, archive, groups, report }: TreeParts,
): Promise<void> {
  const place = `archive timestamp ${one.id}`;
  const before = new Map([...loaded].filter(([id]) => id <= one.id).map(([id, each]) => [id, each.one]));
  const digests = [...new Set([...before.values()].map(({ digest }) => digest))];
  const maker = createRecordMaker(archive, before);
  const leftOut = await exclusions(archive, before.values());
  let broken = 0;

  /** Digests bound to the record so far; null where it, or they, cannot be had. */
  async function bound(documents: Documents, seal: number, position: number, name: string, entry = '') {
    const own = await documents(one.digest);
    if (own === null) return null;
    try {
      const record = await maker.recordAt({ id: seal, position }, documents, leftOut.get(entry), one.id);
      return hashTreeRenewalDigests(record, one.digest, own);
    } catch (error) {
      if (++broken <= MOST_NAMED)
        report(place, `what ${name} was renewed from is broken: ${(error as Error).message}`);
      return null;
    }
  }

  const left = new Set(excluded.map((each) => `${each.tenant}/${each.index}`));
  const blocks: { position: number; leaves: number }[] = [];
  for (const { id, position } of covers) {
    const seal = loaded.get(id);
    if (seal === undefined) continue; // reported as a stray row
    const held = heldGroups(seal.one, seal.ranges);
    blocks.push({ position: position + held.first, leaves: held.count });
    for (const range of seal.ranges) {
      for (let at = range.from; at < range.to; at++) {
        const entry = `${range.tenant}/${at}`;
        const name = `entry ${entry}`;
        const documents = groups.entry(range.tenant, at, digests);
        const where = range.position + at - range.from;
        const own = left.has(entry) ? null : await bound(documents, id, where, name, entry);
        await tree.add(own, name, position + where);
        groups.done();
      }
      const name = `the checkpoint of ${range.tenant} under archive timestamp ${id}`;
      const documents = async (digest: ArchiveDigest) => checkpointDigests(range.checkpoint, digest);
      const where = range.position + range.to - range.from;
      await tree.add(await bound(documents, id, where, name), name, position + where);
    }
  }
  if (broken > MOST_NAMED) report(place, `so is that of ${broken - MOST_NAMED} more of its groups`);
  for (const { tenant, size, position } of leafLists) {
    blocks.push({ position, leaves: 1 });
    const name = `the leaf list of ${tenant}`;
    await tree.add(await leafList(archive, tenant, size, one.digest, place, report), name, position);
  }
  checkPositions(one, blocks, report);
}

function checkpointDigests(checkpoint: string, digest: ArchiveDigest): Buffer[] {
  return checkpointGroup(checkpoint, digest).map((document) => document.digest);
}

async function leafList(
  archive: ArchiveSource,
  tenant: string,
  size: number,
  digest: ArchiveDigest,
  place: string,
  report: Report,
): Promise<Buffer[] | null> {
  const list = createHash(digest);
  try {
    for await (const hashes of archive.leafHashes(tenant, size)) list.update(hashes);
  } catch (error) {
    report(place, `the leaf list of ${tenant} cannot be computed: ${(error as Error).message}`);
    return null;
  }
  return [list.digest()];
}
