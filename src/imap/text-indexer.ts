/**
 * Fills the tenants' search text behind everything else: after a pause, in small batches, and with rests between them,
 * so that mail goes first. What waits is a queue in the store: a restart goes on where it was. A tenant that has it
 * switched off loses it.
 */
import type { TenantConfig } from '../config/schema.ts';
import { pause, systemClock } from '../observe/clock.ts';
import type { Log } from '../observe/log.ts';
import { CorruptObject, type Store } from '../store/store.ts';
import { TEXT_EDITION, textsOf } from './message-text.ts';

export interface IndexingPace {
  /** Rest after something came, milliseconds: what comes together is indexed together. */
  readonly quietMs: number;
  /** Rest after a batch, as a multiple of the time that it took. */
  readonly rest: number;
}

export interface TextIndexer {
  /** Looks at the tenants' configuration, and at what is due. */
  look(): void;
  /** Rebuilds the tenant's search text from the messages. */
  rebuild(tenant: string): Promise<void>;
  close(): Promise<void>;
}

interface IndexerDeps {
  readonly store: Store;
  readonly tenants: () => readonly TenantConfig[];
  readonly log: Log;
  readonly pace?: Partial<IndexingPace> | undefined;
}

/** Messages indexed in one commit. */
const batch = 20;
/** Rest after an error. */
const troubleMs = 60_000;

export function startTextIndexer({ store, tenants, log, pace }: IndexerDeps): TextIndexer {
  const { quietMs, rest } = { quietMs: 1000, rest: 4, ...pace };
  const ending = new AbortController();
  const { signal } = ending;
  /** Tenants that may have something to do. */
  const open = new Set<string>();
  /** Tenants that have it off, and nothing left of it. */
  const without = new Set<string>();
  let woken = Promise.withResolvers<void>();

  function wake(ids: Iterable<string>): void {
    for (const id of ids) open.add(id);
    woken.resolve();
  }
  const look = (): void => wake(tenants().map(({ id }) => id));
  const subscription = store.changes.subscribe((change) => {
    if (change.topic === 'mailbox' && !without.has(change.tenant)) wake([change.tenant]);
  });

  async function run(): Promise<void> {
    while (!signal.aborted) {
      woken = Promise.withResolvers();
      const before = performance.now();
      for (const id of [...open]) {
        if (signal.aborted) return;
        open.delete(id);
        if (await advanceIfPossible(id)) open.add(id);
      }
      if (open.size > 0) await pause(systemClock, rest * (performance.now() - before), signal);
      else {
        await woken.promise;
        await pause(systemClock, quietMs, signal);
      }
    }
  }

  async function advanceIfPossible(id: string): Promise<boolean> {
    const tenant = tenants().find((one) => one.id === id);
    try {
      return tenant !== undefined && (await advance(tenant));
    } catch (error) {
      if (signal.aborted) return false;
      log.warn({ err: error, tenant: id }, 'search text is not filled for now');
      void pause(systemClock, troubleMs, signal).then(() => wake([id]));
      return false;
    }
  }

  /** One step for a tenant; false: nothing is left to do. */
  async function advance({ id, searchText }: TenantConfig): Promise<boolean> {
    const edition = await store.searchTextEdition(id);
    if (!searchText) {
      if (!without.has(id) && !(await store.dropSearchText(id))) return true;
      without.add(id);
      return false;
    }
    without.delete(id);
    if (edition !== TEXT_EDITION) {
      // Of another edition, or what a drop that was cut off has left.
      if (await store.dropSearchText(id)) await store.openSearchText(id, TEXT_EDITION);
      return true;
    }
    const due = await store.dueSearchTexts(id, batch);
    if (due === null) return false;
    const texts = [];
    for (const { object, index } of due.messages) {
      if (signal.aborted) return false;
      const text = index && (await textOf(id, object, index));
      if (text) texts.push({ object, ...text });
    }
    await store.recordSearchTexts(
      id,
      texts,
      due.messages.map(({ object }) => object),
      due.filled,
    );
    return true;
  }

  async function textOf(tenant: string, object: string, index: Parameters<typeof textsOf>[2]['index']) {
    try {
      return await textsOf(store, tenant, { object, index });
    } catch (error) {
      // Whoever reads it is told; here it only stays without an index.
      if (error instanceof CorruptObject) return null;
      throw error;
    }
  }

  look();
  const running = run();
  return {
    look,
    async rebuild(tenant) {
      while (!(await store.dropSearchText(tenant)));
      wake([tenant]);
    },
    async close() {
      ending.abort();
      woken.resolve();
      subscription[Symbol.dispose]();
      await running;
    },
  };
}
