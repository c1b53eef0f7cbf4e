/**
 * Does evidence cost the same at any length? A log grows; at each length entries are appended as the writer does, beside
 * raw SQLite commits of the very same statements; then the store is opened, proofs are made and letters are searched.
 *
 * `node bench/log.ts DIRECTORY ENTRIES…` measures a store that is kept there, and grows it as far as needed.
 */
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { openSqliteStore } from '../src/store/sqlite/open.ts';
import { configure, migrate } from '../src/store/sqlite/schema.ts';
import { createWriteContext } from '../src/store/sqlite/write-context.ts';
import type { SearchQuery, Store } from '../src/store/store.ts';
import {
  attachment,
  citizen,
  ENTRIES,
  exchangeOf,
  MESSAGES,
  messageId,
  reference,
  tenant,
  timeOf,
} from './correspondence.ts';
import type { Figure } from './report.ts';

/** Exchanges in one commit while measuring: 48 entries. */
const COMMIT = 8;
/** Rounds in which both sides take turns, and commits of each side in a round. */
const ROUNDS = 10;
const COMMITS = 12;
const PROOFS = 1_000;
const SEARCHES = 200;
const originPrefix = 'bench.example';

/** Lengths without any wish: what a run of all measures can wait for. */
export const usualSizes = [100_000, 1_000_000];

interface Length {
  readonly entries: number;
  readonly appended: number;
  readonly raw: number;
  /** Entries per second of a transaction that is undone, first to read the pages it needs. */
  readonly unread: number;
  readonly startMs: number;
  readonly proof: Spread;
  readonly searches: Readonly<Record<string, Spread>>;
  readonly bytesPerMessage: number;
  readonly bytesPerEntry: number;
}

interface Spread {
  readonly median: number;
  readonly p99: number;
}

/** A statement with its values, as it was run. */
type Run = readonly [statement: Database.Statement, values: readonly unknown[]];

/** @param kept folder in which a store of each length is kept, and found again; without it one grows and goes */
export async function evidence(
  sizes: readonly number[] = usualSizes,
  kept: string | null = null,
): Promise<Figure[]> {
  const directory = kept ?? (await mkdtemp(join(tmpdir(), 'bench-log-')));
  try {
    const lengths: Length[] = [];
    for (const size of sizes) {
      const place = kept === null ? directory : join(kept, String(size));
      await mkdir(place, { recursive: true });
      lengths.push(await measure(place, size));
    }
    await writeFile(join(import.meta.dirname, 'append-rate.svg'), plot(lengths));
    return figuresOf(lengths);
  } finally {
    if (kept === null) await rm(directory, { recursive: true });
  }
}

async function measure(directory: string, size: number): Promise<Length> {
  const file = join(directory, 'store.sqlite');
  const { appended, raw, unread } = append(directory, file, size);
  const { size: bytes } = await stat(file);
  const before = performance.now();
  await using store = await openSqliteStore({ directory, originPrefix });
  const startMs = performance.now() - before;
  const entries = (await store.head(tenant)).size;
  const random = generator(entries);
  const proof = await spread(PROOFS, () => store.proof(tenant, random(entries)));
  const searches: Record<string, Spread> = {};
  for (const [what, query] of Object.entries(queries))
    searches[what] = await spread(SEARCHES, () => found(store, query(random(Math.floor(entries / ENTRIES)))));
  return {
    ...{ entries, appended, raw, unread, startMs, proof, searches },
    bytesPerEntry: bytes / entries,
    bytesPerMessage: (bytes / entries) * (ENTRIES / MESSAGES),
  };
}

/** A screen of results each. */
const limit = 100;
const queries: Record<string, (exchange: number) => SearchQuery> = {
  address: (n) => ({ tenant, address: citizen(n), limit }),
  domain: (n) => ({ tenant, address: `@${citizen(n).split('@')[1]}`, limit }),
  'part of an address': (n) => ({ tenant, address: citizen(n).slice(4, 24), limit }),
  'message id': (n) => ({ tenant, messageId: messageId(n), limit }),
  'file reference': (n) => ({ tenant, fileReference: reference(n), limit }),
  'file digest': (n) => ({ tenant, sha256: attachment(n), limit }),
  'time and kind': (n) => ({
    ...{ tenant, kind: 'inbound', limit },
    since: new Date(timeOf(n)).toISOString(),
    until: new Date(timeOf(n) + 30 * 86_400_000).toISOString(),
  }),
};

/** @throws Error where a search that must find something finds nothing: then its time says nothing either */
async function found(store: Store, query: SearchQuery): Promise<void> {
  if ((await store.search(query)).length === 0) throw new Error(`nothing found: ${JSON.stringify(query)}`);
}

