/** What verification needs of a store. Reads only; an engine offers it over one consistent snapshot. */
import type { MessageIndex } from '../mime/types.ts';
import type { Cell, EvidenceTable } from './projection.ts';

export interface AuditEntry {
  readonly index: number;
  readonly kind: string;
  readonly time: string;
  readonly commitment: Uint8Array;
  /** Salt and canonical bytes. @throws where they do not open. */
  open(): { readonly salt: Buffer; readonly bytes: Buffer };
}

export interface AuditObject {
  readonly object: string;
  /** Bytes, as the row says. */
  readonly size: number;
  readonly structure: MessageIndex | null;
  /** @throws naming the place that does not decrypt. */
  read(from?: number): AsyncIterable<Buffer>;
}

export interface AuditSource {
  tenants(): readonly string[];
  /** The newest checkpoint in the store. */
  checkpoint(
    tenant: string,
  ): { readonly origin: string; readonly size: number; readonly note: string } | null;
  /** The checkpoint kept outside the database, as it was before the snapshot was taken; null: none there. */
  keptCheckpoint(tenant: string): { readonly place: string; readonly note: string } | null;
  verifierKey(tenant: string, origin: string): string;
  keyed(tenant: string, sha256: string): string;
  /** In index order. */
  entries(tenant: string): Iterable<AuditEntry>;
  tiles(
    tenant: string,
  ): Iterable<{ readonly level: number; readonly n: number; readonly hashes: Uint8Array }>;
  /** Rows of an evidence table as they lie, `idx` first. */
  rows(tenant: string, table: EvidenceTable): Iterable<readonly Cell[]>;
  openRecipients(tenant: string): Iterable<OpenRecipient>;
  objects(tenant: string): Iterable<AuditObject>;
  object(tenant: string, object: string): AuditObject | null;
  /** Mailbox rows whose object is gone. */
  brokenCopies(
    tenant: string,
  ): Iterable<{ readonly mailbox: string; readonly uid: number; readonly object: string }>;
}

/** A recipient that waits in the outbox. */
export interface OpenRecipient {
  readonly letter: number;
  readonly tx: number;
  readonly address: string;
  readonly state: string;
}

/** Something that does not fit, and where. */
export interface Finding {
  readonly tenant: string;
  /** Such as `entry 17`, `object ab12…`, `tile 0/3`, `fact of entry 17`. */
  readonly place: string;
  readonly problem: string;
}

/** What entries say of objects: content, and how handed-over forms are put together. */
export interface ObjectClaims {
  /** Object → what the first entry that names it says. */
  readonly objects: Map<
    string,
    { readonly index: number; readonly sha256: string; readonly size: number; readonly message: boolean }
  >;
  readonly handed: {
    readonly index: number;
    readonly header: string;
    readonly submitted: string;
    readonly bodyFrom: number;
    readonly sha256: string;
    readonly size: number;
  }[];
}
