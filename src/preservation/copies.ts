/**
 * Backups on schedule and the second copy, as the gateway runs them: starts the thread that copies, says when a backup
 * is due, and tells operators when one stays out or the second copy falls behind.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { MessageChannel, Worker } from 'node:worker_threads';
import type { Clock } from '../observe/clock.ts';
import type { Log } from '../observe/log.ts';
import type { CommitFeed } from '../store/commit-feed.ts';
import type { StorePaths } from '../store/sqlite/paths.ts';
import type { CopierData, CopierMessage, CopierOrder, Generation, Newest } from './copier.ts';
import type { IncidentBook, Text } from './preservation.ts';
import type { SecondCopyStatus } from './second-copy.ts';

export interface CopySettings {
  readonly backup: CopierData['backup'] & {
    /** Milliseconds between two. */
    readonly every: number;
  };
  readonly secondCopy:
    | (NonNullable<CopierData['secondCopy']> & {
        /** Milliseconds of lag from which on it is an incident. */
        readonly alarmAfter: number;
        /** Milliseconds that an answer waits for it at most. */
        readonly patience: number;
      })
    | null;
  readonly recoveryCertificates: readonly string[];
}

export interface CopiesStatus {
  readonly secondCopy: SecondCopyStatus | null;
  readonly lastBackup: Newest | null;
  readonly running: boolean;
  readonly lastError: string | null;
}

export interface Copies extends AsyncDisposable {
  /** For the store, which is opened after this and closed before it. */
  readonly feed: CommitFeed;
  /** Makes a generation, or joins the one that is made. @throws Error with what went wrong */
  backUp(): Promise<Generation>;
  /** Resolves once the second copy has every commit, or there is none. @throws Error naming what it waits for, after `patienceMs` */
  inStep(patienceMs: number): Promise<void>;
  status(): Promise<CopiesStatus>;
  /** Looks after both from now on. */
  watch(deps: WatchDeps): void;
}

interface WatchDeps {
  readonly tenants: () => readonly string[];
  readonly incidents: IncidentBook;
  readonly clock: Clock;
  readonly log: Log;
}

const LOOK_EVERY = 15_000;
/** A backup that failed is tried again after so long. */
const TRY_AGAIN = 15 * 60_000;
/** A second copy that fails for so long is not waited for. */
const FAILING_MS = 3_000;

