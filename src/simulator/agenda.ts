/**
 * What the provider still has to do, kept on disk: a journal of jobs, each with the time it is due. A restart,
 * or a kill, loses nothing; at worst a job that was being done is done again.
 */
import { appendFileSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';

export interface Agenda<Job, Live> {
  /** To be done after the time, counted on the provider's clock; `live` spares the job reading what is at hand. */
  add(job: Job, afterMs?: number, live?: Live): void;
  /** The clock was moved: what is due now is done now. */
  clockMoved(): void;
  /** Begins, with what was left over by the last run. */
  start(): void;
  /** Resolves when nothing is left; rejects if a job failed. */
  settled(): Promise<void>;
  /** Ends what is being done, keeps the rest for the next run. */
  close(): Promise<void>;
}

interface Item<Job, Live> {
  readonly id: number;
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly job: Job;
  readonly live: Live | undefined;
  timer?: NodeJS.Timeout;
}

/** setTimeout takes no more: 2^31 - 1 ms. */
const longestTimer = 2_147_483_647;
const compactAfter = 10_000;

/**
 * @param file the journal
 * @param perform does a job; a failure is told and remembered for `settled`, and the job is not tried again
 */
export function openAgenda<Job extends object, Live>(
  file: string,
  now: () => Date,
  perform: (job: Job, live: Live | undefined) => Promise<void>,
  failed: (error: Error) => void,
): Agenda<Job, Live> {
  const waiting = new Map<number, Item<Job, Live>>();
  const running = new Map<number, Promise<void>>();
  const failures: Error[] = [];
  /** Resolved after each job. */
  let progress = Promise.withResolvers<void>();
  let closed = false;
  let lines = 0;
  let nextId = 1;

  for (const item of read<Job>(file)) {
    waiting.set(item.id, { ...item, live: undefined });
    nextId = Math.max(nextId, item.id + 1);
  }
  compact();

  function compact(): void {
    const kept = [...waiting.values()].map(({ id, at, job }) => `${JSON.stringify({ id, at, job })}\n`);
    writeFileSync(`${file}.new`, kept.join(''), { mode: 0o600 });
    renameSync(`${file}.new`, file);
    lines = kept.length;
  }

  function note(line: object): void {
    appendFileSync(file, `${JSON.stringify(line)}\n`, { mode: 0o600 });
    lines++;
  }

  /** By the timer, or because the clock was moved past it; a clock that stands still holds nothing up. */
  function arm(item: Item<Job, Live>): void {
    clearTimeout(item.timer);
    const wait = item.at - now().getTime();
    if (wait <= 0) run(item);
    else {
      item.timer = setTimeout(
        () => (wait > longestTimer ? arm(item) : run(item)),
        Math.min(wait, longestTimer),
      );
    }
  }

  function run(item: Item<Job, Live>): void {
    waiting.delete(item.id);
    const done = perform(item.job, item.live)
      .catch((error: Error) => {
        failures.push(error);
        failed(error);
      })
      .then(() => {
        running.delete(item.id);
        note({ done: item.id });
        if (running.size === 0 && lines > compactAfter) compact();
        progress.resolve();
        progress = Promise.withResolvers();
      });
    running.set(item.id, done);
  }

  return {
    add(job, afterMs = 0, live) {
      const item: Item<Job, Live> = { id: nextId++, at: now().getTime() + afterMs, job, live };
      note({ id: item.id, at: item.at, job });
      waiting.set(item.id, item);
      if (!closed) arm(item);
    },
    clockMoved() {
      for (const item of waiting.values()) arm(item);
    },
    start() {
      for (const item of waiting.values()) arm(item);
    },
    async settled() {
      while (running.size > 0 || (waiting.size > 0 && !closed)) await progress.promise;
      if (failures.length > 0) throw new AggregateError(failures.splice(0), 'The simulator failed inside');
    },
    async close() {
      closed = true;
      for (const { timer } of waiting.values()) clearTimeout(timer);
      while (running.size > 0) await Promise.all(running.values());
      progress.resolve();
    },
  };
}

/** The jobs that are not done. The last line may be torn by a kill: it never happened. */
function read<Job>(file: string): { id: number; at: number; job: Job }[] {
  if (!existsSync(file)) return [];
  const text = readFileSync(file, 'utf8');
  const whole = text.lastIndexOf('\n') + 1;
  const open = new Map<number, { id: number; at: number; job: Job }>();
  for (const line of text.slice(0, whole).split('\n').slice(0, -1)) {
    const noted = JSON.parse(line) as { id: number; at: number; job: Job } | { done: number };
    if ('done' in noted) open.delete(noted.done);
    else open.set(noted.id, noted);
  }
  return [...open.values()];
}
