/** What is stored, piece by piece, for whoever re-reads everything: in short reads, from any place on. */
import { createHash } from 'node:crypto';
import Database from 'better-sqlite3';
import { commitmentOf } from '../../evidence/canonical.ts';
import { keyedDigest } from '../sealing.ts';
import type { EntryRow } from './entry-rows.ts';
import { type ObjectRow, openObject } from './objects.ts';
import type { StorePaths } from './paths.ts';
import { createReadContext } from './read-context.ts';

export interface ScrubPiece {
  /** Where the next reading goes on after. */
  readonly at: string;
  /** `stadt/17`, `object ab12… of stadt`. */
  readonly place: string;
  /** Bytes read, and what is wrong. */
  check(): Promise<{ readonly bytes: number; readonly problem: string | null }>;
}

export interface ScrubSource extends Disposable {
  tenants(): string[];
  /** Entries in order, after that place; '' is the beginning. */
  entries(tenant: string, after: string, limit: number): ScrubPiece[];
  objects(tenant: string, after: string, limit: number): ScrubPiece[];
}

/** A connection of its own: it may meet damage in the database file itself. */
export function openScrubSource(paths: StorePaths): ScrubSource {
  const db = new Database(paths.file, { readonly: true });
  db.pragma('busy_timeout = 10000');
  const context = createReadContext(db, paths.objects, paths.keys);

  async function checkEntry(tenant: string, index: number) {
    // Read only now: its key may have been wrapped anew since, and the entry erased.
    const row = context
      .sql('SELECT idx, kind, time, commitment, key, sealed FROM entry WHERE tenant = ? AND idx = ?')
      .get(tenant, index) as EntryRow | undefined;
    if (row === undefined) return { bytes: 0, problem: 'it is missing' };
    const bytes = row.sealed.length;
    // Erased: nothing is there but its commitment.
    if (row.key.length === 0) return { bytes, problem: null };
    const { salt, bytes: entry } = context.openEntry(tenant, row);
    return {
      bytes,
      problem: commitmentOf(salt, entry).equals(row.commitment)
        ? null
        : 'it is not what its commitment was made of',
    };
  }

  async function checkObject(tenant: string, object: string) {
    const row = context
      .sql('SELECT object, uid, size, key, inline FROM object WHERE tenant = ? AND object = ?')
      .get(tenant, object) as ObjectRow | undefined;
    // It was dropped meanwhile.
    if (row === undefined) return { bytes: 0, problem: null };
    const hash = createHash('sha256');
    let bytes = 0;
    for await (const chunk of openObject(paths.objects, context.keys(tenant), row).read()) {
      hash.update(chunk);
      bytes += chunk.length;
    }
    const address = keyedDigest(context.keys(tenant).address, hash.digest('hex'));
    return { bytes, problem: address === object ? null : 'its content does not give its address' };
  }

  function piece(place: string, at: string, check: ScrubPiece['check']): ScrubPiece {
    return {
      at,
      place,
      async check() {
        try {
          return await check();
        } catch (error) {
          // Keys are wrapped anew under way: the next look has the new one.
          context.forgetKeys(place.slice(0, place.indexOf('/')));
          try {
            return await check();
          } catch {
            return { bytes: 0, problem: (error as Error).message };
          }
        }
      },
    };
  }

  return {
    tenants: () => db.prepare('SELECT tenant FROM checkpoint ORDER BY tenant').pluck().all() as string[],
    entries(tenant, after, limit) {
      const indexes = context
        .sql('SELECT idx FROM entry WHERE tenant = ? AND idx > ? ORDER BY idx LIMIT ?')
        .pluck()
        .all(tenant, after === '' ? -1 : Number(after), limit) as number[];
      return indexes.map((index) =>
        piece(`${tenant}/${index}`, String(index), () => checkEntry(tenant, index)),
      );
    },
    objects(tenant, after, limit) {
      const names = context
        .sql('SELECT object FROM object WHERE tenant = ? AND object > ? ORDER BY object LIMIT ?')
        .pluck()
        .all(tenant, after, limit) as string[];
      return names.map((object) =>
        piece(`${tenant}/object ${object}`, object, () => checkObject(tenant, object)),
      );
    },
    [Symbol.dispose]: () => void db.close(),
  };
}
