/**
 * Mailboxes on disk: `<folder>/<uid>.eml` beside `index.jsonl`, a journal of what happened to each message.
 * A restart reads the journal back, so UIDs and UIDVALIDITY stay.
 */
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface StoredMessage {
  readonly uid: number;
  /** Bytes. */
  readonly size: number;
  /** Milliseconds since 1970. */
  readonly receivedAt: number;
  readonly flags: ReadonlySet<string>;
  /** The holder's next login at level high has to be confirmed to the sender: FU 3.3.5. */
  readonly awaitsRetrieval: boolean;
  /** Readable at level high only: private, or with retrieval confirmation (FU 3.1.2.3). */
  readonly needsHigh: boolean;
  /** A dispatch or receipt confirmation was asked for: it may not be deleted at once (FU 3.1.3.9). */
  readonly confirmed: boolean;
}

export interface Mailbox {
  readonly name: string;
  readonly uidValidity: number;
  readonly uidNext: number;
  /** In order of UID. */
  readonly messages: readonly StoredMessage[];
  append(parts: readonly Uint8Array[], options: AppendOptions): Promise<StoredMessage>;
  read(uid: number): Promise<Buffer>;
  setFlags(uid: number, flags: ReadonlySet<string>): void;
  retrievalConfirmed(uid: number): void;
  expunge(uid: number): void;
  /** The provider rebuilt the mailbox: same messages, new UIDVALIDITY and UIDs. */
  renumber(): void;
  /** Called after each change. Returns the function that ends it. */
  subscribe(listener: () => void): () => void;
}

interface AppendOptions {
  readonly receivedAt: number;
  readonly flags?: readonly string[];
  readonly awaitsRetrieval?: boolean;
  readonly needsHigh?: boolean;
  readonly confirmed?: boolean;
}

interface Marks {
  awaits?: true;
  high?: true;
  confirmed?: true;
}

type Line =
  | { validity: number; next: number }
  | ({ uid: number; file: number; size: number; at: number; flags: string[] } & Marks)
  | { uid: number; flags: string[] }
  | { uid: number; gone: true }
  | { uid: number; retrieved: true };

interface Row extends StoredMessage {
  /** Number in the file's name. */
  readonly file: number;
  flags: Set<string>;
  awaitsRetrieval: boolean;
}

/** Opens or makes the mailbox. `firstValidity` is its UIDVALIDITY if it is new: 1 to 2^32-1. */
export function openMailbox(folder: string, name: string, firstValidity: number): Mailbox {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const journal = join(folder, 'index.jsonl');
  const listeners = new Set<() => void>();
  let rows: Row[] = [];
  let uidValidity = firstValidity;
  let uidNext = 1;
  let fileNext = 1;

  function apply(line: Line): void {
    if ('validity' in line) {
      uidValidity = line.validity;
      uidNext = line.next;
      return;
    }
    if ('size' in line) {
      const { uid, file, size, at, flags, awaits = false, high = false, confirmed = false } = line;
      const state = { flags: new Set(flags), awaitsRetrieval: awaits, needsHigh: high, confirmed };
      rows.push({ uid, file, size, receivedAt: at, ...state });
      uidNext = Math.max(uidNext, uid + 1);
      fileNext = Math.max(fileNext, file + 1);
      return;
    }
    const row = find(line.uid);
    if (!row) return;
    if ('flags' in line) row.flags = new Set(line.flags);
    else if ('gone' in line) rows = rows.filter((candidate) => candidate !== row);
    else row.awaitsRetrieval = false;
  }

  function find(uid: number): Row | undefined {
    let low = 0;
    let high = rows.length - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const row = rows[middle]!;
      if (row.uid === uid) return row;
      if (row.uid < uid) low = middle + 1;
      else high = middle - 1;
    }
    return undefined;
  }

  function record(...lines: Line[]): void {
    for (const line of lines) apply(line);
    appendFileSync(journal, lines.map((line) => `${JSON.stringify(line)}\n`).join(''), { mode: 0o600 });
    for (const listener of [...listeners]) listener();
  }

  const path = (row: Row) => join(folder, `${row.file}.eml`);

  if (existsSync(journal)) {
    const bytes = readFileSync(journal);
    // The last line may be torn by a kill: what follows the last line end never happened.
    const whole = bytes.lastIndexOf('\n') + 1;
    if (whole < bytes.length) truncateSync(journal, whole);
    for (const line of bytes.toString('utf8', 0, whole).split('\n').slice(0, -1)) {
      apply(JSON.parse(line) as Line);
    }
  } else {
    record({ validity: firstValidity, next: 1 });
  }

  return {
    name,
    get uidValidity() {
      return uidValidity;
    },
    get uidNext() {
      return uidNext;
    },
    get messages() {
      return rows;
    },
    async append(parts, options) {
      const file = fileNext++;
      const handle = await open(join(folder, `${file}.eml`), 'w', 0o600);
      try {
        await handle.writev([...parts]);
      } finally {
        await handle.close();
      }
      const uid = uidNext++;
      const size = parts.reduce((sum, part) => sum + part.length, 0);
      const flags = [...(options.flags ?? [])];
      record({ uid, file, size, at: options.receivedAt, flags, ...marks(options) });
      return find(uid)!;
    },
    async read(uid) {
      const row = find(uid);
      if (!row) throw new Error(`mailbox ${name} has no message ${uid}`);
      return readFile(path(row));
    },
    setFlags(uid, flags) {
      record({ uid, flags: [...flags] });
    },
    retrievalConfirmed(uid) {
      record({ uid, retrieved: true });
    },
    expunge(uid) {
      const row = find(uid);
      if (!row) return;
      record({ uid, gone: true });
      rmSync(path(row), { force: true });
    },
    renumber() {
      const kept = rows;
      const gone = kept.map(({ uid }): Line => ({ uid, gone: true }));
      const start: Line = { validity: uidValidity + 1, next: 1 };
      const again = kept.map((row, index): Line => {
        const { file, size, receivedAt: at, flags } = row;
        return { uid: index + 1, file, size, at, flags: [...flags], ...marks(row) };
      });
      record(...gone, start, ...again);
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

function marks(of: Partial<Pick<StoredMessage, 'awaitsRetrieval' | 'needsHigh' | 'confirmed'>>): Marks {
  return {
    ...(of.awaitsRetrieval ? { awaits: true } : {}),
    ...(of.needsHigh ? { high: true } : {}),
    ...(of.confirmed ? { confirmed: true } : {}),
  };
}
