/**
 * Erases what is due, once a day: first announced to the operators, then, after the time of review, erased. What is held,
 * open or in doubt stays.
 */
import type { TenantConfig } from '../config/schema.ts';
import type { Clock } from '../observe/clock.ts';
import type { Log } from '../observe/log.ts';
import type { Store } from '../store/store.ts';
import { type DueLetter, dueLetters } from './retention-review.ts';
import { announcement, type RetentionText } from './retention-texts.ts';

export interface RetentionDeps {
  readonly store: Store;
  readonly tenants: () => readonly TenantConfig[];
  /** Tells a tenant's operators. */
  readonly tell: (
    tenant: TenantConfig,
    told: { readonly text: RetentionText; readonly about: 'retention' },
  ) => Promise<void>;
  readonly clock: Clock;
  readonly log: Log;
}

export interface RetentionRun {
  readonly tenant: string;
  readonly announced: number;
  readonly erased: number;
  /** Letters whose time is over and that stay for what stands against it. */
  readonly kept: number;
  /** Why the tenant was not looked through, or not to its end. */
  readonly problem?: string;
}

export interface RetentionSchedule {
  /** Looks now, or joins the look that runs. */
  runNow(): Promise<readonly RetentionRun[]>;
  close(): Promise<void>;
}

const DAILY = 86_400_000;
/** A start is busy enough. */
const FIRST = 600_000;
/** Letters that one commit takes. */
const BATCH = 100;

export function startRetention(deps: RetentionDeps): RetentionSchedule {
  const { store, tenants, clock, log } = deps;
  let running: Promise<readonly RetentionRun[]> | undefined;
  let closed = false;
  let timer = clock.after(FIRST, daily);

  function daily(): void {
    void runNow()
      .catch(() => undefined)
      .finally(() => {
        if (!closed) timer = clock.after(DAILY, daily);
      });
  }

  function runNow(): Promise<readonly RetentionRun[]> {
    running ??= runAll().finally(() => {
      running = undefined;
    });
    return running;
  }

  async function runAll(): Promise<readonly RetentionRun[]> {
    const runs: RetentionRun[] = [];
    for (const tenant of tenants()) {
      if (closed) continue;
      // Nothing can be said there: not even that something was erased.
      if ((await store.holds(tenant.id)).length > 0) {
        runs.push({ ...nothing(tenant.id), problem: 'its log is held: evidence log says why' });
        continue;
      }
      try {
        const run = await runTenant(deps, tenant, () => closed);
        runs.push(run);
        log.info(run, 'retention looked through');
      } catch (error) {
        const problem = (error as Error).message;
        log.error({ tenant: tenant.id, error: problem }, 'retention failed; tried again');
        runs.push({ ...nothing(tenant.id), problem });
      }
    }
    return runs;
  }

  return {
    runNow,
    async close() {
      closed = true;
      timer[Symbol.dispose]();
      await running?.catch(() => undefined);
    },
  };
}

function nothing(tenant: string): RetentionRun {
  return { tenant, announced: 0, erased: 0, kept: 0 };
}

async function runTenant(
  { store, tell, clock }: RetentionDeps,
  tenant: TenantConfig,
  isClosed: () => boolean,
): Promise<RetentionRun> {
  const now = clock.now();
  const fresh: DueLetter[] = [];
  const ripe: DueLetter[] = [];
  let kept = 0;
  for await (const due of dueLetters(store, tenant, now)) {
    if (isClosed()) break;
    if (due.obstacles.length > 0) kept += due.until <= now ? 1 : 0;
    else if (due.announcedAt === null) fresh.push(due);
    else if (due.until <= now && due.announcedAt + due.class.reviewBefore <= now) ripe.push(due);
  }
  if (fresh.length > 0) {
    await tell(tenant, { text: announcement(tenant, fresh, now), about: 'retention' });
    const named = fresh.map(({ letter, class: { name } }) => ({ letter, class: name }));
    for (let at = 0; at < named.length; at += BATCH)
      await store.recordAnnounced(tenant.id, named.slice(at, at + BATCH));
  }
  let erased = 0;
  for (const letters of Map.groupBy(ripe, (due) => due.class).values()) {
    const { name, legalBasis, copies } = letters[0]!.class;
    for (let at = 0; at < letters.length && !isClosed(); at += BATCH) {
      const result = await store.erase(tenant.id, {
        letters: letters.slice(at, at + BATCH).map(({ letter }) => letter),
        class: name,
        legalBasis,
        copies,
        actors: [{ type: 'gateway', name: 'gateway' }],
      });
      erased += result.erased.length;
      kept += result.refused.length;
    }
  }
  return { tenant: tenant.id, announced: fresh.length, erased, kept };
}
