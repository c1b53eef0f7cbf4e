/**
 * Keeps the proof (ETSI TS 119 511): seals on schedule and on demand, puts revocation lists into tokens once they are
 * there, renews ahead of time, and says early when one of these does not happen.
 */
import type { ArchiveDigest } from '../evidence/entry.ts';
import type { AlgorithmPolicy } from '../evidence/ers/algorithm-policy.ts';
import type { Clock } from '../observe/clock.ts';
import type { Log } from '../observe/log.ts';
import type { Store } from '../store/store.ts';
import type { Authorities } from './authorities.ts';
import { type Renewal, type RenewDeps, renewDue, runsOutSoon } from './renew.ts';
import type { RenewalWorkshop } from './renewal-work.ts';
import { type Excluded, type Sealing, seal } from './seal.ts';

/** Where operators are told: once when it begins, once when it ends. */
export interface IncidentBook {
  open(tenant: string, incident: string, text: Text): void;
  close(tenant: string, incident: string, text: Text): void;
}
export type Text = Readonly<Record<'de' | 'en', string>>;

export interface PreservationSettings {
  /** Milliseconds between seals. */
  readonly every: number;
  /** Milliseconds for which an entry may stay unsealed before that is an incident. */
  readonly alarmAfter: number;
  readonly digest: ArchiveDigest;
  /** Milliseconds before certificates or algorithms run out at which they are renewed. */
  readonly renewAhead: number;
  readonly policy: AlgorithmPolicy;
}

export interface PreservationDeps {
  readonly store: Store;
  readonly authorities: Authorities;
  readonly workshop: RenewalWorkshop;
  readonly settings: PreservationSettings;
  readonly incidents: IncidentBook;
  readonly clock: Clock;
  readonly log: Log;
}

export interface PreservationStatus {
  readonly lastSeal: { readonly id: number; readonly genTime: string; readonly authority: string } | null;
  /** Entries under no seal, and the time of the oldest. */
  readonly unsealed: number;
  readonly oldestUnsealed: string | null;
  /** Tokens that wait for a revocation list of after their time. */
  readonly incomplete: number;
  /** What a running hash-tree renewal has read. */
  readonly renewing: { readonly done: number; readonly all: number } | null;
  readonly lastError: string | null;
}

export interface Preservation {
  /** Seals now. Null where there is nothing to seal. @throws Error where no authority gives a time-stamp */
  sealNow(): Promise<Sealing | null>;
  /** Looks at everything that is due, or joins the look that runs. */
  look(): Promise<void>;
  status(): Promise<PreservationStatus>;
  close(): Promise<void>;
}

const LOOK_EVERY = 60_000;
/** An authority publishes its list a few times a day; a certificate does not run out by the minute. */
const SELDOM = 3_600_000;

