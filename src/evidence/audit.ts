/** What verification needs of a store. Reads only; an engine offers it over one consistent snapshot. */
import type { MessageIndex } from '../mime/types.ts';
import type { ArchiveRows, Reader } from '../store/store.ts';
import type { ImportedEntry, RenewedEntry, SealedEntry } from './entry.ts';
import type { NodeRun } from './ers/partial-tree.ts';
import type { KeyPeriod } from './log-keys.ts';
import type { Cell, EvidenceTable } from './projection.ts';

export interface AuditEntry {
  readonly index: number;
  readonly kind: string;
  readonly time: string;
  readonly commitment: Uint8Array;
  /** Nothing but index and commitment is there. */
  readonly erased: boolean;
  /** Salt and canonical bytes. @throws where they do not open. */
  open(): { readonly salt: Buffer; readonly bytes: Buffer };
}

export interface AuditObject {
  readonly object: string;
  /** Number of its row. */
  readonly row: number;
  /** Bytes, as the row says. */
  readonly size: number;
  /** @throws where it cannot be read. */
  structure(): MessageIndex | null;
  /** Why what lists show of it is not what its index and its first bytes (`SUMMARY_HEADER`) give; null where it is. */
  summaryProblem(index: MessageIndex, head: Buffer): string | null;
  /** It lies in a file of its own, not in the database. */
  readonly isFile: boolean;
  /** Why its file cannot be what the row says, by its length alone; null where it may be. */
  fileProblem(): string | null;
  /** @throws naming the place that does not decrypt. */
  read(from?: number): AsyncIterable<Buffer>;
}

export interface ObjectRow {
  /** Not a safe integer where somebody chose it. */
  readonly number: number;
  /** Bytes. */
  readonly size: number;
  readonly hasStructure: boolean;
}

export interface AuditSource {
  tenants(): readonly string[];
  /** All logs of the tenant, in order, the open one last. */
  logs(tenant: string): readonly AuditLog[];
  /** Checkpoints kept outside the database, as they were before the snapshot was taken. */
  keptCheckpoints(tenant: string): readonly { readonly place: string; readonly note: string }[];
  keyed(tenant: string, sha256: string): string;
  /** In index order. */
  entries(tenant: string): Iterable<AuditEntry>;
  entry(tenant: string, index: number): AuditEntry | null;
  /** Hashes of a tile; empty where there is none. */
  tile(tenant: string, log: number, level: number, n: number): Uint8Array;
  tileNames(tenant: string, log: number): Iterable<{ readonly level: number; readonly n: number }>;
  /** Rows of an evidence table as they lie, `idx` first. */
  rows(tenant: string, table: EvidenceTable): Iterable<readonly Cell[]>;
  /**
   * Where lists for searching (addresses that occur, days of messages) differ from the rows that they list, and rows
   * of a log that there is not. The rows themselves are compared with the entries.
   */
  listings(tenant: string): Iterable<Omit<Finding, 'tenant'>>;
  openRecipients(tenant: string): Iterable<OpenRecipient>;
  /** Private messages that wait for an address. */
  waitingPrivate(tenant: string): Iterable<WaitingAddress>;
  /** In the order of the entries that they name. */
  privateObjects(tenant: string): Iterable<PrivateObject>;
  /** The entry by which an object counts as a private message; null where it does not. */
  privateMark(tenant: string, object: string): number | null;
  /** Intents (a login, a deletion at the provider) that have no outcome yet. */
  openIntents(tenant: string): Iterable<number>;
  /** In the order of their rows. @param rows these alone; numbers of which there is no row are passed over */
  objects(tenant: string, rows?: Iterable<number>): Iterable<AuditObject>;
  /** Seals and renewals, over the same snapshot. */
  readonly archive: ArchiveSource;
  object(tenant: string, object: string): AuditObject | null;
  /** Of an object's row what is read without its content. */
  objectRow(tenant: string, object: string): ObjectRow | null;
  /** Mailbox rows whose object is gone. */
  brokenCopies(
    tenant: string,
  ): Iterable<{ readonly mailbox: string; readonly uid: number; readonly object: string }>;
}

/** Seals and renewals as they lie. */
export interface ArchiveSource
  extends ArchiveRows,
    Pick<Reader, 'entryFiles' | 'object' | 'leafHashes' | 'archiveToken' | 'sealOf'> {
  tileNames(id: number): Iterable<{ readonly level: number; readonly n: number }>;
  /** Nodes of a partial tree, as they lie. */
  nodes(id: number): Iterable<NodeRun>;
  /** Rows of the archive's tables that belong to no seal or renewal, each in words. */
  strays(): Iterable<string>;
}

/** An entry that says which numbers seals and renewals got that came with the entries before it. */
export interface Renumbering {
  readonly tenant: string;
  readonly index: number;
  readonly entry: ImportedEntry;
}

/** What an entry says of a seal or renewal. */
export interface Announcement {
  readonly tenant: string;
  readonly index: number;
  readonly entry: SealedEntry | RenewedEntry;
}

/** A log as its rows say. */
export interface AuditLog {
  readonly number: number;
  readonly origin: string;
  /** Index of its first entry. */
  readonly base: number;
  readonly size: number;
  readonly note: string;
  readonly closed: boolean;
  readonly keys: readonly LogKey[];
  /** Verifier key of the file that signs now; null where that file is missing. */
  readonly trustedKey: string | null;
  /** Checkpoints of it that witnesses cosigned, with the number of entries that their rows say. */
  readonly cosigned: readonly { readonly size: number; readonly note: string }[];
}

export interface LogKey extends KeyPeriod {
  /** Epoch ms up to which the key before signs too; 0: it does not. Null: the first key of a tenant has no row. */
  readonly until: number | null;
}

export type Report = (place: string, problem: string) => void;

/** A recipient that waits in the outbox. */
export interface OpenRecipient {
  readonly letter: number;
  readonly tx: number;
  readonly address: string;
  readonly state: string;
}

/** A private message waits for this address. */
export interface WaitingAddress {
  readonly index: number;
  readonly address: string;
  readonly object: string;
}

/** An object that counts as a private message, by the first entry that says so. */
export interface PrivateObject {
  readonly object: string;
  readonly index: number;
}

/** Something that does not fit, and where. */
export interface Finding {
  readonly tenant: string;
  /** Such as `entry 17`, `object ab12…`, `tile 0/3`, `fact of entry 17`. */
  readonly place: string;
  readonly problem: string;
}
