/** The open log of a tenant as the writer holds it: its growing tree, and the keys that sign it. */
import type { KeyObject } from 'node:crypto';
import type Database from 'better-sqlite3';
import type { EntryBody } from '../../evidence/entry.ts';
import { loadEdge, type TreeEdge } from '../../evidence/merkle.ts';
import { createNoteSigner, type NoteSigner, verifierKey } from '../../evidence/note.ts';
import { KeyError } from '../key-error.ts';
import {
  createLogKey,
  loadTenantKeys,
  logKeyFile,
  logKeyFileOf,
  readLogKey,
  type TenantKeys,
} from '../keys.ts';
import { holdRows, keyRows } from './tenant-logs.ts';

export interface TenantLog {
  keys: TenantKeys;
  readonly number: number;
  readonly origin: string;
  /** Index of the log's first entry. */
  readonly base: number;
  /** Verifier key of the first signer; empty while the log is held. */
  key: string;
  /** The current key first; a second one while two overlap. None while the log is held. */
  signers: NoteSigner[];
  /** Epoch ms from which on the second signer signs no more. */
  overlapUntil: number;
  edge: TreeEdge;
  /** Leaves of the running transaction, not yet in the tree. */
  pending: Buffer[];
  /** Nothing may be appended. */
  readonly held: boolean;
}

type Sql = (text: string) => Database.Statement;

/** Loads a tenant's log; for a tenant without one, makes its keys. @throws KeyError */
export function openLog(
  sql: Sql,
  directory: string,
  originPrefix: string,
  tenant: string,
  now: number,
): TenantLog {
  const row = sql('SELECT log AS number, origin, base, size FROM checkpoint WHERE tenant = ?').get(tenant) as
    | { number: number; origin: string; base: number; size: number }
    | undefined;
  const { number, origin, base, size } = row ?? {
    number: 1,
    origin: `${originPrefix}/${tenant}`,
    base: 0,
    size: 0,
  };
  // Makes the keys of a new tenant: before they are read.
  const keys = loadTenantKeys(directory, tenant, row === undefined);
  const held = holdRows(sql, tenant).length > 0;
  const read = (level: number, n: number) =>
    (
      sql('SELECT hashes FROM tile WHERE tenant = ? AND log = ? AND level = ? AND n = ?').get(
        tenant,
        number,
        level,
        n,
      ) as { hashes: Buffer } | undefined
    )?.hashes ?? Buffer.alloc(0);
  return {
    keys,
    number,
    origin,
    base,
    // A held log may have been restored from anywhere: neither its tiles nor its keys are relied on.
    edge: held ? { size, tails: [] } : loadEdge(size, read),
    pending: [],
    held,
    ...(held
      ? { key: '', signers: [], overlapUntil: 0 }
      : signersOf(sql, directory, tenant, number, origin, now)),
  };
}

function signersOf(
  sql: Sql,
  directory: string,
  tenant: string,
  number: number,
  origin: string,
  now: number,
): Pick<TenantLog, 'key' | 'signers' | 'overlapUntil'> {
  const rows = keyRows(sql, tenant, number);
  const newest = rows.at(-1);
  const { privateKey, key } = signingKey(directory, tenant, origin, newest?.key ?? null);
  const signers = [createNoteSigner(origin, privateKey)];
  const overlapUntil = newest?.until ?? 0;
  if (newest !== undefined && newest.after >= 0 && overlapUntil > now) {
    const previous = signingKey(directory, tenant, origin, rows.at(-2)?.key ?? null);
    signers.push(createNoteSigner(origin, previous.privateKey));
  }
  return { key, signers, overlapUntil };
}

/** @throws KeyError where the file does not hold the key that the database names. */
export function signingKey(
  directory: string,
  tenant: string,
  origin: string,
  named: string | null,
): { privateKey: KeyObject; key: string } {
  const file = named === null ? logKeyFile(directory, tenant, null) : logKeyFileOf(directory, tenant, named);
  const { privateKey, publicKey } = readLogKey(file);
  const key = verifierKey(origin, publicKey);
  if (named !== null && named !== key)
    throw new KeyError(`${file}: is not the key that the database names; restore both of the same time`);
  return { privateKey, key };
}

/** Makes a further log key for this origin, durable before anything names it. */
export function newSigningKey(
  directory: string,
  tenant: string,
  origin: string,
): { signer: NoteSigner; key: string } {
  const { privateKey, publicKey } = createLogKey(directory, (made) =>
    logKeyFile(directory, tenant, verifierKey(origin, made)),
  );
  return { signer: createNoteSigner(origin, privateKey), key: verifierKey(origin, publicKey) };
}

/** Body of the first entry of a log. */
export function openedBody(log: TenantLog): EntryBody {
  return { kind: 'log-opened', origin: log.origin, key: log.key };
}
