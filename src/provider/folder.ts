/** One folder at the provider: which messages are new, and taking them in one by one. */
import type { ImapFlow } from 'imapflow';
import type { TenantConfig } from '../config/schema.ts';
import { GatewayError } from '../errors.ts';
import type { Clock } from '../observe/clock.ts';
import type { Log } from '../observe/log.ts';
import type { Store } from '../store/store.ts';
import { download } from './download.ts';
import type { Incidents } from './incidents.ts';
import type { Ingest } from './ingest.ts';
import { incidentTexts } from './texts.ts';

export interface FetchSettings {
  /** Bytes asked for in one FETCH. */
  readonly chunkSize: number;
  /** Milliseconds without a byte from the server before the connection counts as dead. */
  readonly silence: number;
  /** Longest message that is fetched, bytes. */
  readonly longestMessage: number;
}

export const standardFetch: FetchSettings = {
  chunkSize: 512 * 1024,
  silence: 120_000,
  longestMessage: 512 * 1024 * 1024,
};

export interface FolderDeps {
  readonly store: Store;
  readonly tenant: string;
  readonly ingest: Ingest;
  readonly incidents: Incidents;
  readonly log: Log;
  readonly clock: Clock;
  readonly settings?: FetchSettings | undefined;
}

export interface Folder {
  /** Records every message that is not recorded yet. @throws where the connection or the store fails. */
  look(config: TenantConfig, signal: AbortSignal): Promise<void>;
}

/** A message that could not be read so often in a row is an incident; it is tried again all the same. */
const unreadableAfter = 3;
/** All UIDs are compared again after so many milliseconds; in between only new ones are asked for. */
const comparedFor = 30 * 60_000;

interface Progress {
  readonly uidValidity: string;
  readonly done: Set<number>;
  readonly failures: Map<number, number>;
  readonly comparedAt: number;
  /** Every UID up to this one is done or has failed. */
  seen: number;
}

/** A store that takes nothing, or a full disk, is no fault of the message. */
export function concernsAll(error: unknown): boolean {
  const code = (error as { code?: unknown }).code;
  return error instanceof GatewayError || code === 'ENOSPC' || code === 'EDQUOT';
}

export function createFolder(deps: FolderDeps, client: ImapFlow, name: string): Folder {
  const { store, tenant, log, clock, incidents } = deps;
  const settings = deps.settings ?? standardFetch;
  let progress: Progress | undefined;

  /** After a reconnect UIDVALIDITY may be another one; then every message is looked at again. */
  async function progressOf(account: string, uidValidity: string): Promise<Progress> {
    const now = clock.now();
    if (progress?.uidValidity === uidValidity && now - progress.comparedAt < comparedFor) return progress;
    const done = await store.fetchedUids(tenant, account, name, uidValidity);
    const failures = progress?.uidValidity === uidValidity ? progress.failures : new Map<number, number>();
    progress = { uidValidity, done, failures, comparedAt: now, seen: 0 };
    return progress;
  }

  async function list({ seen, failures }: Progress): Promise<number[]> {
    // SEARCH, because it needs no extension; `n:*` always names the last message, even below n.
    const found = await client.search(seen === 0 ? { all: true } : { uid: `${seen + 1}:*` }, { uid: true });
    if (!Array.isArray(found)) throw new Error(`the provider does not list the messages of ${name}`);
    return [...new Set([...failures.keys(), ...found])].sort((a, b) => a - b);
  }

  async function take(config: TenantConfig, at: Progress, uid: number): Promise<void> {
    const source = { account: config.provider.account, folder: name, uidValidity: at.uidValidity, uid };
    const sentFolder = name === config.provider.sentFolder && name !== config.provider.inbox;
    const incident = `unreadable ${name}/${at.uidValidity}/${uid}`;
    try {
      const message = await download(client, uid, settings);
      if (message !== null) await deps.ingest.take(config, source, message, sentFolder);
    } catch (error) {
      if (!client.usable || concernsAll(error)) throw error;
      const failures = (at.failures.get(uid) ?? 0) + 1;
      at.failures.set(uid, failures);
      log.warn({ folder: name, uid, failures, error: String(error) }, 'message cannot be fetched');
      if (failures === unreadableAfter) {
        incidents.open(tenant, incident, incidentTexts.unreadable(name, uid, String(error)));
      }
      return;
    }
    if ((at.failures.get(uid) ?? 0) >= unreadableAfter) {
      incidents.close(tenant, incident, incidentTexts.fetched);
    }
    at.failures.delete(uid);
    at.done.add(uid);
  }

  async function move(uid: number, doneFolder: string): Promise<boolean> {
    return (await client.messageMove(String(uid), doneFolder, { uid: true })) !== false;
  }

  /** After the commit only. What fails here is done at the next full comparison. */
  async function markDone(config: TenantConfig, uid: number): Promise<void> {
    if (name !== config.provider.inbox) return;
    const { doneFolder } = config.provider;
    try {
      await client.messageFlagsAdd(String(uid), ['\\Seen'], { uid: true });
      if (doneFolder === undefined) return;
      if (await move(uid, doneFolder)) return;
      await client.mailboxCreate(doneFolder);
      if (!(await move(uid, doneFolder))) throw new Error(`message cannot be moved to ${doneFolder}`);
    } catch (error) {
      if (!client.usable) throw error;
      log.warn({ folder: name, uid, error: String(error) }, 'message not marked as done');
    }
  }

  return {
    async look(config, signal) {
      const lock = await client.getMailboxLock(name);
      try {
        if (!client.mailbox) throw new Error(`folder ${name} cannot be opened`);
        await client.noop();
        const at = await progressOf(config.provider.account, String(client.mailbox.uidValidity));
        const compare = at.seen === 0;
        for (const uid of await list(at)) {
          signal.throwIfAborted();
          const known = at.done.has(uid);
          if (!known) await take(config, at, uid);
          // A known message that still lies here was recorded before a crash, or is left on purpose.
          const left = known && compare && config.provider.doneFolder !== undefined;
          if (at.done.has(uid) && (!known || left)) await markDone(config, uid);
          at.seen = Math.max(at.seen, uid);
        }
      } finally {
        lock.release();
      }
    },
  };
}
