/**
 * Deleting old copies at the provider. A copy goes only if the same bytes came from this account into the store, if
 * they can be read there now, and if their entry stands in the log under a signed checkpoint: all of it looked at
 * anew before each deletion. What differs or is unknown stays.
 */
import { createHash } from 'node:crypto';
import type { ImapFlow } from 'imapflow';
import type { TenantConfig } from '../config/schema.ts';
import type { DeletableCopy, Entry } from '../evidence/entry.ts';
import type { Clock } from '../observe/clock.ts';
import type { Log } from '../observe/log.ts';
import { CorruptObject, type Store } from '../store/store.ts';
import { download } from './download.ts';
import type { FetchSettings } from './folder.ts';
import type { Incidents } from './incidents.ts';
import { incidentTexts } from './texts.ts';

export interface DeleteDeps {
  readonly store: Store;
  readonly tenant: string;
  readonly incidents: Incidents;
  readonly clock: Clock;
  readonly log: Log;
  readonly settings: FetchSettings;
  /** Copies that must stay, by `folder/uidvalidity/uid`, and until when (epoch ms) they are not looked at again. */
  readonly stay: Map<string, number>;
}

/** Why a copy must stay, and when to look at it again. */
interface Stays {
  readonly why: string;
  readonly until: number;
}

/** Copies that are looked at in one go; each is downloaded and compared. */
const batchSize = 50;
const day = 86_400_000;
/** What the store does not have is looked at again so seldom. Milliseconds. */
const strangerAgain = 30 * day;
/** A De-Mail with a dispatch or receipt confirmation, at level normal (TR-01201 FU 3.1.3.9). Milliseconds. */
const normalRetention = 90 * day;

/**
 * One batch of one folder. Resolves after its outcome is recorded, with true where there may be more.
 * @throws what connection or store throw; the outcome says then that nobody knows
 */
export async function deleteOldCopies(
  deps: DeleteDeps,
  client: ImapFlow,
  { provider }: TenantConfig,
  folder: string,
  signal: AbortSignal,
): Promise<boolean> {
  const { deleteAfter, account } = provider;
  if (deleteAfter === undefined) return false;
  const lock = await client.getMailboxLock(folder);
  try {
    if (!client.mailbox) throw new Error(`folder ${folder} cannot be opened`);
    // Plain EXPUNGE would also take what somebody else marked.
    if (!client.capabilities.has('UIDPLUS') && !client.capabilities.has('IMAP4REV2')) {
      throw new Error('the provider has no UID EXPUNGE (RFC 4315): copies cannot be deleted one by one');
    }
    const uidValidity = String(client.mailbox.uidValidity);
    const now = deps.clock.now();
    const name = (uid: number) => `${folder}/${uidValidity}/${uid}`;
    const old = (await listedBefore(client, now - deleteAfter)).filter(
      (uid) => (deps.stay.get(name(uid)) ?? 0) <= now,
    );
    const copies: DeletableCopy[] = [];
    for (const { uid, receivedAt } of await arrivals(client, old.slice(0, batchSize))) {
      signal.throwIfAborted();
      const found = await inspect(deps, client, provider, uid, receivedAt);
      if ('uid' in found) copies.push(found);
      else {
        deps.stay.set(name(uid), found.until);
        deps.log.info({ folder, uid, why: found.why }, 'copy at the provider stays');
      }
    }
    signal.throwIfAborted();
    if (copies.length > 0) {
      const reason = `older than ${Math.floor(deleteAfter / day)} days (provider.deleteAfter)`;
      await deleteAll(deps, client, { account, folder }, { uidValidity, copies, reason });
    }
    return old.length > batchSize;
  } finally {
    lock.release();
  }
}

/** UIDs of what came to the folder before the time (epoch ms), and of up to two days more. */
async function listedBefore(client: ImapFlow, time: number): Promise<number[]> {
  // SEARCH BEFORE knows whole days of an unnamed time zone.
  const found = await client.search({ before: new Date(time + 2 * day) }, { uid: true });
  if (!Array.isArray(found)) throw new Error('the provider does not list old messages');
  return found.sort((a, b) => a - b);
}

async function arrivals(client: ImapFlow, uids: number[]): Promise<{ uid: number; receivedAt: number }[]> {
  const found: { uid: number; receivedAt: number }[] = [];
  if (uids.length === 0) return found;
  for await (const { uid, internalDate } of client.fetch(uids, { internalDate: true }, { uid: true })) {
    found.push({ uid, receivedAt: new Date(internalDate ?? Number.NaN).getTime() });
  }
  return found;
}

