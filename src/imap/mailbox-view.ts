/**
 * What one session sees of its selected mailbox: the map from sequence numbers to messages, in arrays of
 * numbers, so that a thousand sessions on large mailboxes stay small. It changes only by `apply`, where the
 * session is ready to tell its client.
 */

import type { MailboxInfo, MailboxOwner, MessageRow } from '../store/store.ts';
import { resolve as resolveSet, type SequenceSet, STAR } from './codec/sequence.ts';
import { allocate, copyOf, createFlagSets, type SharedRows } from './mailbox-rows.ts';

/** What a client has to be told, in this order: EXISTS, FETCH, EXPUNGE. */
export interface ViewUpdate {
  /** Messages after arrivals and before expunges, or null where none arrived. */
  readonly exists: number | null;
  /** Messages that changed, with their sequence numbers before expunges. */
  readonly changed: readonly { readonly sequence: number; readonly uid: number }[];
  /** Sequence numbers that vanish, highest first, so that none renumbers a later one. */
  readonly expunged: readonly number[];
}

export interface Changed {
  readonly changed: readonly MessageRow[];
  readonly expunged: readonly number[];
  readonly highestModseq: number;
}

export interface MailboxView {
  readonly id: number;
  readonly owner: MailboxOwner;
  readonly uidValidity: number;
  readonly readOnly: boolean;
  /** Whose \Seen counts: the login in a shared mailbox, else undefined. */
  readonly user: string | undefined;
  readonly count: number;
  /** Up to here the store's changes have been taken in. */
  readonly highestModseq: number;
  /** Sequence number, 0 where there is none. */
  readonly firstUnseen: number;
  /** UID of the last message seen, 0 in an empty mailbox. */
  readonly lastUid: number;
  readonly recentCount: number;
  /** Keywords that messages of the mailbox carry or have carried since it was selected. */
  readonly keywords: ReadonlySet<string>;
  /** What the client was told of flags last: see flag-list.ts. */
  flagsTold: string;
  at(sequence: number): MessageRow;
  /** 0 where there is none such. */
  sequenceOf(uid: number): number;
  isRecent(uid: number): boolean;
  /** Sequence numbers, ascending, of a set of sequence numbers or UIDs; unknown ones are left out. */
  select(set: SequenceSet, byUid: boolean): number[];
  /** True where every sequence number of the set exists; in an empty mailbox `1:*` may ask for all there is. */
  covers(set: SequenceSet): boolean;
  /** Takes in changes. Without `mayExpunge`, what vanished is kept until a call that may. */
  apply(changes: Changed, mayExpunge: boolean): ViewUpdate;
  /** Own change of a message: taken in without telling it again. */
  update(row: MessageRow): void;
  /** True while vanished messages are waiting to be told. */
  readonly expungePending: boolean;
  claimRecent(from: number, to: number): void;
}

/**
 * @param rows null where those that the sessions on the mailbox share are of this very `highestModseq`
 * @param options.shared what they share; absent where this session sees what no other does
 */