export function startPreservation(deps: PreservationDeps): Preservation {
  const { store, authorities, settings, incidents, clock, log } = deps;
  const aborted = new AbortController();
  let looking: Promise<void> | undefined;
  let sealing: Promise<Sealing | null> | undefined;
  let timer: Disposable | undefined;
  let lookedSeldomAt = Number.NEGATIVE_INFINITY;
  let renewing: { done: number; all: number } | null = null;
  let lastError: string | null = null;
  const known: RenewDeps['known'] = new Map();

  function look(): Promise<void> {
    looking ??= lookOnce()
      .catch((error) => fail('preservation', error))
      .finally(() => {
        looking = undefined;
        timer?.[Symbol.dispose]();
        if (!aborted.signal.aborted) timer = clock.after(LOOK_EVERY, look);
      });
    return looking;
  }

  async function lookOnce(): Promise<void> {
    if (await isSealDue()) await sealNow().catch((error) => fail('seal', error));
    await alarm();
    if (clock.now() - lookedSeldomAt < SELDOM) return;
    lookedSeldomAt = clock.now();
    await completeTokens();
    await renew();
  }

  async function isSealDue(): Promise<boolean> {
    const last = (await store.archiveTimestamps()).findLast(({ kind }) => kind === 'seal');
    return last === undefined || clock.now() - Date.parse(last.genTime) >= settings.every;
  }

  function sealNow(): Promise<Sealing | null> {
    sealing ??= sealOnce().finally(() => {
      sealing = undefined;
    });
    return sealing;
  }

  async function sealOnce(): Promise<Sealing | null> {
    const sealed = await seal({ store, authorities, digest: settings.digest });
    if (sealed === null) return null;
    lastError = null;
    const { id, entries, authority, genTime } = sealed;
    log.info({ seal: id, entries, authority, genTime }, 'sealed');
    for (const { url, reason } of sealed.failures)
      log.warn({ url, reason }, 'time-stamping authority failed');
    tellExcluded(sealed.excluded);
    await alarm();
    return sealed;
  }

  async function alarm(): Promise<void> {
    const now = clock.now();
    const late = new Map(
      (await store.unsealed())
        .filter(({ worthSealing, oldest }) => worthSealing && now - Date.parse(oldest) > settings.alarmAfter)
        .map((range) => [range.tenant, range]),
    );
    for (const tenant of await store.tenants()) {
      const range = late.get(tenant);
      if (range === undefined) incidents.close(tenant, 'evidence-unsealed', texts.sealed);
      else incidents.open(tenant, 'evidence-unsealed', texts.unsealed(range.oldest, lastError));
    }
  }

  async function completeTokens(): Promise<void> {
    for (const { id, final } of await store.archiveTimestamps()) {
      if (final || aborted.signal.aborted) continue;
      const stored = await store.archiveToken(id);
      if (stored === null) continue;
      const completed = await authorities.complete(stored.token);
      if ('missing' in completed) {
        log.info({ archiveTimestamp: id, reason: completed.missing }, 'token waits for its revocation list');
        continue;
      }
      await store.finishArchiveToken(id, completed.token);
      log.info({ archiveTimestamp: id }, 'token has its revocation list');
    }
  }

  async function renew(): Promise<void> {
    const renewDeps: RenewDeps = {
      store,
      authorities,
      policy: settings.policy,
      digest: settings.digest,
      ahead: settings.renewAhead,
      now: clock.now,
      signal: aborted.signal,
      workshop: deps.workshop,
      known,
      onProgress: (done, all) => {
        renewing = { done, all };
      },
    };
    try {
      for (const renewal of await renewDue(renewDeps)) tellRenewed(renewal);
      const end = await runsOutSoon(renewDeps);
      for (const tenant of await store.tenants()) {
        incidents.close(tenant, 'evidence-renewal', texts.renewalWorks);
        if (end === null) incidents.close(tenant, 'evidence-authority', texts.authorityLasts);
        else
          incidents.open(tenant, 'evidence-authority', texts.authorityEnds(end.toISOString().slice(0, 10)));
      }
    } catch (error) {
      if (aborted.signal.aborted) return;
      fail('renewal', error);
      for (const tenant of await store.tenants())
        incidents.open(tenant, 'evidence-renewal', texts.renewalFails((error as Error).message));
    } finally {
      renewing = null;
    }
  }

  function tellRenewed({ id, kind, covers, authority, excluded }: Renewal): void {
    log.info({ archiveTimestamp: id, kind, covers, authority }, 'renewed');
    tellExcluded(excluded);
  }

  function tellExcluded(excluded: readonly Excluded[]): void {
    for (const [tenant, list] of Map.groupBy(excluded, (one) => one.tenant)) {
      const named = list.slice(0, 10).map(({ index, reason }) => `${index} (${reason})`);
      incidents.open(tenant, 'evidence-corrupt', texts.corrupt(list.length, named.join(', ')));
    }
  }

  function fail(what: string, error: unknown): void {
    if (aborted.signal.aborted) return;
    lastError = (error as Error).message;
    log.error({ what, error: lastError }, 'preservation failed; it is tried again');
  }

  timer = clock.after(LOOK_EVERY, look);
  return {
    sealNow,
    look,
    async status() {
      const all = await store.archiveTimestamps();
      const last = all.findLast(({ kind }) => kind === 'seal');
      const unsealed = (await store.unsealed()).filter(({ worthSealing }) => worthSealing);
      return {
        lastSeal:
          last === undefined ? null : { id: last.id, genTime: last.genTime, authority: last.authority },
        unsealed: unsealed.reduce((sum, { from, to }) => sum + to - from, 0),
        oldestUnsealed: unsealed.map(({ oldest }) => oldest).sort()[0] ?? null,
        incomplete: all.filter(({ final }) => !final).length,
        renewing,
        lastError,
      };
    },
    async close() {
      aborted.abort();
      timer?.[Symbol.dispose]();
      await looking;
      await sealing?.catch(() => undefined);
    },
  };
}

const texts = {
  sealed: {
    de: 'Alle Einträge der Beweisablage stehen unter einem Siegel',
    en: 'All evidence entries are under a seal',
  },
  unsealed: (oldest: string, error: string | null): Text => ({
    de: `Seit ${oldest} steht die Beweisablage unter keinem Siegel${error === null ? '' : `: ${error}`}. Prüfen Sie die Zeitstempeldienste in preservation.seal.authorities.`,
    en: `Evidence has been under no seal since ${oldest}${error === null ? '' : `: ${error}`}. Check the time-stamping authorities in preservation.seal.authorities.`,
  }),
  authorityLasts: {
    de: 'Die Zeitstempel halten wieder lange genug',
    en: 'Time-stamps last long enough again',
  },
  authorityEnds: (day: string): Text => ({
    de: `Was die Zeitstempeldienste jetzt ausstellen, gilt nur bis ${day}. Tragen Sie einen Dienst mit neuem Zertifikat oder stärkerem Verfahren ein (preservation.seal.authorities, digest).`,
    en: `What the time-stamping authorities issue now counts until ${day} only. Configure one with a new certificate or a stronger algorithm (preservation.seal.authorities, digest).`,
  }),
  renewalWorks: { de: 'Siegel werden wieder erneuert', en: 'Seals are renewed again' },
  renewalFails: (error: string): Text => ({
    de: `Siegel laufen bald ab und konnten nicht erneuert werden: ${error}`,
    en: `Seals run out soon and could not be renewed: ${error}`,
  }),
  corrupt: (count: number, named: string): Text => ({
    de: `${count} Einträge der Beweisablage halten nicht und sind nicht versiegelt: ${named}. Führen Sie evidence verify aus und spielen Sie eine Sicherung ein.`,
    en: `${count} evidence entries do not hold and were not sealed: ${named}. Run evidence verify and restore a backup.`,
  }),
};
