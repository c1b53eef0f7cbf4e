/**
 * What is wrong for a tenant: recorded once when it begins and once when it ends, and told to the tenant's
 * operators once. Calls return at once; a record that fails (a full disk is an incident) is tried again.
 */
import type { Directory } from '../directory/directory.ts';
import type { Clock } from '../observe/clock.ts';
import type { Log } from '../observe/log.ts';
import type { Store } from '../store/store.ts';
import type { TellOperators } from './notices.ts';
import type { Said } from './texts.ts';

export interface Incidents {
  open(tenant: string, incident: string, text: Said): void;
  close(tenant: string, incident: string, text: Said): void;
  /** Resolves when everything said so far is recorded or waits for its next try. */
  settled(): Promise<void>;
  stop(): void;
}

export interface IncidentDeps {
  readonly store: Store;
  readonly directory: () => Directory;
  readonly tell: TellOperators;
  readonly log: Log;
  readonly clock: Clock;
}

const tryAgainAfter = 30_000;

interface Wanted {
  readonly tenant: string;
  readonly incident: string;
  readonly state: 'opened' | 'closed';
  readonly text: Said;
}

/** Incidents that the store still has open are known from the start, so that they can be closed. */
export async function createIncidents(deps: IncidentDeps): Promise<Incidents> {
  const { store, log, clock } = deps;
  /** The state recorded last; absent means never opened. */
  const recorded = new Map<string, 'opened' | 'closed'>();
  const wanted = new Map<string, Wanted>();
  /** Recorded, but the notice about it failed. */
  const untold = new Set<string>();
  for (const { id } of deps.directory().tenants) {
    for (const { incident } of await store.incidents(id)) recorded.set(key(id, incident), 'opened');
  }
  let working: Promise<void> | undefined;
  let retry: Disposable | undefined;
  let stopped = false;

  function want(next: Wanted) {
    const name = key(next.tenant, next.incident);
    const standing = wanted.get(name)?.state ?? recorded.get(name) ?? 'closed';
    if (standing === next.state || stopped) return;
    wanted.set(name, next);
    working ??= work().finally(() => {
      working = undefined;
    });
  }

  async function work() {
    // Not one pass: what is wanted of an incident may change while it is recorded.
    for (let first = wanted.entries().next(); !first.done; first = wanted.entries().next()) {
      const [name, next] = first.value;
      try {
        await record(next);
        recorded.set(name, next.state);
        if (wanted.get(name) === next) wanted.delete(name);
      } catch (error) {
        log.error(
          { tenant: next.tenant, incident: next.incident, error: String(error) },
          'incident not recorded',
        );
        retry?.[Symbol.dispose]();
        if (!stopped) retry = clock.after(tryAgainAfter, again);
        return;
      }
    }
  }

  function again() {
    working ??= work().finally(() => {
      working = undefined;
    });
  }

  async function record({ tenant, incident, state, text: said }: Wanted) {
    const name = key(tenant, incident);
    const config = deps.directory().tenant(tenant);
    const text = said[config?.language ?? 'en'];
    log.warn({ tenant, incident, state, text }, 'incident');
    const changed = await store.recordIncident(tenant, { incident, state, text });
    if (changed && state === 'opened') untold.add(name);
    if (untold.has(name) && config) await deps.tell(config, { text: said });
    untold.delete(name);
  }

  return {
    open: (tenant, incident, text) => want({ tenant, incident, state: 'opened', text }),
    close: (tenant, incident, text) => want({ tenant, incident, state: 'closed', text }),
    async settled() {
      while (working) await working;
    },
    stop() {
      stopped = true;
      retry?.[Symbol.dispose]();
    },
  };
}

function key(tenant: string, incident: string): string {
  return `${tenant}\n${incident}`;
}
