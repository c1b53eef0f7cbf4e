/**
 * Search text in the database: per message a row with its filter, and the text itself, compressed and sealed by a key
 * of the tenant. So the file says no more of it than of the messages.
 */
import { createCipheriv, createDecipheriv, createHmac, createSecretKey, type KeyObject } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import { deflateRaw, inflateRawSync } from 'node:zlib';
import type { MessageIndex } from '../../mime/types.ts';
import type { TenantKeys } from '../keys.ts';
import { random, TAG } from '../sealing.ts';
import type { Needle, SearchText, SearchTextReader } from '../search-text.ts';
import type { WireSearchText } from './commands/search-text.ts';
import type { ReadContext } from './read-context.ts';
import { createFilter, type FilterKey, filterKey, mayHold, trigramHashes } from './text-filter.ts';

const NONCE = 12;
/** Characters filtered at a time: others get a turn in between. */
const SLICE = 256 * 1024;
/** A text that takes more when sealed is not kept: the message itself is read instead. */
const LARGEST_SEALED = 1024 * 1024;

interface SearchKeys {
  readonly seal: KeyObject;
  readonly filter: FilterKey;
}

/** Derived from the key of addresses, which no rotation changes: a rotation leaves the index as it is. */
const derived = new WeakMap<KeyObject, SearchKeys>();

function searchKeys({ address }: TenantKeys): SearchKeys {
  let keys = derived.get(address);
  if (keys === undefined) {
    const seal = createSecretKey(createHmac('sha256', address).update('search text').digest());
    keys = { seal, filter: filterKey(address) };
    derived.set(address, keys);
  }
  return keys;
}

const compress = promisify(deflateRaw);

/** A text as its rows will be. */
export async function toWireSearchText(keys: TenantKeys, text: SearchText): Promise<WireSearchText> {
  const { filter: key } = searchKeys(keys);
  const filter = createFilter();
  for (const { where, text: part } of text.texts)
    for (let at = 0; at === 0 || at < part.length - 2; at += SLICE) {
      if (at > 0) await setImmediate();
      filter.add(trigramHashes(key, where, part.slice(at, at + SLICE + 2)));
    }
  const plain = text.whole === null ? null : await compress(text.whole);
  const kept = plain !== null && plain.length <= LARGEST_SEALED;
  return {
    object: text.object,
    filter: filter.finish(),
    sealed: kept ? seal(keys, text.object, plain) : null,
  };
}

function seal(keys: TenantKeys, object: string, plain: Buffer): Buffer {
  const nonce = random(NONCE);
  const cipher = createCipheriv('aes-256-gcm', searchKeys(keys).seal, nonce);
  cipher.setAAD(Buffer.from(object));
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

function unseal(keys: TenantKeys, object: string, sealed: Buffer): Buffer {
  const end = sealed.length - TAG;
  const decipher = createDecipheriv('aes-256-gcm', searchKeys(keys).seal, sealed.subarray(0, NONCE));
  decipher.setAAD(Buffer.from(object));
  decipher.setAuthTag(sealed.subarray(end));
  return Buffer.concat([decipher.update(sealed.subarray(NONCE, end)), decipher.final()]);
}

/** A search asks for the same needles page after page. */
const hashed = new WeakMap<readonly Needle[], Uint32Array[]>();

function hashesOf(key: FilterKey, needles: readonly Needle[]): Uint32Array[] {
  let hashes = hashed.get(needles);
  if (hashes === undefined) {
    hashes = needles.map(({ where, text }) => trigramHashes(key, where, text));
    hashed.set(needles, hashes);
  }
  return hashes;
}

/** Rows looked at in one step of the first filling. */
const FILL_STEP = 500;

export function searchTextReader(context: ReadContext): SearchTextReader {
  const { sql } = context;
  return {
    async searchTextEdition(tenant) {
      const edition = sql('SELECT edition FROM search_tenant WHERE tenant = ?').pluck().get(tenant);
      return (edition as number | undefined) ?? null;
    },

    async searchTextState(tenant) {
      const row = sql('SELECT edition, filled FROM search_tenant WHERE tenant = ?').get(tenant) as
        | { edition: number; filled: string | null }
        | undefined;
      if (row === undefined) return null;
      const count = (table: string) =>
        sql(`SELECT COUNT(*) FROM ${table} WHERE tenant = ?`).pluck().get(tenant) as number;
      return {
        edition: row.edition,
        indexed: count('search_filter'),
        waiting: count('search_queue'),
        filled: row.filled === null,
      };
    },

    async dueSearchTexts(tenant, limit) {
      const read = (objects: readonly string[]) =>
        objects.map((object) => ({ object, index: indexableOf(tenant, object) }));
      const queued = sql('SELECT object FROM search_queue WHERE tenant = ? LIMIT ?')
        .pluck()
        .all(tenant, limit) as string[];
      if (queued.length > 0) return { messages: read(queued) };
      const filled = sql('SELECT filled FROM search_tenant WHERE tenant = ?').pluck().get(tenant) as
        | string
        | null
        | undefined;
      if (filled == null) return null;
      const step = sql(
        'SELECT DISTINCT object FROM mail WHERE tenant = ? AND object > ? ORDER BY object LIMIT ?',
      )
        .pluck()
        .all(tenant, filled, FILL_STEP) as string[];
      const open = step.filter(
        (object) =>
          sql('SELECT 1 FROM search_filter WHERE tenant = ? AND object = ?').get(tenant, object) ===
          undefined,
      );
      const some = open.slice(0, limit);
      const all = some.length === open.length;
      return {
        messages: read(some),
        filled: !all ? some.at(-1)! : step.length < FILL_STEP ? null : step.at(-1)!,
      };
    },

    async indexedMessages(tenant, mailbox, from, to, needles) {
      const rows = sql(
        `SELECT m.uid, f.object, m.prefix, f.filter
         FROM mail m JOIN search_filter f ON f.tenant = m.tenant AND f.object = m.object
         WHERE m.mailbox = ? AND m.tenant = ? AND m.uid BETWEEN ? AND ? AND m.object_from = 0`,
      )
        .raw()
        .all(mailbox, tenant, from, to) as [number, string, Buffer, Buffer][];
      if (rows.length === 0) return new Map();
      const wanted = hashesOf(searchKeys(context.keys(tenant)).filter, needles);
      return new Map(
        rows.map(([uid, object, prefix, filter]) => [
          uid,
          { object, prefix, may: wanted.map((hashes) => mayHold(filter, hashes)) },
        ]),
      );
    },

    async searchText(tenant, object) {
      const sealed = sql(
        'SELECT t.sealed FROM search_filter f JOIN search_text t ON t.id = f.id WHERE f.tenant = ? AND f.object = ?',
      )
        .pluck()
        .get(tenant, object) as Buffer | undefined;
      if (sealed === undefined) return null;
      try {
        return inflateRawSync(unseal(context.keys(tenant), object, sealed)).toString('utf8');
      } catch {
        // Damaged, or of other keys: it is a derivative, and the message itself is there.
        return null;
      }
    },
  };

  function indexableOf(tenant: string, object: string): MessageIndex | null {
    const structure = sql(
      `SELECT structure FROM object o WHERE tenant = ? AND object = ?
       AND NOT EXISTS (SELECT 1 FROM private_message p WHERE p.tenant = o.tenant AND p.object = o.object)`,
    )
      .pluck()
      .get(tenant, object) as string | null | undefined;
    return structure == null ? null : (JSON.parse(structure) as MessageIndex);
  }
}