async function inspect(
  deps: DeleteDeps,
  client: ImapFlow,
  { account, authLevel, deleteAfter }: TenantConfig['provider'],
  uid: number,
  receivedAt: number,
): Promise<DeletableCopy | Stays> {
  const { store, tenant } = deps;
  const now = deps.clock.now();
  const stranger = (why: string): Stays => ({ why, until: now + strangerAgain });
  if (Number.isNaN(receivedAt)) return stranger('the provider does not say when it came');
  if (now - receivedAt < deleteAfter!) return { why: 'too young', until: receivedAt + deleteAfter! };
  const content = await download(client, uid, deps.settings);
  if (content === null) return stranger('it is gone already');
  const { sha256, size } = await digest(content);
  const index = await store.fetchedAs(tenant, account, sha256);
  const entry = index === null ? null : await store.entry(tenant, index);
  if (entry === null || !isFetched(entry)) return stranger('the store has nothing of these bytes');
  const confirmed = entry.demail.options.some((option) => option === 'dispatch' || option === 'receipt');
  const needed = authLevel === 'normal' && confirmed ? Math.max(deleteAfter!, normalRetention) : deleteAfter!;
  const until = Math.max(receivedAt, Date.parse(entry.time)) + needed;
  if (now < until) return { why: 'too young', until };
  if ((await store.proof(tenant, entry.index)) === null) return stranger('its entry is under no checkpoint');
  if (!(await isKept(deps, entry.message.object, sha256))) {
    return stranger(`the store's object ${entry.message.object} does not hold these bytes`);
  }
  const letter = entry.kind === 'inbound' ? entry.index : entry.letter;
  return { uid, entry: entry.index, letter, sha256, size };
}

async function isKept({ store, tenant, incidents }: DeleteDeps, name: string, sha256: string) {
  try {
    const object = await store.object(tenant, name);
    return object !== null && (await digest(object.read())).sha256 === sha256;
  } catch (error) {
    if (!(error instanceof CorruptObject)) throw error;
    incidents.open(tenant, 'corrupt-object', incidentTexts.corrupt(error.message));
    return false;
  }
}

type FetchedEntry = Extract<Entry, { readonly source: unknown }>;

function isFetched(entry: Entry): entry is FetchedEntry {
  return 'source' in entry;
}

async function digest(content: AsyncIterable<Uint8Array>): Promise<{ sha256: string; size: number }> {
  const hash = createHash('sha256');
  let size = 0;
  for await (const chunk of content) {
    hash.update(chunk);
    size += chunk.length;
  }
  return { sha256: hash.digest('hex'), size };
}

async function deleteAll(
  { store, tenant, log }: DeleteDeps,
  client: ImapFlow,
  place: { readonly account: string; readonly folder: string },
  wanted: {
    readonly uidValidity: string;
    readonly copies: readonly DeletableCopy[];
    readonly reason: string;
  },
): Promise<void> {
  const { copies } = wanted;
  const { index: intent } = await store.recordDeletionIntent(tenant, { ...place, ...wanted });
  const uids = copies.map(({ uid }) => uid);
  try {
    const said = await client.messageDelete(uids, { uid: true });
    const left = await client.search({ uid: uids.join(',') }, { uid: true });
    if (!Array.isArray(left)) throw new Error('the provider does not list what is left');
    const gone = copies.filter(({ uid }) => !left.includes(uid));
    const detail = `${gone.length} of ${copies.length} are gone${said ? '' : '; the provider refused'}`;
    const result = gone.length > 0 ? 'deleted' : 'failed';
    await store.recordDeletionOutcome(tenant, { ...place, intent, result, copies: gone, detail });
    log.info(
      { folder: place.folder, gone: gone.length, of: copies.length },
      'copies at the provider deleted',
    );
    if (gone.length < copies.length) throw new Error(`copies cannot be deleted: ${detail}`);
  } catch (error) {
    const open = (await store.openIntents(tenant)).some(({ index }) => index === intent);
    if (open) {
      const detail = `broke off: ${(error as Error).message.slice(0, 500)}`;
      await store.recordDeletionOutcome(tenant, { ...place, intent, result: 'unknown', copies, detail });
    }
    throw error;
  }
}
