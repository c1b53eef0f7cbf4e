/**
 * Rows of a mailbox in arrays of numbers, shared by all sessions that see the same: a thousand that idle in one large mailbox
 * hold it once. A session writes to a copy of its own, and takes the common rows again when it has told its client of all that is
 * in them.
 */

export interface Columns {
  uid: Uint32Array;
  modseq: Float64Array;
  /** Index of a set of flags. */
  flags: Uint32Array;
  size: Float64Array;
  date: Float64Array;
}

/** All rows of a mailbox up to a change. Nobody writes to it. */
export interface Snapshot {
  readonly columns: Columns;
  readonly count: number;
  readonly highestModseq: number;
}

/** What the sessions on a mailbox have in common. */
export interface SharedRows extends Disposable {
  readonly flagSets: FlagSets;
  /** The newest rows that a session took in. */
  readonly snapshot: Snapshot | null;
  /** Gives rows to the others; false where there are none, and the giver keeps them to itself. */
  publish(snapshot: Snapshot): boolean;
}

export interface RowsRegistry {
  /** One more session on the mailbox. `user`: whose \Seen it shows. Disposed when it leaves. */
  enter(mailbox: number, user: string | undefined): SharedRows;
}

export function createRowsRegistry(): RowsRegistry {
  const places = new Map<string, { flagSets: FlagSets; snapshot: Snapshot | null; sessions: number }>();
  return {
    enter(mailbox, user) {
      const key = `${mailbox} ${user ?? ''}`;
      const place = places.get(key) ?? { flagSets: createFlagSets(), snapshot: null, sessions: 0 };
      places.set(key, place);
      place.sessions++;
      let inside = true;
      return {
        flagSets: place.flagSets,
        get snapshot() {
          return place.snapshot;
        },
        publish(snapshot) {
          if (place.sessions < 2) return false;
          if (place.snapshot === null || place.snapshot.highestModseq < snapshot.highestModseq)
            place.snapshot = snapshot;
          return place.snapshot === snapshot;
        },
        [Symbol.dispose]() {
          if (!inside) return;
          inside = false;
          place.sessions--;
          // Who is left alone writes to its rows without copying them.
          if (place.sessions < 2) place.snapshot = null;
          if (place.sessions === 0) places.delete(key);
        },
      };
    },
  };
}

export function allocate(capacity: number): Columns {
  return {
    uid: new Uint32Array(capacity),
    modseq: new Float64Array(capacity),
    flags: new Uint32Array(capacity),
    size: new Float64Array(capacity),
    date: new Float64Array(capacity),
  };
}

/** A copy with room for `capacity` rows. */
export function copyOf(old: Columns, capacity: number): Columns {
  const grown = allocate(capacity);
  for (const name of Object.keys(old) as (keyof Columns)[])
    grown[name].set(old[name].subarray(0, capacity) as never);
  return grown;
}

export interface FlagSets {
  /** Of all sets so far. */
  readonly keywords: ReadonlySet<string>;
  idOf(flags: readonly string[]): number;
  flagsOf(id: number): readonly string[];
}

/** Few combinations of flags occur in a mailbox: each is kept once. */
export function createFlagSets(): FlagSets {
  const sets: (readonly string[])[] = [];
  const ids = new Map<string, number>();
  const keywords = new Set<string>();
  return {
    keywords,
    idOf(flags) {
      const key = flags.join(' ');
      const known = ids.get(key);
      if (known !== undefined) return known;
      ids.set(key, sets.length);
      for (const flag of flags) if (!flag.startsWith('\\')) keywords.add(flag);
      return sets.push(flags) - 1;
    },
    flagsOf: (id) => sets[id] ?? [],
  };
}
