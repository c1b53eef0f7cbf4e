/**
 * Renewal ahead of time (RFC 4998 5.2). A time-stamp renewal covers the newest tokens of all chains and reads nothing
 * else; a hash-tree renewal reads every document again under another digest, and with them each log's leaf list, so
 * that order and completeness outlive the digest of the logs.
 */
import { createHash, hash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import type { ArchiveDigest } from '../evidence/entry.ts';
import { type AlgorithmPolicy, validUntil } from '../evidence/ers/algorithm-policy.ts';
import { createHashTree, groupValue, type HashTreeBuilder } from '../evidence/ers/hash-tree.ts';
import { hashTreeRenewalDigests } from '../evidence/ers/renewal.ts';
import { checkpointGroup, entryGroups, heldGroups } from '../evidence/groups.ts';
import {
  archiveIndex,
  createRecordMaker,
  type Documents,
  exclusions,
  type RecordMaker,
} from '../evidence/record-of.ts';
import { digestLength } from '../pki/digest-algorithm.ts';
import type { ArchiveRecord, ArchiveTile, ArchiveTimestamp, Store } from '../store/store.ts';
import type { Authorities, Stamp } from './authorities.ts';
import type { RenewalWorkshop } from './renewal-work.ts';
import { blank, type Excluded } from './seal.ts';

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
  /** Where a hash-tree renewal keeps what it has read. */
  readonly workshop: RenewalWorkshop;
  /** Filled as tokens are looked at: many looks share it. */
  readonly known: Map<number, Expiry>;
}

/** A token younger than this is not renewed for its own sake. */
const SETTLED = 30 * 86_400_000;

export interface Renewal {
  readonly id: number;
  readonly kind: 'timestamp-renewal' | 'hash-tree-renewal';
  readonly covers: readonly number[];
  readonly authority: string;
  readonly genTime: string;
  readonly excluded: readonly Excluded[];
}

/**
 * The newest archive timestamp of every chain, and the seals whose documents it stands for. A hash-tree renewal begins
 * a new chain of the seals that it covers; what renewed their tokens before is history.
 */
export async function heads(
  store: Pick<Store, 'archiveTimestamps' | 'archiveCovers'>,
): Promise<{ readonly one: ArchiveTimestamp; readonly seals: readonly ArchiveTimestamp[] }[]> {
  const all = await store.archiveTimestamps();
  const newestOf = new Map<number, number>();
  const under = new Map<number, number[]>();
  for (const { id, kind } of all) {
    if (kind !== 'seal') continue;
    newestOf.set(id, id);
    under.set(id, [id]);
  }
  const move = (seal: number, from: number, to: number) => {
    newestOf.set(seal, to);
    under.set(
      from,
      (under.get(from) ?? []).filter((other) => other !== seal),
    );
    under.set(to, [...(under.get(to) ?? []), seal]);
  };
  for (const { id, kind, covers } of await store.archiveCovers()) {
    const seals = kind === 'hash-tree-renewal' ? [covers] : [...(under.get(covers) ?? [])];
    for (const seal of seals) move(seal, newestOf.get(seal)!, id);
  }
  const byId = new Map(all.map((one) => [one.id, one]));
  return all.flatMap((one) => {
    const seals = under.get(one.id) ?? [];
    return seals.length === 0 ? [] : [{ one, seals: seals.map((id) => byId.get(id)!) }];
  });
}

/** When the proof of an archive timestamp stops to count. */
export interface Expiry {
  /** By certificates and signature of its token: a time-stamp renewal helps. Null: not known. */
  readonly token: number | null;
  /** By the digest of its tree: only a hash-tree renewal helps. */
  readonly tree: number;
}

type ExpiryDeps = Pick<RenewDeps, 'policy' | 'known'> & {
  readonly authorities: Pick<Authorities, 'verify'>;
  readonly store: Pick<Store, 'archiveTimestamps' | 'archiveCovers' | 'archiveToken'>;
};

/** When the first proof stops to count if nothing is renewed; null where nothing is sealed, or it is not known. */
export async function firstExpiry(deps: ExpiryDeps): Promise<Date | null> {
  const ends: number[] = [];
  for (const { one } of await heads(deps.store)) {
    const { token, tree } = await expiryOf(deps, one);
    ends.push(tree, ...(token === null ? [] : [token]));
  }
  return ends.length === 0 ? null : new Date(Math.min(...ends));
}

async function expiryOf(deps: ExpiryDeps, one: ArchiveTimestamp): Promise<Expiry> {
  // A token changes by its revocation lists alone, and the list of algorithms with a restart.
  const known = deps.known.get(one.id);
  if (known !== undefined) return known;
  const stored = await deps.store.archiveToken(one.id);
  const tree = validUntil(deps.policy, { name: one.digest, purpose: 'digest', bits: null })?.getTime() ?? 0;
  const report =
    stored === null ? null : await deps.authorities.verify(stored.token, new Date(Date.parse(one.genTime)));
  const ends = [
    report?.validUntil ?? null,
    ...(report?.algorithms ?? []).map((use) => validUntil(deps.policy, use)),
  ].filter((end) => end !== null);
  const expiry = { token: ends.length === 0 ? null : Math.min(...ends.map(Number)), tree };
  deps.known.set(one.id, expiry);
  return expiry;
}