/** Grows the log to `size` entries and measures over the last of them: entries per second of us, and of raw commits. */
function append(
  directory: string,
  file: string,
  size: number,
): { appended: number; raw: number; unread: number } {
  const db = new Database(file);
  let recorded: Run[] | null = null;
  configure(db);
  migrate(db);
  const context = createWriteContext(
    recording(db, (run) => recorded?.push(run)),
    { keysDirectory: join(directory, 'keys'), originPrefix },
  );
  const length = () =>
    (db.prepare('SELECT size FROM checkpoint WHERE tenant = ?').pluck().get(tenant) as number | undefined) ??
    0;
  let exchange = Math.floor(length() / ENTRIES);

  /** Made before the time is taken. */
  const made = (count: number) =>
    Array.from({ length: count }, () => {
      const bodies = [...exchangeOf(exchange, exchange * ENTRIES)];
      return { now: timeOf(exchange++), bodies };
    });
  const put = (list: ReturnType<typeof made>) => {
    for (const { now, bodies } of list) {
      context.now = now;
      for (const body of bodies) context.append(tenant, body);
    }
    context.commitTrees();
    context.changes = [];
  };
  const commit = (work: () => void) => {
    db.exec('BEGIN IMMEDIATE');
    work();
    db.exec('COMMIT');
  };
  const rehearse = (lists: readonly ReturnType<typeof made>[], commits?: Run[][]) => {
    db.exec('BEGIN IMMEDIATE');
    for (const list of lists) {
      recorded = commits === undefined ? null : [];
      put(list);
      if (recorded !== null) commits?.push(recorded);
    }
    recorded = null;
    db.exec('ROLLBACK');
    context.rollbackTrees();
  };
  const checkpoint = () => db.pragma('wal_checkpoint(TRUNCATE)');

  try {
    const measured = 2 * ROUNDS * COMMITS * COMMIT;
    db.pragma('synchronous = OFF'); // building up to the length that is measured
    for (let n = 0; exchange + measured < size / ENTRIES; n++) {
      const list = made(Math.min(200, Math.ceil(size / ENTRIES) - measured - exchange));
      commit(() => put(list));
      if (n % 20 === 0) checkpoint();
    }
    db.pragma('synchronous = FULL');
    let ours = 0;
    let raw = 0;
    let unread = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const lists = Array.from({ length: COMMITS }, () => made(COMMIT));
      // Each side rehearses what it will do and undoes it, so that both find the pages of the indexes in memory: the raw side
      // does so while it is recorded. Where the database is larger than memory, reading them is what takes longest.
      unread += seconds(() => rehearse(lists));
      checkpoint();
      ours += seconds(() => {
        for (const list of lists) commit(() => put(list));
      });
      // What the next commits would do is recorded; the raw side does it, on the same file.
      const commits: Run[][] = [];
      rehearse(
        Array.from({ length: COMMITS }, () => made(COMMIT)),
        commits,
      );
      checkpoint();
      raw += seconds(() => {
        for (const runs of commits)
          commit(() => {
            for (const [statement, values] of runs) statement.run(...values);
          });
      });
    }
    checkpoint();
    const entries = ROUNDS * COMMITS * COMMIT * ENTRIES;
    return { appended: entries / ours, raw: entries / raw, unread: entries / unread };
  } finally {
    db.close();
  }
}

/** The connection, telling of every statement that is run to change something. */
function recording(db: Database.Database, tell: (run: Run) => void): Database.Database {
  return new Proxy(db, {
    get(target, name) {
      if (name !== 'prepare') return Reflect.get(target, name) as unknown;
      return (text: string) => {
        const statement = target.prepare(text);
        const run = statement.run.bind(statement);
        statement.run = (...values: unknown[]) => {
          tell([bare(target, text), values]);
          return run(...values);
        };
        return statement;
      };
    },
  });
}

const prepared = new WeakMap<Database.Database, Map<string, Database.Statement>>();

/** A statement of the raw side, prepared once. */
function bare(db: Database.Database, text: string): Database.Statement {
  const statements = prepared.get(db) ?? new Map<string, Database.Statement>();
  prepared.set(db, statements);
  const statement = statements.get(text) ?? db.prepare(text);
  statements.set(text, statement);
  return statement;
}

function seconds(work: () => void): number {
  const before = performance.now();
  work();
  return (performance.now() - before) / 1000;
}

async function spread(times: number, work: () => Promise<unknown>): Promise<Spread> {
  const took: number[] = [];
  for (let i = 0; i < times; i++) {
    const before = performance.now();
    await work();
    took.push(performance.now() - before);
  }
  took.sort((a, b) => a - b);
  return { median: took[Math.floor(times / 2)]!, p99: took[Math.floor(times * 0.99)]! };
}

/** Numbers below a bound, the same in every run (Park and Miller). */
function generator(seed: number): (below: number) => number {
  let state = (seed % 2_147_483_646) + 1;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
}

