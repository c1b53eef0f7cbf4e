/** The service that makes logs followable: publishes them, has them cosigned, compares them with what was seen. */
import type { EvidenceConfig } from '../config/schema.ts';
import { type Clock, systemClock } from '../observe/clock.ts';
import type { Log } from '../observe/log.ts';
import type { Store } from '../store/store.ts';
import { compareWithWitnesses } from './head-watch.ts';
import type { RunningServer } from './http-server.ts';
import { type Publisher, startPublisher } from './publisher.ts';
import { serveTiles } from './serve-tiles.ts';
import { createWitnessClient } from './witness-client.ts';

export interface Transparency extends AsyncDisposable {
  /** Port of the tiles, as bound; null: not served. */
  readonly port: number | null;
}

export interface TransparencyDeps {
  readonly store: Store;
  readonly config: EvidenceConfig;
  /** Ids of the tenants at the start. */
  readonly tenants: readonly string[];
  /** Origin of a tenant's first log is `<originPrefix>/<tenant>`. */
  readonly originPrefix: string;
  readonly log: Log;
  readonly clock?: Clock;
}

/** Resolves when the witnesses were asked (or are out of reach): nothing should be signed before. */
export async function startTransparency(deps: TransparencyDeps): Promise<Transparency> {
  const { store, config, tenants, originPrefix } = deps;
  const log = deps.log.child({ room: 'transparency' });
  const ending = new AbortController();
  const witnesses = config.witnesses.map((witness) => createWitnessClient(witness, ending.signal));
  await Promise.all(
    tenants.map((tenant) => compareWithWitnesses({ store, log, witnesses, originPrefix }, tenant)),
  );

  const publishers = new Map<string, Publisher>();
  const directory = config.tiles?.directory ?? null;
  const clock = deps.clock ?? systemClock;
  /** Tenants may come while the gateway runs. */
  function wake(tenant: string): void {
    if (directory === null && witnesses.length === 0) return;
    const settings = { store, log, clock, directory, witnesses, originPrefix, interval: config.interval };
    const publisher = publishers.get(tenant) ?? startPublisher(settings, tenant);
    publishers.set(tenant, publisher);
    publisher.wake();
  }
  const following = store.changes.subscribe((change) => {
    if (change.topic === 'log' || change.topic === 'lock') wake(change.tenant);
  });
  for (const tenant of tenants) wake(tenant);
  let server: RunningServer | null = null;
  if (config.tiles?.listen !== undefined)
    server = await serveTiles(config.tiles.directory, config.tiles.listen, log);

  return {
    port: server?.port ?? null,
    async [Symbol.asyncDispose]() {
      following[Symbol.dispose]();
      ending.abort();
      await server?.[Symbol.asyncDispose]();
      await Promise.all([...publishers.values()].map((publisher) => publisher.close()));
    },
  };
}
