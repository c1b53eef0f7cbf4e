/** Objects: bytes on their way in (staged), and back out (opened). Runs in the service's own thread. */
import { createHash, type KeyObject } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { type FileHandle, mkdir, open, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createTurnstile } from '../../turnstile.ts';
import type { TenantKeys } from '../keys.ts';
import {
  CHUNK,
  chunkCount,
  keyedDigest,
  newKey,
  openChunk,
  random,
  sealChunk,
  TAG,
  UID,
  unwrapKey,
  wrapKey,
} from '../sealing.ts';
import { CorruptObject, type ObjectWriter, type OpenObject } from '../store.ts';
import { SUMMARY_HEADER } from './summary.ts';

/** Above this many bytes an object is a file beside the database. */
export const INLINE_LIMIT = 131_072;

/** Bytes of a whole chunk as it lies in a file. */
const SEALED = CHUNK + TAG;

/** Chunks read from a file at once. */
const RUN = 4;

/**
 * How many objects may encrypt and write at one moment. The others keep their sender waiting, so that fifty uploads
 * take hardly more memory than four; the disk is not faster for more.
 */
const gate = createTurnstile(4);

/** How a staged object lies until a command names it. */
export interface Staging {
  readonly uid: Buffer;
  /** Wrapped by the key named `wrapId`: by the time a command names the object, that may have been rotated. */
  readonly key: Buffer;
  readonly wrapId: string;
  readonly inline: Buffer | null;
}

/** A staged object with the first of its bytes: what lists show is made of them. */
export interface StagedBytes extends Staging {
  readonly head: Buffer;
}

export interface ObjectRow {
  readonly object: string;
  readonly uid: Buffer;
  readonly size: number;
  readonly key: Buffer;
  readonly inline: Buffer | null;
}

export function objectFile(directory: string, tenant: string, uid: Buffer): string {
  const name = uid.toString('hex');
  return join(directory, tenant, name.slice(0, 2), name);
}

/** Additional data of an object's wrapped key. */
export function objectContext(tenant: string, uid: Buffer): string {
  return `object/${tenant}/${uid.toString('hex')}`;
}