export function createMailboxView(
  info: MailboxInfo,
  rows: readonly MessageRow[] | null,
  options: {
    readonly readOnly: boolean;
    readonly user: string | undefined;
    readonly shared?: SharedRows | undefined;
  },
): MailboxView {
  const { shared } = options;
  const common = rows === null ? shared?.snapshot : null;
  let columns = common?.columns ?? allocate(Math.max(16, rows?.length ?? 0));
  let count = common?.count ?? 0;
  /** Nobody else sees the columns. */
  let own = !common;
  let highestModseq = info.highestModseq;
  const flagSets = shared?.flagSets ?? createFlagSets();
  const gone = new Set<number>();
  const recent: (readonly [number, number])[] = [];

  function makeOwn(): void {
    if (!own) columns = copyOf(columns, Math.max(16, count));
    own = true;
  }

  /** Rows that hold nothing but what the store has are for all. */
  function share(): void {
    if (own && gone.size === 0 && shared?.publish({ columns, count, highestModseq })) own = false;
  }

  /**
   * Takes the common rows where they are those that these changes lead to, and tells the difference. Null where they are not.
   */
  function adopt(changes: Changed, mayExpunge: boolean): ViewUpdate | null {
    const next = shared?.snapshot;
    if (!next || next.highestModseq !== changes.highestModseq || next.highestModseq <= highestModseq)
      return null;
    const vanished = [...new Set([...gone, ...changes.expunged])]
      .map((uid) => indexOf(uid) + 1)
      .filter((sequence) => sequence > 0)
      .sort((a, b) => b - a);
    if (vanished.length > 0 && !mayExpunge) return null;
    const before = count;
    const last = lastUid();
    const arrived = changes.changed.filter(({ uid }) => uid > last).length;
    if (before + arrived - vanished.length !== next.count) return null;
    const changed = changes.changed
      .map(({ uid, modseq }) => ({ index: uid > last ? -1 : indexOf(uid), uid, modseq }))
      .filter(({ index, modseq }) => index >= 0 && columns.modseq[index]! < modseq)
      .map(({ index, uid }) => ({ sequence: index + 1, uid }));
    ({ columns, count, highestModseq } = next);
    own = false;
    gone.clear();
    return { exists: arrived > 0 ? before + arrived : null, changed, expunged: vanished };
  }

  /** Size and date of a message never change (RFC 3501 2.3); its flags do. */
  function set(index: number, row: MessageRow): void {
    columns.modseq[index] = row.modseq;
    columns.flags[index] = flagSets.idOf(row.flags);
  }

  function push(row: MessageRow): void {
    if (count === columns.uid.length) columns = copyOf(columns, count * 2);
    columns.uid[count] = row.uid;
    columns.size[count] = row.size;
    columns.date[count] = row.internalDate;
    set(count++, row);
  }

  /** First index whose UID is not below `uid`. */
  function lowerBound(uid: number): number {
    let low = 0;
    let high = count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (columns.uid[middle]! < uid) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  function indexOf(uid: number): number {
    const index = lowerBound(uid);
    return index < count && columns.uid[index] === uid ? index : -1;
  }

  function lastUid(): number {
    return count === 0 ? 0 : columns.uid[count - 1]!;
  }

  function isRecent(uid: number): boolean {
    return recent.some(([from, to]) => uid >= from && uid < to);
  }

  function select(wanted: SequenceSet, byUid: boolean): number[] {
    const found: number[] = [];
    for (const [from, to] of resolveSet(wanted, byUid ? lastUid() : count)) {
      const first = byUid ? lowerBound(from) : from - 1;
      const last = byUid ? lowerBound(to + 1) : Math.min(to, count);
      for (let index = first; index < last; index++) found.push(index + 1);
    }
    return found;
  }

  function removeGone(): number[] {
    const expunged: number[] = [];
    let kept = 0;
    for (let index = 0; index < count; index++) {
      if (gone.has(columns.uid[index]!)) {
        expunged.push(index + 1);
        continue;
      }
      if (kept !== index) for (const column of Object.values(columns)) column[kept] = column[index]!;
      kept++;
    }
    count = kept;
    gone.clear();
    return expunged.reverse();
  }

  for (const row of rows ?? []) push(row);
  share();

  return {
    id: info.id,
    owner: info.owner,
    uidValidity: info.uidValidity,
    readOnly: options.readOnly,
    user: options.user,
    keywords: flagSets.keywords,
    flagsTold: '',
    get count() {
      return count;
    },
    get highestModseq() {
      return highestModseq;
    },
    get lastUid() {
      return lastUid();
    },
    get firstUnseen() {
      for (let index = 0; index < count; index++)
        if (!flagSets.flagsOf(columns.flags[index]!).includes('\\Seen')) return index + 1;
      return 0;
    },
    get recentCount() {
      let total = 0;
      for (const [from, to] of recent) total += lowerBound(to) - lowerBound(from);
      return total;
    },
    at(sequence) {
      const index = sequence - 1;
      if (index < 0 || index >= count) throw new RangeError(`no message ${sequence}`);
      const uid = columns.uid[index]!;
      const flags = flagSets.flagsOf(columns.flags[index]!);
      return {
        uid,
        modseq: columns.modseq[index]!,
        flags,
        size: columns.size[index]!,
        internalDate: columns.date[index]!,
      };
    },
    sequenceOf: (uid) => indexOf(uid) + 1,
    isRecent,
    select,
    covers: (wanted) =>
      count === 0 ? wanted.every(isWhole) : resolveSet(wanted, count).every(([, to]) => to <= count),
    apply(changes, mayExpunge) {
      const adopted = adopt(changes, mayExpunge);
      if (adopted) return adopted;
      if (changes.changed.length > 0 || gone.size + changes.expunged.length > 0) makeOwn();
      const before = count;
      const changed: { sequence: number; uid: number }[] = [];
      for (const row of changes.changed) {
        if (row.uid > lastUid()) {
          push(row);
          continue;
        }
        const index = indexOf(row.uid);
        if (index < 0 || columns.modseq[index]! >= row.modseq) continue;
        set(index, row);
        changed.push({ sequence: index + 1, uid: row.uid });
      }
      for (const uid of changes.expunged) if (indexOf(uid) >= 0) gone.add(uid);
      highestModseq = Math.max(highestModseq, changes.highestModseq);
      const exists = count > before ? count : null;
      const expunged = mayExpunge && gone.size > 0 ? removeGone() : [];
      share();
      return { exists, changed, expunged };
    },
    update(row) {
      const index = indexOf(row.uid);
      if (index < 0 || columns.modseq[index]! > row.modseq) return;
      makeOwn();
      set(index, row);
    },
    get expungePending() {
      return gone.size > 0;
    },
    claimRecent(from, to) {
      if (from < to) recent.push([from, to]);
    },
  };
}

function isWhole([from, to]: SequenceSet[number]): boolean {
  return Math.min(from, to) === 1 && Math.max(from, to) === STAR;
}