/**
 * Renews what runs out within `ahead`: first trees whose digest does, then tokens.
 * @throws Error where no authority gives a time-stamp
 */
export async function renewDue(deps: RenewDeps): Promise<Renewal[]> {
  const limit = deps.now() + deps.ahead;
  const done: Renewal[] = [];
  const final = async () => (await heads(deps.store)).filter(({ one }) => one.final);
  const oldSeals: ArchiveTimestamp[] = [];
  for (const { one, seals } of await final()) {
    if (one.digest !== deps.digest && (await expiryOf(deps, one)).tree <= limit) oldSeals.push(...seals);
  }
  if (oldSeals.length > 0) done.push(await renewHashTrees(deps, oldSeals));
  for (const [digest, same] of Map.groupBy(await final(), ({ one }) => one.digest)) {
    let isDue = false;
    for (const { one } of same) {
      const { token } = await expiryOf(deps, one);
      // Where even new tokens run out soon, every look would buy another one that does.
      isDue ||= token !== null && token <= limit && !isNew(deps, one);
    }
    // One token costs the same for one as for all.
    if (isDue)
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

interface CollectedTree extends HashTreeBuilder {
  readonly tiles: readonly ArchiveTile[];
}

function collectTree(digest: ArchiveDigest): CollectedTree {
  const tiles: ArchiveTile[] = [];
  return { ...createHashTree(digest, (tile) => tiles.push(tile)), tiles };
}

/**
 * The token as it is to be covered: what is under a renewal can never be mended, so the revocation list in it must be
 * the newest there is. Where none can be had any more, the one that is in it stays.
 */
async function refreshedToken(
  store: Pick<Store, 'archiveToken' | 'finishArchiveToken'>,
  authorities: Authorities,
  id: number,
): Promise<Buffer> {
  const stored = await store.archiveToken(id);
  if (stored === null) throw new Error(`archive timestamp ${id} is missing`);
  const completed = await authorities.complete(stored.token);
  if ('missing' in completed || completed.token.equals(stored.token)) return stored.token;
  await store.finishArchiveToken(id, completed.token);
  return completed.token;
}

/**
 * When the tokens that the authorities give now run out, if that is within `ahead`: renewing by them does not help, and
 * others must be configured. Null: they last.
 */
export async function runsOutSoon(deps: RenewDeps): Promise<Date | null> {
  for (const { one } of await heads(deps.store)) {
    if (!one.final || !isNew(deps, one)) continue;
    const { token, tree } = await expiryOf(deps, one);
    const end = Math.min(
      token ?? Number.POSITIVE_INFINITY,
      one.digest === deps.digest ? tree : Number.POSITIVE_INFINITY,
    );
    if (end <= deps.now() + deps.ahead) return new Date(end);
  }
  return null;
}

function isNew({ now, ahead }: RenewDeps, one: ArchiveTimestamp): boolean {
  return now() - Date.parse(one.genTime) < Math.min(ahead / 3, SETTLED);
}

/** One new token over the newest ones of these chains. */
export async function renewTokens(
  { store, authorities }: Pick<RenewDeps, 'store' | 'authorities'>,
  digest: ArchiveDigest,
  covered: readonly ArchiveTimestamp[],
): Promise<Renewal> {
  const tree = collectTree(digest);
  const covers: { id: number; position: number }[] = [];
  for (const { id } of covered) {
    const token = await refreshedToken(store, authorities, id);
    covers.push({ id, position: tree.add([hash(digest, token, 'buffer')]) });
  }
  return await record(store, authorities, 'timestamp-renewal', digest, tree, { covers });
}

/** Everything under these seals, read again under `deps.digest`; takes up what an earlier run had read. */
export async function renewHashTrees(deps: RenewDeps, seals: readonly ArchiveTimestamp[]): Promise<Renewal> {
  const { store, digest } = deps;
  // Other tokens would give other values: they are made new once, when the work begins.
  if (deps.workshop.unfinished() !== (await headerOf(deps, seals))) await refreshTokensOf(deps, seals);
  const work = deps.workshop.open(await headerOf(deps, seals), digestLength[digest]);
  const index = await archiveIndex(store);
  const maker = createRecordMaker(store, index);
  const digests = [...new Set([digest, ...[...index.values()].map((one) => one.digest)])];
  const leftOut = await exclusions(store, index.values());
  const tree = collectTree(digest);
  for (const value of work.values) tree.add([value]);
  const excluded = [...work.excluded];
  const covers: { id: number; position: number }[] = [];
  const all = seals.reduce((sum, { leaves }) => sum + leaves, 0);
  let next = 0;
  let position = 0;
  const take = async (place: { id: number; position: number }, own: Documents, named: Named | null) => {
    const at = position + place.position;
    if (at < work.values.length) return;
    if (deps.signal?.aborted === true) {
      work.keep();
      deps.signal.throwIfAborted();
    }
    // What an earlier renewal left out, and verifies now, goes on from the chain that it has.
    const before = named === null ? undefined : leftOut.get(`${named.tenant}/${named.index}`);
    const { value, reason } = await boundValue(maker, digest, place, own, before);
    const left = reason === null || named === null ? null : { ...named, reason };
    const isNamed =
      left !== null && excluded.some((one) => one.tenant === left.tenant && one.index === left.index);
    if (left !== null && !isNamed) excluded.push(left);
    work.append(value, isNamed ? null : left);
    tree.add([value]);
    deps.onProgress?.(at + 1, all);
    await setImmediate();
  };
  for (const one of seals) {
    const { id } = one;
    const ranges = await store.archiveRanges(id);
    const held = heldGroups(one, ranges);
    // Added to a group's position in its seal, this is where it stands here.
    position = next - held.first;
    covers.push({ id, position });
    for (const { tenant, from, to, position: first, checkpoint } of ranges) {
      for (let i = from; i < to; i++) {
        const own = documents(store, tenant, i, digests);
        await take({ id, position: first + i - from }, own, { tenant, index: i });
      }
      const own: Documents = async (d) => checkpointGroup(checkpoint, d).map((document) => document.digest);
      await take({ id, position: first + to - from }, own, null);
    }
    next += held.count;
  }
  work.keep();
  const leafLists: { tenant: string; size: number; position: number }[] = [];
  for (const tenant of await store.tenants()) {
    const size = await store.entryCount(tenant);
    leafLists.push({ tenant, size, position: tree.add([await leafListDigest(store, tenant, digest, size)]) });
  }
  const parts = { covers, leafLists, excluded };
  const renewal = await record(store, deps.authorities, 'hash-tree-renewal', digest, tree, parts);
  work.remove();
  return renewal;
}

interface Named {
  readonly tenant: string;
  readonly index: number;
}

/** What the values of a renewal depend on besides the documents: seals, digest, and every token before. */
async function headerOf({ store, digest }: RenewDeps, seals: readonly ArchiveTimestamp[]): Promise<string> {
  const tokens = createHash('sha256');
  for (const { id } of await store.archiveTimestamps()) {
    const token = await store.archiveToken(id);
    if (token !== null && (await store.renewalsOf(id)).length === 0)
      tokens.update(`${id} `).update(token.token);
  }
  return JSON.stringify({ digest, seals: seals.map(({ id }) => id), tokens: tokens.digest('hex') });
}

async function refreshTokensOf(deps: RenewDeps, seals: readonly ArchiveTimestamp[]): Promise<void> {
  for (const { one, seals: under } of await heads(deps.store)) {
    if (under.some(({ id }) => seals.some((seal) => seal.id === id)))
      await refreshedToken(deps.store, deps.authorities, one.id);
  }
}

/** Digest over the leaf hashes of a tenant's first `size` entries, one after the other. */
export async function leafListDigest(
  store: Pick<Store, 'leafHashes'>,
  tenant: string,
  digest: ArchiveDigest,
  size: number,
): Promise<Buffer> {
  const list = createHash(digest);
  for await (const hashes of store.leafHashes(tenant, size)) list.update(hashes);
  return list.digest();
}

/** An entry's documents as they are now, read once for all digests that its chains have. */
function documents(
  store: Store,
  tenant: string,
  index: number,
  digests: readonly ArchiveDigest[],
): Documents {
  let read: ReturnType<typeof entryGroups> | null = null;
  return async (digest) => {
    read ??= entryGroups(store, tenant, index, digests, true);
    return (await read)?.get(digest)?.map((document) => document.digest) ?? null;
  };
}

/** Value of a group bound to its whole record so far; a blank with the reason where it does not verify. */
async function boundValue(
  maker: RecordMaker,
  digest: ArchiveDigest,
  place: { id: number; position: number },
  own: Documents,
  leftOutBy: ReadonlySet<number> | undefined,
): Promise<{ readonly value: Buffer; readonly reason: string | null }> {
  try {
    const digests = await own(digest);
    if (digests === null) return { value: blank(digest), reason: null };
    // Puts the old trees together with the documents as they are now: what was changed does not fit.
    const record = await maker.recordAt(place, own, leftOutBy);
    return { value: groupValue(digest, hashTreeRenewalDigests(record, digest, digests)), reason: null };
  } catch (error) {
    return { value: blank(digest), reason: (error as Error).message };
  }
}

async function record(
  store: Store,
  authorities: Authorities,
  kind: Renewal['kind'],
  digest: ArchiveDigest,
  builder: CollectedTree,
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
    leaves: tree.leaves,
    final: false,
    token: stamp.token,
    response: stamp.response,
    tiles: builder.tiles,
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
