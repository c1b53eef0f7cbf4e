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
  /** Reads which incidents of a tenant are open; those of the tenants at the start are known. */
  learn(tenant: string): Promise<void>;
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
  /** Still to be recorded, in this order: an incident that ends before its beginning was recorded gets both. */
  const wanted: Wanted[] = [];
  let recording: Wanted | undefined;
  /** Recorded, but the notice about it failed. */
  const untold = new Set<string>();
  const learn = async (tenant: string) => {
    for (const { incident } of await store.incidents(tenant)) recorded.set(key(tenant, incident), 'opened');
  };
  for (const { id } of deps.directory().tenants) await learn(id);
  let working: Promise<void> | undefined;
  let retry: Disposable | undefined;
  let stopped = false;

  function want(next: Wanted) {
    const name = nameOf(next);
    const last = wanted.findLast((other) => nameOf(other) === name);
    const standing = last?.state ?? recorded.get(name) ?? 'closed';
    if (standing === next.state || stopped) return;
    // It goes on before its end was recorded: then it never ended.
    if (last?.state === 'closed' && last !== recording) wanted.splice(wanted.indexOf(last), 1);
    else wanted.push(next);
    again();
  }

  async function work() {
    // Not one pass: more may be wanted while one is recorded.
    for (let next = wanted[0]; next !== undefined; next = wanted[0]) {
      recording = next;
      try {
        await record(next);
        recorded.set(nameOf(next), next.state);
        wanted.shift();
      } catch (error) {
        log.error(
          { tenant: next.tenant, incident: next.incident, error: String(error) },
          'incident not recorded',
        );
        retry?.[Symbol.dispose]();
        if (!stopped) retry = clock.after(tryAgainAfter, again);
        return;
      } finally {
        recording = undefined;
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
    learn,
    async settled() {
      while (working) await working;
    },
    stop() {
      stopped = true;
      retry?.[Symbol.dispose]();
    },
  };
}

function nameOf({ tenant, incident }: Wanted): string {
  return key(tenant, incident);
}

function key(tenant: string, incident: string): string {
  return `${tenant}\n${incident}`;
}
