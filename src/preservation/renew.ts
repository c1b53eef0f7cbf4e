/**
 * Renewal ahead of time (RFC 4998 5.2). A time-stamp renewal covers the newest tokens of all chains and reads nothing
 * else; a hash-tree renewal reads every document again under another digest, and with them each log's leaf list, so
 * that order and completeness outlive the digest of the logs.
 */
import { createHash, hash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import type { ArchiveDigest } from '../evidence/entry.ts';
import { type AlgorithmPolicy, validUntil } from '../evidence/ers/algorithm-policy.ts';
import { createHashTree } from '../evidence/ers/hash-tree.ts';
import { hashTreeRenewalDigests } from '../evidence/ers/renewal.ts';
import { tilesOf } from '../evidence/ers/stored-tree.ts';
import { checkpointGroup, entryGroup } from '../evidence/groups.ts';
import { type ArchiveReader, archiveIndex, recordAt } from '../evidence/record-of.ts';
import type { ArchiveRecord, ArchiveTimestamp, Store } from '../store/store.ts';
import type { Authorities, Stamp } from './authorities.ts';
import { addBlank, type Excluded } from './seal.ts';

export interface RenewDeps {
  readonly store: Store;
  readonly authorities: Authorities;
  readonly policy: AlgorithmPolicy;
  /** The digest that hash-tree renewals change to. */
  readonly digest: ArchiveDigest;
  /** Milliseconds before something runs out at which it is renewed. */
  readonly ahead: number;
  readonly now: () => number;
  /** Told now and then; a hash-tree renewal of a large store takes hours. */
  readonly onProgress?: (done: number, all: number) => void;
  readonly signal?: AbortSignal;
}

export interface Renewal {
  readonly id: number;
  readonly kind: 'timestamp-renewal' | 'hash-tree-renewal';
  readonly covers: readonly number[];
  readonly authority: string;
  readonly genTime: string;
  readonly excluded: readonly Excluded[];
}

/** Seals and renewals that nothing covers yet. */
export async function heads(
  store: Pick<Store, 'archiveTimestamps' | 'renewalsOf'>,
): Promise<ArchiveTimestamp[]> {
  const found: ArchiveTimestamp[] = [];
  for (const one of await store.archiveTimestamps()) {
    if ((await store.renewalsOf(one.id)).length === 0) found.push(one);
  }
  return found;
}

/** When an archive timestamp stops to count, by its certificates, its signature and its digest. */
export interface Expiry {
  readonly one: ArchiveTimestamp;
  /** Of the token: a time-stamp renewal helps. */
  readonly token: Date | null;
  /** Of the digest of its tree: only a hash-tree renewal helps. */
  readonly tree: Date | null;
}

export async function expiryOf(deps: RenewDeps, one: ArchiveTimestamp): Promise<Expiry> {
  const stored = await deps.store.archiveToken(one.id);
  const tree = validUntil(deps.policy, { name: one.digest, purpose: 'digest', bits: null });
  if (stored === null) return { one, token: null, tree };
  const report = await deps.authorities.verify(stored.token, new Date(deps.now()));
  const ends = [report.validUntil, ...report.algorithms.map((use) => validUntil(deps.policy, use))].filter(
    (end) => end !== null,
  );
  return { one, token: ends.length === 0 ? null : new Date(Math.min(...ends.map(Number))), tree };
}

/**
 * Renews what runs out within `ahead`: first trees whose digest does, then tokens.
 * @throws Error where no authority gives a time-stamp
 */
export async function renewDue(deps: RenewDeps): Promise<Renewal[]> {
  const limit = deps.now() + deps.ahead;
  const done: Renewal[] = [];
  const expiries = await Promise.all((await heads(deps.store)).map((one) => expiryOf(deps, one)));
  const old = expiries.filter(({ one, tree }) => one.final && (tree === null || tree.getTime() <= limit));
  if (old.some(({ one }) => one.digest !== deps.digest)) {
    const renewal = await renewHashTrees(
      deps,
      old.map(({ one }) => one).filter(({ digest }) => digest !== deps.digest),
    );
    if (renewal !== null) done.push(renewal);
  }
  const due = (await Promise.all((await heads(deps.store)).map((one) => expiryOf(deps, one)))).filter(
    ({ one }) => one.final,
  );
  for (const digest of new Set(due.map(({ one }) => one.digest))) {
    const same = due.filter(({ one }) => one.digest === digest);
    // One token costs the same for one as for all.
    if (same.some(({ token }) => token !== null && token.getTime() <= limit))
      done.push(
        await renewTokens(
          deps,
          digest,
          same.map(({ one }) => one),
        ),
      );
  }
  return done;
}

/** One new token over the newest ones of these chains. */
export async function renewTokens(
  { store, authorities }: Pick<RenewDeps, 'store' | 'authorities'>,
  digest: ArchiveDigest,
  covered: readonly ArchiveTimestamp[],
): Promise<Renewal> {
  const tree = createHashTree(digest);
  const covers: { id: number; position: number }[] = [];
  for (const { id } of covered) {
    const stored = await store.archiveToken(id);
    if (stored === null) throw new Error(`archive timestamp ${id} is missing`);
    covers.push({ id, position: tree.add([hash(digest, stored.token, 'buffer')]) });
  }
  return await record(store, authorities, 'timestamp-renewal', digest, tree, { covers });
}

/**
 * Everything under the seals that these chains began with, read again under `deps.digest`.
 * @returns null where there is none
 */
export async function renewHashTrees(
  deps: RenewDeps,
  old: readonly ArchiveTimestamp[],
): Promise<Renewal | null> {
  const { store, digest } = deps;
  const index = await archiveIndex(store);
  const seals = await sealsUnder(store, old, index);
  if (seals.length === 0) return null;
  const tree = createHashTree(digest);
  const covers: { id: number; position: number }[] = [];
  const excluded: Excluded[] = [];
  const all = seals.reduce((sum, { leaves }) => sum + leaves, 0);
  let position = 0;
  for (const { id, leaves } of seals) {
    covers.push({ id, position });
    for (const range of await store.archiveRanges(id)) {
      for (let i = range.from; i < range.to; i++) {
        deps.signal?.throwIfAborted();
        const place = { id, position: range.position + i - range.from };
        const reason = await addBound(deps, tree, index, place, (d) => documents(store, range.tenant, i, d));
        if (reason !== null) excluded.push({ tenant: range.tenant, index: i, reason });
        await setImmediate();
        deps.onProgress?.(tree.size, all);
      }
      const place = { id, position: range.position + range.to - range.from };
      await addBound(deps, tree, index, place, async (d) =>
        checkpointGroup(range.checkpoint, d).map((document) => document.digest),
      );
    }
    position += leaves;
  }
  const leafLists: { tenant: string; size: number; position: number }[] = [];
  for (const tenant of await store.tenants()) {
    const { size, digest: value } = await leafListDigest(store, tenant, digest);
    leafLists.push({ tenant, size, position: tree.add([value]) });
  }
  return await record(store, deps.authorities, 'hash-tree-renewal', digest, tree, {
    covers,
    leafLists,
    excluded,
  });
}

/** Digest over a log's leaf hashes, one after the other. */
export async function leafListDigest(
  store: Pick<Store, 'head' | 'leafHashes'>,
  tenant: string,
  digest: ArchiveDigest,
  upTo?: number,
): Promise<{ size: number; digest: Buffer }> {
  const size = upTo ?? (await store.head(tenant)).size;
  const list = createHash(digest);
  for await (const hashes of store.leafHashes(tenant, size)) list.update(hashes);
  return { size, digest: list.digest() };
}

async function documents(
  store: Store,
  tenant: string,
  index: number,
  digest: ArchiveDigest,
): Promise<Buffer[] | null> {
  const group = await entryGroup(store, tenant, index, digest, true);
  return group === null ? null : group.map((document) => document.digest);
}

/** The group bound to its whole record so far. @returns why it is not covered; null where it is, or was erased */
async function addBound(
  { store, digest }: RenewDeps,
  tree: ReturnType<typeof createHashTree>,
  index: ReadonlyMap<number, ArchiveTimestamp>,
  place: { id: number; position: number },
  own: (digest: ArchiveDigest) => Promise<Buffer[] | null>,
): Promise<string | null> {
  try {
    const digests = await own(digest);
    if (digests === null) {
      addBlank(tree, digest);
      return null;
    }
    // Puts the old trees together with the documents as they are now: what was changed does not fit.
    const record = await recordAt(store satisfies ArchiveReader, index, place, own);
    tree.add(hashTreeRenewalDigests(record, digest, digests));
    return null;
  } catch (error) {
    addBlank(tree, digest);
    return (error as Error).message;
  }
}

/** The seals that chains began with: a hash-tree renewal covers those, not what renewed them since. */
async function sealsUnder(
  store: Store,
  newest: readonly ArchiveTimestamp[],
  index: ReadonlyMap<number, ArchiveTimestamp>,
): Promise<ArchiveTimestamp[]> {
  const wanted = new Set(newest.map(({ id }) => id));
  const found: ArchiveTimestamp[] = [];
  for (const one of index.values()) {
    if (one.kind === 'seal' && (await leadsTo(store, one.id, wanted))) found.push(one);
  }
  return found;
}

async function leadsTo(store: Store, id: number, wanted: ReadonlySet<number>): Promise<boolean> {
  if (wanted.has(id)) return true;
  for (const next of await store.renewalsOf(id)) {
    if (await leadsTo(store, next.id, wanted)) return true;
  }
  return false;
}

async function record(
  store: Store,
  authorities: Authorities,
  kind: Renewal['kind'],
  digest: ArchiveDigest,
  builder: ReturnType<typeof createHashTree>,
  parts: Pick<ArchiveRecord, 'covers'> & Partial<Pick<ArchiveRecord, 'leafLists' | 'excluded'>>,
): Promise<Renewal> {
  const tree = builder.finish();
  const stamp: Stamp = await authorities.stamp(digest, tree.root);
  const excluded = parts.excluded ?? [];
  const { id } = await store.recordArchiveTimestamp({
    kind,
    digest,
    genTime: stamp.genTime,
    authority: stamp.authority,
    leaves: tree.size,
    final: false,
    token: stamp.token,
    response: stamp.response,
    tiles: tilesOf(tree),
    ranges: [],
    covers: parts.covers,
    leafLists: parts.leafLists ?? [],
    excluded,
  });
  return {
    id,
    kind,
    covers: parts.covers.map((cover) => cover.id),
    authority: stamp.authority,
    genTime: stamp.genTime,
    excluded,
  };
}
