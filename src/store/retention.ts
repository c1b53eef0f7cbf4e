/**
 * Retention as the store knows it: what may be erased, what is held, and erasing itself. What is due by which class
 * is decided elsewhere (src/preservation); the store refuses what must not go whatever anybody decides.
 */
import type { Actor, Entry, ErasedEntry, ErasureProposedEntry } from '../evidence/entry.ts';
import type { RecordGroup } from '../evidence/record-groups.ts';

/** Name of the class of an erasure that persons asked for. */
export const ON_DEMAND = 'on-demand';

/** What becomes of copies in mailboxes: `stay`: they are the user's matter; `remove`: they go as well. */
export type CopiesRule = ErasureProposedEntry['copies'];

/** An entry that may be the first of something erasable: its place and time, no content. */
export interface RetentionCandidate {
  readonly index: number;
  /** RFC 3339. */
  readonly time: string;
}

/** Why a letter cannot be erased. */
export type Obstacle =
  /** Nothing stands under this index that can be erased, or it is a part of another letter. */
  | 'no-letter'
  | 'held'
  | 'handover-open'
  | 'forward-open'
  | 'scan-open'
  | 'private-waiting'
  /** Its copies at the provider are being deleted. */
  | 'deletion-open'
  /** An entry of no letter that says what is still so: a lock, an open incident, a login without outcome. */
  | 'in-force';

export interface Erasure {
  /** First entries of the letters; an entry that belongs to none is named by itself. */
  readonly letters: readonly number[];
  /** Name of the class. */
  readonly class: string;
  readonly legalBasis: string;
  readonly actors: readonly Actor[];
  readonly copies: CopiesRule;
  /** It was erased before, and an older database brought it back. */
  readonly again?: true;
}

export interface ErasureResult {
  /** Index of the entry `erased`; null where nothing could be erased. */
  readonly index: number | null;
  readonly erased: readonly number[];
  /** Entries erased, of all letters together. */
  readonly entries: number;
  readonly refused: readonly { readonly letter: number; readonly obstacle: Obstacle }[];
}

/** An erasure that waits for a second person. */
export interface ErasureProposal {
  /** Index of the entry that proposes it. */
  readonly index: number;
  readonly letter: number;
  readonly time: string;
  readonly actor: Actor;
  readonly legalBasis: string;
  readonly copies: CopiesRule;
}

export interface ActiveHold {
  readonly index: number;
  readonly letter: number | null;
  readonly fileReference: string | null;
}

export interface RetentionReader {
  /** The entry by which this one was erased; null where it was not. */
  erasure(tenant: string, index: number): Promise<(Entry & ErasedEntry) | null>;
  /**
   * First entries of letters, and messages that belong to none, after `after` and from before `before` (RFC 3339), in
   * order of their index.
   */
  retentionCandidates(
    tenant: string,
    after: number,
    before: string,
    limit: number,
  ): Promise<RetentionCandidate[]>;
  /** The same of entries that belong to no letter, of one group. */
  recordCandidates(
    tenant: string,
    group: RecordGroup,
    after: number,
    before: string,
    limit: number,
  ): Promise<RetentionCandidate[]>;
  /** Every entry that goes with the letter, ascending. */
  entriesOf(tenant: string, letter: number): Promise<number[]>;
  /** Why the letter cannot be erased now; empty where it can. */
  obstacles(tenant: string, letter: number): Promise<Obstacle[]>;
  /** Holds in force: of the tenant, or those that hold this letter. */
  retentionHolds(tenant: string, letter?: number): Promise<ActiveHold[]>;
  proposals(tenant: string): Promise<ErasureProposal[]>;
  /** When the erasure of the letter was announced, and under which class; null where it was not. */
  announced(tenant: string, letter: number): Promise<{ readonly class: string; readonly at: number } | null>;
  /** Mailboxes that hold a copy of one of the letter's messages. */
  copiesOf(tenant: string, letter: number): Promise<{ readonly owner: string; readonly mailbox: string }[]>;
}

export interface RetentionTransactor {
  /**
   * Erases what can be, in one commit with the entry that says so: wrapped keys, salts, contents, everything derived
   * from the entries, and objects that nothing else needs. Index and commitment of each entry stay, so every other
   * proof does. What cannot be erased is left whole, and named.
   */
  erase(tenant: string, erasure: Erasure): Promise<ErasureResult>;
  /** Holds a letter, or all letters under a file reference; or releases them. False: it already was so. */
  holdLetters(
    tenant: string,
    hold: {
      readonly held: boolean;
      readonly actor: Actor;
      readonly reason: string;
    } & ({ readonly letter: number } | { readonly fileReference: string }),
  ): Promise<boolean>;
  /** @throws Error where there is no such letter, or it is held */
  proposeErasure(
    tenant: string,
    proposal: {
      readonly letter: number;
      readonly actor: Actor;
      readonly legalBasis: string;
      readonly copies: CopiesRule;
      readonly reason: string;
    },
  ): Promise<{ index: number }>;
  /**
   * The second person agrees: the letter is erased. @param proposal index of the entry that proposes it
   * @throws Error where nothing is proposed there, it was the same person, or the letter cannot be erased
   */
  approveErasure(tenant: string, approval: { proposal: number; actor: Actor }): Promise<ErasureResult>;
  /** Takes a proposal back, with an entry. False where there is none. */
  withdrawErasure(
    tenant: string,
    withdrawal: { proposal: number; actor: Actor; reason: string },
  ): Promise<boolean>;
  /** Remembers that the erasure of these letters was announced now; those announced for that class before stay as they are. */
  recordAnnounced(tenant: string, letters: readonly { letter: number; class: string }[]): Promise<void>;
}
