/**
 * Re-reads everything that is stored, in the background, at a set rate: a disk that forgets must be found out while a
 * backup still remembers. Where it is lies in a file, so that restarts do not begin anew.
 */
import { existsSync, readFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { type Clock, pause } from '../observe/clock.ts';
import type { Log } from '../observe/log.ts';
import type { ScrubSource } from '../store/sqlite/scrub-source.ts';
import type { IncidentBook, Text } from './preservation.ts';

export interface ScrubSettings {
  readonly bytesPerSecond: number;
  /** Milliseconds within which a round is to end. */
  readonly within: number;
}

export interface ScrubDeps {
  readonly open: () => ScrubSource;
  readonly settings: ScrubSettings;
  /** Where the position is kept. */
  readonly file: string;
  readonly incidents: IncidentBook;
  readonly clock: Clock;
  readonly log: Log;
}

const round = z.object({
  began: z.number(),
  entries: z.number(),
  objects: z.number(),
  bytes: z.number(),
  /** Places, at most so many that people read them. */
  findings: z.array(z.object({ tenant: z.string(), place: z.string(), problem: z.string() })),
});
const stateSchema = z.object({
  v: z.literal(1),
  tenant: z.string(),
  phase: z.enum(['entries', 'objects']),
  after: z.string(),
  round,
  last: round.extend({ ended: z.number() }).nullable(),
});
type State = z.output<typeof stateSchema>;

export interface ScrubStatus {
  /** RFC 3339; null where none was ever ended. */
  readonly lastFullRound: string | null;
  readonly lastFindings: number;
  readonly began: string;
  readonly entries: number;
  readonly objects: number;
  readonly bytes: number;
  readonly findings: State['round']['findings'];
}

export interface Scrub extends AsyncDisposable {
  status(): ScrubStatus;
}

const MOST_FINDINGS = 100;
const BATCH = 100;
const SAVE_EVERY = 10_000;
/** A small store is read in minutes; once a day is enough. */
const ROUND_EVERY = 86_400_000;

export function startScrub(deps: ScrubDeps): Scrub {
  const { settings, incidents, clock, log, file } = deps;
  const stop = new AbortController();
  let state = readState(file) ?? fresh(clock.now(), null);
  let savedAt = clock.now();
  /** Bytes read and not yet waited for. */
  let debt = 0;

  async function run(): Promise<void> {
    while (!stop.signal.aborted) {
      try {
        await rest();
        using source = deps.open();
        await readRound(source);
      } catch (error) {
        log.error({ error: String(error) }, 'scrubbing stopped; it goes on in a minute');
        await pause(clock, 60_000, stop.signal);
      }
    }
  }

  /** Until the next round may begin. */
  async function rest(): Promise<void> {
    const untouched = state.round.entries + state.round.objects === 0;
    if (state.last === null || !untouched) return;
    const wait = state.last.began + ROUND_EVERY - clock.now();
    if (wait > 0) await pause(clock, wait, stop.signal);
    state.round.began = clock.now();
  }

  async function readRound(source: ScrubSource): Promise<void> {
    for (;;) {
      const tenants = source.tenants().filter((tenant) => tenant >= state.tenant);
      const [tenant] = tenants;
      if (tenant === undefined) break;
      if (tenant !== state.tenant) state = { ...state, tenant, phase: 'entries', after: '' };
      await readPhase(source, 'entries');
      if (stop.signal.aborted) return;
      if (state.phase === 'entries') state = { ...state, phase: 'objects', after: '' };
      await readPhase(source, 'objects');
      if (stop.signal.aborted) return;
      // The next one by name.
      state = { ...state, tenant: `${tenant}\0`, phase: 'entries', after: '' };
    }
    if (stop.signal.aborted) return;
    await endRound(source.tenants());
  }

  async function readPhase(source: ScrubSource, phase: State['phase']): Promise<void> {
    while (state.phase === phase && !stop.signal.aborted) {
      const pieces = source[phase](state.tenant, state.after, BATCH);
      if (pieces.length === 0) return;
      for (const piece of pieces) {
        const { bytes, problem } = await piece.check();
        state.after = piece.at;
        state.round[phase]++;
        state.round.bytes += bytes;
        if (problem !== null) find(state.tenant, piece.place, problem);
        await keepRate(bytes);
        if (clock.now() - savedAt >= SAVE_EVERY) await save();
        if (stop.signal.aborted) return;
      }
    }
  }

  async function keepRate(bytes: number): Promise<void> {
    // A row costs a page at the least.
    debt += Math.max(bytes, 4096);
    if (debt < settings.bytesPerSecond / 10) return;
    const ms = (debt / settings.bytesPerSecond) * 1000;
    debt = 0;
    await pause(clock, ms, stop.signal);
  }

  function find(tenant: string, place: string, problem: string): void {
    log.error({ tenant, place, problem }, 'stored bytes are damaged');
    const { findings } = state.round;
    if (findings.length < MOST_FINDINGS) findings.push({ tenant, place, problem });
    const own = findings.filter((one) => one.tenant === tenant).map((one) => one.place);
    incidents.open(tenant, 'bit-rot', texts.rot(own.slice(0, 10)));
  }

  async function endRound(tenants: readonly string[]): Promise<void> {
    const ended = clock.now();
    const { began, entries, objects, bytes, findings } = state.round;
    const next = fresh(ended, { ...state.round, ended });
    await save(next);
    state = next;
    log.info({ entries, objects, bytes, findings: findings.length }, 'everything was read again');
    for (const tenant of tenants) {
      if (!findings.some((one) => one.tenant === tenant)) incidents.close(tenant, 'bit-rot', texts.whole);
      if (ended - began > settings.within)
        incidents.open(tenant, 'scrub-slow', texts.slow(Math.ceil(settings.within / 86_400_000)));
      else incidents.close(tenant, 'scrub-slow', texts.inTime);
    }
  }

  async function save(kept = state): Promise<void> {
    savedAt = clock.now();
    await writeFile(`${file}.new`, JSON.stringify(kept), { mode: 0o600 });
    await rename(`${file}.new`, file);
  }

  const running = run();
  return {
    status: () => ({
      lastFullRound: state.last === null ? null : new Date(state.last.ended).toISOString(),
      lastFindings: state.last?.findings.length ?? 0,
      began: new Date(state.round.began).toISOString(),
      entries: state.round.entries,
      objects: state.round.objects,
      bytes: state.round.bytes,
      findings: state.round.findings.length > 0 ? state.round.findings : (state.last?.findings ?? []),
    }),
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
      await save().catch((error) => log.warn({ error: String(error) }, 'position of scrubbing not kept'));
    },
  };
}

