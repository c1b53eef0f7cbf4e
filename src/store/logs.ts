/**
 * A tenant's logs as the store knows them: the one that is open, and those that were closed before it. What follows
 * them (tiles, witnesses) works through this interface alone.
 */
import type { Actor } from '../evidence/entry.ts';
import type { KeyPeriod } from '../evidence/log-keys.ts';

export interface LogInfo {
  /** From 1; the last one is open. */
  readonly number: number;
  readonly origin: string;
  /** Index of its first entry within the tenant. */
  readonly base: number;
  /** Entries in it. */
  readonly size: number;
  /** Its newest signed checkpoint. */
  readonly note: string;
  readonly closed: boolean;
  readonly keys: readonly KeyPeriod[];
}

/** Why nothing is signed for a tenant. */
export interface Hold {
  /** Who says so: a file, or a witness. */
  readonly source: string;
  /** RFC 3339. */
  readonly since: string;
  readonly reason: string;
  /** Entries that were seen of the log elsewhere. */
  readonly knownSize: number;
  /** The checkpoint that was seen, where there is one. */
  readonly knownNote: string | null;
}

export interface LogReader {
  /** All logs of the tenant, in order; empty where it has none. */
  logs(tenant: string): Promise<LogInfo[]>;
  holds(tenant: string): Promise<Hold[]>;
  /** Hashes of a tile as far as they exist. */
  tile(tenant: string, log: number, level: number, n: number): Promise<Uint8Array>;
  /** Commitments of the entries with these indexes, `to` exclusive. */
  commitments(tenant: string, from: number, to: number): Promise<Uint8Array[]>;
  /** RFC 6962 consistency proof within one log. */
  consistency(tenant: string, log: number, first: number, second: number): Promise<Buffer[]>;
  /** Root of the first `size` entries of a log. */
  rootOf(tenant: string, log: number, size: number): Promise<Buffer>;
  /** The newest checkpoint of the open log that witnesses have cosigned; null: none yet. */
  cosigned(tenant: string): Promise<{ readonly size: number; readonly note: string } | null>;
}

export interface LogTransactor {
  /**
   * A new key signs from the next checkpoint on. `overlapMs`: how long the previous one signs too.
   * @returns the new verifier key
   */
  rotateLogKey(
    tenant: string,
    rotation: { readonly actor: Actor; readonly reason: string; readonly overlapMs: number },
  ): Promise<{ key: string }>;
  /** Nothing of the tenant is signed any more, until released or closed. No entry: none can be made. */
  holdLog(tenant: string, hold: Omit<Hold, 'since'>): Promise<void>;
  /** Takes back what this source said. */
  releaseLog(tenant: string, source: string): Promise<void>;
  /**
   * Closes a held log with a final note and opens the next one, with an origin and a key of its own. What waits to be
   * handed over is in doubt afterwards: nobody knows what the lost entries said of it.
   * @throws Error where the log is not held
   */
  closeLog(
    tenant: string,
    closing: { readonly actor: Actor; readonly reason: string },
  ): Promise<{ origin: string; key: string }>;
  /** Keeps a checkpoint with the lines of witnesses; an older one than known is dropped. */
  recordCosigned(
    tenant: string,
    cosigned: { readonly log: number; readonly size: number; readonly note: string },
  ): Promise<void>;
}