export function startCopies(paths: StorePaths, settings: CopySettings): Copies {
  const { port1, port2 } = new MessageChannel();
  const { backup, secondCopy } = settings;
  const data: CopierData = {
    copierPort: port2,
    database: paths.file,
    objects: paths.objects,
    keys: paths.keys,
    recovery: paths.recovery,
    recoveryCertificates: settings.recoveryCertificates,
    backup: { directory: backup.directory, keep: backup.keep },
    secondCopy: secondCopy === null ? null : { directory: secondCopy.directory, mode: secondCopy.mode },
  };
  const worker = new Worker(new URL('./copier.ts', import.meta.url), {
    workerData: data,
    transferList: [port2],
    // A descriptor of the database must not be closed before the store is.
    trackUnmanagedFds: false,
    resourceLimits: { maxYoungGenerationSizeMb: 8 },
  });
  let running: PromiseWithResolvers<Generation> | null = null;
  let asked: PromiseWithResolvers<Extract<CopierMessage, { type: 'status' }>> | null = null;
  const stopped = Promise.withResolvers<void>();
  let dead: Error | null = null;
  let lastError: string | null = null;
  let triedAt = Number.NEGATIVE_INFINITY;
  let watching: { deps: WatchDeps; timer?: Disposable } | null = null;
  let closed = false;
  let looking: Promise<void> | undefined;
  const order = (message: CopierOrder) => worker.postMessage(message);

  worker.on('message', (message: CopierMessage) => {
    switch (message.type) {
      case 'backedUp': {
        const { id } = message.generation;
        lastError = null;
        running?.resolve(message.generation);
        running = null;
        watching?.deps.log.info(
          { generation: id, kept: message.kept, written: message.generation.written },
          'backup made and read back',
        );
        break;
      }
      case 'backupFailed':
        lastError = message.error;
        running?.reject(new Error(message.error));
        running = null;
        watching?.deps.log.error({ error: message.error }, 'backup failed');
        break;
      case 'needBase':
        void look();
        break;
      case 'status':
        asked?.resolve(message);
        asked = null;
        break;
      case 'stopped':
        stopped.resolve();
        break;
    }
  });
  worker.on('error', (error) => {
    dead = error as Error;
    lastError = dead.message;
    running?.reject(dead);
    asked?.reject(dead);
    stopped.resolve();
  });

  function backUp(): Promise<Generation> {
    if (dead !== null) return Promise.reject(dead);
    if (running === null) {
      running = Promise.withResolvers();
      // Who asked hears of it; the schedule looks at what was said of it.
      running.promise.catch(() => undefined);
      order({ type: 'backup' });
    }
    return running.promise;
  }

  function ask() {
    if (dead !== null) return Promise.reject(dead);
    if (asked === null) {
      asked = Promise.withResolvers();
      order({ type: 'status' });
    }
    return asked.promise;
  }

  /** One at a time: each sets the timer of the next. */
  function look(): Promise<void> {
    looking ??= lookOnce().finally(() => {
      looking = undefined;
    });
    return looking;
  }

  async function lookOnce(): Promise<void> {
    if (watching === null || closed) return;
    const { deps } = watching;
    watching.timer?.[Symbol.dispose]();
    try {
      const now = deps.clock.now();
      const { newest, secondCopy: copy } = await ask();
      const led = copy === null || copy.epoch === null || newest?.epoch === copy.epoch;
      tellOfCopy(deps, copy, led);
      const due = newest === null || now - Date.parse(newest.made) >= backup.every;
      tellOfBackup(deps, newest?.made ?? null, now);
      if ((!led || due) && running === null && now - triedAt >= (led ? TRY_AGAIN : LOOK_EVERY)) {
        triedAt = now;
        await backUp().then(
          () => {
            triedAt = Number.NEGATIVE_INFINITY;
          },
          () => undefined,
        );
      }
    } catch (error) {
      deps.log.error({ error: String(error) }, 'state of the copies is not known');
      for (const tenant of deps.tenants()) {
        deps.incidents.open(tenant, 'second-copy', texts.behind((error as Error).message));
      }
    }
    if (watching !== null && !closed) watching.timer = deps.clock.after(LOOK_EVERY, look);
  }

  /** @param led is there a backup that it can be applied over? */
  function tellOfCopy({ tenants, incidents }: WatchDeps, copy: SecondCopyStatus | null, led: boolean): void {
    if (copy === null || secondCopy === null) return;
    for (const tenant of tenants()) {
      if (copy.lagMs > secondCopy.alarmAfter)
        incidents.open(tenant, 'second-copy', texts.behind(copy.lastError ?? ''));
      else if (!led && copy.begunAnew !== null)
        incidents.open(tenant, 'second-copy', texts.anew(copy.begunAnew));
      else if (copy.lagMs === 0 && led) incidents.close(tenant, 'second-copy', texts.copied);
    }
  }

  function tellOfBackup({ tenants, incidents }: WatchDeps, newest: string | null, now: number): void {
    const late = lastError !== null && (newest === null || now - Date.parse(newest) > backup.every * 1.5);
    for (const tenant of tenants()) {
      if (late) incidents.open(tenant, 'backup', texts.noBackup(newest, lastError ?? ''));
      else if (newest !== null && lastError === null) incidents.close(tenant, 'backup', texts.backedUp);
    }
  }

  return {
    feed: {
      port: port1,
      always: secondCopy !== null,
      wait: secondCopy?.mode === 'before-250',
      patienceMs: secondCopy?.patience ?? 0,
    },
    backUp,
    async inStep(patienceMs) {
      if (secondCopy === null) return;
      const began = Date.now();
      for (let failing = began; ; await sleep(20)) {
        const { secondCopy: copy } = await ask();
        if (copy === null || (copy.epoch !== null && copy.copied >= copy.committed)) return;
        const now = Date.now();
        if (copy.lastError === null) failing = now;
        if (now - failing >= FAILING_MS || now - began >= patienceMs)
          throw new Error(
            `the second copy in ${secondCopy.directory} cannot be written: ${copy.lastError ?? 'it is too slow'}`,
          );
      }
    },
    async status() {
      const { secondCopy: copy, newest } = await ask();
      return {
        secondCopy: copy,
        lastBackup: newest,
        running: running !== null,
        lastError,
      };
    },
    watch(deps) {
      watching = { deps };
      void look();
    },
    async [Symbol.asyncDispose]() {
      closed = true;
      watching?.timer?.[Symbol.dispose]();
      order({ type: 'stop' });
      await stopped.promise;
      await worker.terminate();
    },
  };
}

const texts = {
  copied: {
    de: 'Die Zweitkopie der neuesten Einträge ist vollständig',
    en: 'The second copy of the newest commits is complete',
  },
  anew: (why: string): Text => ({
    de: `Die Zweitkopie beginnt neu: ${why}. Bis zur nächsten Sicherung, die jetzt beginnt, ist sie allein nicht brauchbar; ging der Datenträger vorher verloren, fehlen diese Einträge.`,
    en: `The second copy begins anew: ${why}. Until the next backup, which begins now, it is of no use by itself; were the disk lost before, these commits would be missing.`,
  }),
  behind: (error: string): Text => ({
    de: `Die Zweitkopie kommt nicht nach${error === '' ? '' : `: ${error}`}. Prüfen Sie preservation.secondCopy.directory; bis dahin liegt Neues auf einem Datenträger allein, oder wird nicht angenommen.`,
    en: `The second copy falls behind${error === '' ? '' : `: ${error}`}. Check preservation.secondCopy.directory; until then what is new lies on one disk alone, or is not accepted.`,
  }),
  backedUp: { de: 'Die Sicherung gelingt wieder', en: 'Backups are made again' },
  noBackup: (newest: string | null, error: string): Text => ({
    de: `Es gibt seit ${newest ?? 'Beginn'} keine Sicherung: ${error}. Prüfen Sie preservation.backup.directory.`,
    en: `There has been no backup since ${newest ?? 'the beginning'}: ${error}. Check preservation.backup.directory.`,
  }),
};