export function stageObject(directory: string, keys: TenantKeys): ObjectWriter {
  const uid = random(UID);
  const { bytes: keyBytes, key } = newKey();
  const hash = createHash('sha256');
  let size = 0;
  let index = 0;
  let waiting: Buffer[] = [];
  let waitingBytes = 0;
  let file: FileHandle | null = null;
  let path: string | null = null;
  let ended = false;
  const heads: Buffer[] = [];
  let headBytes = 0;

  /** Keeps the first bytes: copies, for a small piece may be a window on a large buffer. */
  function keepHead(bytes: Buffer): void {
    if (headBytes >= SUMMARY_HEADER) return;
    const piece = Buffer.from(bytes.subarray(0, SUMMARY_HEADER - headBytes));
    heads.push(piece);
    headBytes += piece.length;
  }

  async function flush(all: boolean): Promise<void> {
    if (file === null) {
      path = objectFile(directory, keys.tenant, uid);
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      file = await open(path, 'wx', 0o600);
    }
    const plain = waiting.length === 1 ? waiting[0]! : Buffer.concat(waiting);
    const sealed: Buffer[] = [];
    let at = 0;
    // The last chunk carries a flag, so one is kept back until the end is known.
    while (plain.length - at > CHUNK || (all && at < plain.length)) {
      const end = Math.min(at + CHUNK, plain.length);
      sealed.push(sealChunk(key, uid, index, all && end === plain.length, plain.subarray(at, end)));
      index++;
      at = end;
    }
    waiting = at < plain.length ? [plain.subarray(at)] : [];
    waitingBytes = plain.length - at;
    if (sealed.length > 0) await file.writev(sealed);
  }

  return {
    async write(chunk) {
      if (ended) throw new Error('object is finished');
      const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
      hash.update(bytes);
      keepHead(bytes);
      size += bytes.length;
      waiting.push(bytes);
      waitingBytes += bytes.length;
      if (waitingBytes > (file === null ? INLINE_LIMIT : CHUNK)) await gate.pass(() => flush(false));
    },
    async finish() {
      if (ended) throw new Error('object is finished');
      ended = true;
      let inline: Buffer | null = null;
      if (file === null) {
        const plain = Buffer.concat(waiting);
        const chunks: Buffer[] = [];
        for (let i = 0; i < chunkCount(plain.length); i++) {
          chunks.push(
            sealChunk(
              key,
              uid,
              i,
              i === chunkCount(plain.length) - 1,
              plain.subarray(i * CHUNK, (i + 1) * CHUNK),
            ),
          );
        }
        inline = Buffer.concat(chunks);
      } else {
        await gate.pass(() => flush(true));
        const handle: FileHandle = file;
        await handle.sync();
        await handle.close();
        await syncDirectory(dirname(path!));
      }
      const sha256 = hash.digest('hex');
      const storage: StagedBytes = {
        uid,
        key: wrapKey(keys.wrap, keyBytes, objectContext(keys.tenant, uid)),
        wrapId: keys.wrapId,
        inline,
        head: heads.length === 1 ? heads[0]! : Buffer.concat(heads),
      };
      return { tenant: keys.tenant, object: keyedDigest(keys.address, sha256), sha256, size, storage };
    },
    async abort() {
      ended = true;
      waiting = [];
      const handle = file;
      file = null;
      await handle?.close().catch(() => undefined);
      if (path !== null) await unlink(path).catch(() => undefined);
    },
  };
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

export function prepareObjectDirectory(directory: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
}

/** @throws CorruptObject where the wrapped key does not open. */
export function openObject(directory: string, keys: TenantKeys, row: ObjectRow): OpenObject {
  const place = `object ${keys.tenant}/${row.object}`;
  let key: KeyObject;
  try {
    key = unwrapKey(keys.wraps, row.key, objectContext(keys.tenant, row.uid));
  } catch (cause) {
    throw new CorruptObject(`${place}: key`, cause);
  }
  const last = chunkCount(row.size) - 1;

  async function* read(from = 0, to = row.size): AsyncGenerator<Buffer> {
    const start = Math.max(0, from);
    const end = Math.min(to, row.size);
    if (start >= end) return;
    const file = row.inline === null ? await openFile() : null;
    const until = Math.floor((end - 1) / CHUNK) + 1;
    const begin = Math.floor(start / CHUNK);
    // One for all runs: what is opened lies in buffers of its own.
    const space = Buffer.allocUnsafe(file === null ? 0 : Math.min(RUN, until - begin) * SEALED);
    try {
      for (let first = begin; first < until; first += RUN) {
        const sealed = await sealedFrom(file, first, Math.min(until, first + RUN), space);
        for (let i = first; i < Math.min(until, first + RUN); i++) {
          const plain = openAt(i, sealed.subarray((i - first) * SEALED, (i - first + 1) * SEALED));
          const offset = i * CHUNK;
          yield plain.subarray(Math.max(0, start - offset), Math.min(plain.length, end - offset));
        }
      }
    } finally {
      await file?.close();
    }
  }

  async function openFile(): Promise<FileHandle> {
    try {
      return await open(objectFile(directory, keys.tenant, row.uid), 'r');
    } catch (cause) {
      throw new CorruptObject(
        `${place}: file ${objectFile(directory, keys.tenant, row.uid)} cannot be opened`,
        cause,
      );
    }
  }

  /** Sealed chunks from `first` on, `until` exclusive. */
  async function sealedFrom(
    file: FileHandle | null,
    first: number,
    until: number,
    space: Buffer,
  ): Promise<Buffer> {
    const at = first * SEALED;
    const length = Math.min(until * SEALED, sealedSize(row.size)) - at;
    if (file === null) return row.inline!.subarray(at, at + length);
    const { bytesRead } = await file.read(space, 0, length, at);
    return space.subarray(0, bytesRead);
  }

  function openAt(index: number, sealed: Buffer): Buffer {
    try {
      const plain = openChunk(key, row.uid, index, index === last, sealed);
      if (plain.length !== Math.min(CHUNK, row.size - index * CHUNK))
        throw new Error('chunk has a wrong length');
      return plain;
    } catch (cause) {
      throw new CorruptObject(
        `${place}: bytes ${index * CHUNK} to ${Math.min(row.size, (index + 1) * CHUNK)}`,
        cause,
      );
    }
  }

  return { size: row.size, read };
}

/** Bytes of the file of an object of `size` bytes. */
export function sealedSize(size: number): number {
  return size + chunkCount(size) * TAG;
}