function fresh(now: number, last: State['last']): State {
  return {
    v: 1,
    tenant: '',
    phase: 'entries',
    after: '',
    round: { began: now, entries: 0, objects: 0, bytes: 0, findings: [] },
    last,
  };
}

/** A file that cannot be used only means that a round begins anew. */
function readState(file: string): State | null {
  if (!existsSync(file)) return null;
  try {
    return stateSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  } catch {
    return null;
  }
}

const texts = {
  whole: {
    de: 'Alles Gespeicherte wurde neu gelesen und ist unversehrt',
    en: 'Everything stored was read again and is whole',
  },
  rot: (places: readonly string[]): Text => ({
    de: `Gespeichertes ist beschädigt: ${places.join(', ')}. Prüfen Sie den Datenträger und holen Sie es aus der Sicherung (docs/backup.md).`,
    en: `Stored bytes are damaged: ${places.join(', ')}. Check the disk, and take them from the backup (docs/backup.md).`,
  }),
  inTime: {
    de: 'Das Gespeicherte wird wieder schnell genug neu gelesen',
    en: 'What is stored is read again fast enough',
  },
  slow: (days: number): Text => ({
    de: `Alles neu zu lesen dauert länger als ${days} Tage: erhöhen Sie preservation.scrub.bytesPerSecond.`,
    en: `Reading everything again takes longer than ${days} days: raise preservation.scrub.bytesPerSecond.`,
  }),
};