function figuresOf(lengths: readonly Length[]): Figure[] {
  const method =
    'made-up correspondence (bench/correspondence.ts: letter, intent, outcome, two confirmations, answer), ' +
    `${COMMIT * ENTRIES} entries in a commit, \`synchronous=FULL\`. Raw: the very same INSERTs and UPDATEs of all tables ` +
    '(entry, projection, tiles, checkpoint), recorded and run by prepared statements on the same file, same indexes and ' +
    `triggers, in turns with ours. ${PROOFS} proofs and ${SEARCHES} searches of each sort (first ${limit} results) at random ` +
    'places; start: `openSqliteStore`. Per message: the whole database without objects, divided by letters and confirmations';
  const figures: Figure[] = [];
  const add = (what: string, value: number, unit: string, goal?: { text: string; reached: boolean }) =>
    figures.push({ what, value, unit, method, ...(goal === undefined ? {} : { goal }) });
  const below = (value: number, ms: number) => ({ text: `under ${ms} ms`, reached: value < ms });
  for (const { entries, appended, raw, unread, startMs, proof, searches, bytesPerMessage } of lengths) {
    const at = `at ${entries.toLocaleString('en')} entries`;
    add(`append ${at}`, appended, 'entries/s');
    add(`raw SQLite ${at}`, raw, 'entries/s');
    add(`without commit, first to read its pages, ${at}`, unread, 'entries/s');
    add(`append beside raw ${at}`, appended / raw, '×', { text: 'half', reached: appended >= raw / 2 });
    add(`proof ${at}, median`, proof.median, 'ms', below(proof.median, 1));
    add(`proof ${at}, 99th percentile`, proof.p99, 'ms');
    for (const [what, { median, p99 }] of Object.entries(searches)) {
      add(`search by ${what} ${at}, median`, median, 'ms');
      add(`search by ${what} ${at}, 99th percentile`, p99, 'ms', below(p99, 50));
    }
    add(`start ${at}`, startMs, 'ms', below(startMs, 1000));
    add(`overhead per message ${at}`, bytesPerMessage, 'bytes');
  }
  const [first, last] = [lengths[0]!, lengths.at(-1)!];
  if (last.entries > first.entries)
    add('append at the greatest length beside the least', last.appended / first.appended, '×', {
      text: 'at least 0.7',
      reached: last.appended >= 0.7 * first.appended,
    });
  return figures;
}

/** Entries per second over the length of the log (logarithmic), as SVG. */
function plot(lengths: readonly Length[]): string {
  const [width, height, margin] = [640, 320, 60];
  const top = Math.max(...lengths.flatMap(({ appended, raw }) => [appended, raw])) * 1.1;
  const logs = lengths.map(({ entries }) => Math.log10(entries));
  const [from, to] = [Math.min(...logs), Math.max(...logs, Math.min(...logs) + 1)];
  const x = (entries: number) => margin + ((Math.log10(entries) - from) / (to - from)) * (width - 2 * margin);
  const y = (rate: number) => height - margin - (rate / top) * (height - 2 * margin);
  const line = (name: string, colour: string, rate: (length: Length) => number) =>
    `<polyline fill="none" stroke="${colour}" stroke-width="2" points="${lengths.map((l) => `${x(l.entries).toFixed(1)},${y(rate(l)).toFixed(1)}`).join(' ')}"/>` +
    lengths
      .map(
        (l) =>
          `<circle cx="${x(l.entries).toFixed(1)}" cy="${y(rate(l)).toFixed(1)}" r="3" fill="${colour}"/>` +
          `<text x="${x(l.entries).toFixed(1)}" y="${(y(rate(l)) - 8).toFixed(1)}" text-anchor="middle">${Math.round(rate(l))}</text>`,
      )
      .join('') +
    `<text x="${width - margin}" y="${name === 'gateway' ? 20 : 36}" text-anchor="end" fill="${colour}">${name}</text>`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    '<title>Entries appended per second, by length of the log</title>',
    '<rect width="100%" height="100%" fill="white"/>',
    `<text x="${margin}" y="20">entries appended per second, by length of the log</text>`,
    `<path d="M${margin} ${margin - 10}V${height - margin}H${width - margin}" fill="none" stroke="black"/>`,
    ...lengths.map(
      ({ entries }) =>
        `<text x="${x(entries).toFixed(1)}" y="${height - margin + 20}" text-anchor="middle">${entries.toLocaleString('en')}</text>`,
    ),
    line('gateway', '#0a58ca', ({ appended }) => appended),
    line('raw SQLite', '#666', ({ raw }) => raw),
    '</svg>',
    '',
  ].join('\n');
}

if (process.argv[1] === import.meta.filename) {
  const [directory, ...sizes] = process.argv.slice(2);
  if (directory === undefined) throw new Error('usage: node bench/log.ts DIRECTORY ENTRIES…');
  const lengths: Length[] = [];
  for (const size of sizes.map(Number)) {
    lengths.push(await measure(directory, size));
    console.log(JSON.stringify(lengths.at(-1)));
  }
  console.log(plot(lengths));
}
