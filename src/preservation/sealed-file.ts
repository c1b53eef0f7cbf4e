/**
 * A file of the backup or the second copy: chunks, each encrypted and authenticated (AES-256-GCM) under a key of the
 * file's own, bound to the file's name and to its place. A file cannot be changed, shortened, or put in the place of
 * another unnoticed.
 *
 *   "DMGSEAL1" | salt (16) | ( length of sealed chunk (4, big-endian) | sealed chunk )*
 *
 * File key: HKDF-SHA-256(key, salt, "demail-gateway/backup/v1/" + name). The last chunk is empty and carries the
 * last-flag; a file that is still being written has none yet.
 */
import { createSecretKey, hkdfSync, type KeyObject, randomBytes } from 'node:crypto';
import { type FileHandle, mkdir, open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { openChunk, sealChunk, TAG } from '../store/sealing.ts';

const MAGIC = Buffer.from('DMGSEAL1');
const START = MAGIC.length + 16;
/** No chunk is larger. */
const LONGEST = 1 << 30;

export interface SealedWriter {
  /** Bytes of the file so far. */
  readonly size: number;
  /** Returns where the chunk lies. */
  write(plain: Uint8Array): Promise<ChunkPlace>;
  /** Makes everything so far durable. */
  sync(): Promise<void>;
  /** Ends the file, durable under its name. */
  finish(): Promise<void>;
  /** Ends the work on a file that stays unfinished. */
  abandon(): Promise<void>;
}

export interface ChunkPlace {
  readonly index: number;
  readonly offset: number;
}

/**
 * @param path made together with its folder; it appears once it is finished, unless `inPlace`
 * @param name what the file is, within the backup
 */
export async function createSealed(
  path: string,
  key: KeyObject,
  name: string,
  inPlace = false,
): Promise<SealedWriter> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const written = inPlace ? path : `${path}.part`;
  const handle = await open(written, inPlace ? 'wx' : 'w', 0o600);
  const salt = randomBytes(16);
  const file = fileKey(key, salt, name);
  const context = Buffer.from(name);
  let index = 0;
  let size = 0;
  const append = async (bytes: Buffer) => {
    // Written at a place: what an interrupted write left behind is overwritten by the next.
    await writeAll(handle, bytes, size);
    size += bytes.length;
  };
  const chunk = async (plain: Uint8Array, last: boolean) => {
    const sealed = sealChunk(file, context, index, last, plain);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(sealed.length);
    const place = { index, offset: size };
    await append(Buffer.concat([length, sealed]));
    index++;
    return place;
  };
  await append(Buffer.concat([MAGIC, salt]));
  if (inPlace) await syncFolder(dirname(path));
  return {
    get size() {
      return size;
    },
    write: (plain) => chunk(plain, false),
    sync: () => handle.datasync(),
    async finish() {
      await chunk(Buffer.alloc(0), true);
      await handle.sync();
      await handle.close();
      if (!inPlace) await rename(written, path);
      await syncFolder(dirname(path));
    },
    abandon: () => handle.close(),
  };
}

export interface SealedReader extends AsyncDisposable {
  /** @throws Error where the chunk is not what was written */
  readAt(place: ChunkPlace): Promise<Buffer>;
  /**
   * Every chunk from the first. Ends at the last one; for a file without one, at the last that is whole.
   * Returns whether the file is finished.
   * @throws Error naming the file where something else was changed
   */
  chunks(): AsyncGenerator<Buffer & ChunkBytes, boolean>;
}
type ChunkBytes = { readonly place?: ChunkPlace };

/** @throws Error naming the file that cannot be opened or is none of ours */
export async function openSealed(path: string, key: KeyObject, name: string): Promise<SealedReader> {
  const handle = await open(path, 'r').catch((error) => {
    throw new Error(`${path}: ${(error as Error).message}`);
  });
  const head = Buffer.alloc(START);
  const { bytesRead } = await handle.read(head, 0, START, 0);
  if (bytesRead < START || !head.subarray(0, MAGIC.length).equals(MAGIC)) {
    await handle.close();
    throw new Error(`${path}: is no file of a backup`);
  }
  const file = fileKey(key, head.subarray(MAGIC.length), name);
  const context = Buffer.from(name);
  const { size } = await handle.stat();

  /** Null where the file ends before the chunk does. */
  async function sealedAt(offset: number): Promise<Buffer | null> {
    const length = Buffer.alloc(4);
    if (offset + 4 > size) return null;
    await handle.read(length, 0, 4, offset);
    const bytes = length.readUInt32BE();
    if (bytes > LONGEST || offset + 4 + bytes > size) return null;
    const sealed = Buffer.allocUnsafe(bytes);
    await handle.read(sealed, 0, bytes, offset + 4);
    return sealed;
  }

  function openAs(sealed: Buffer, index: number, last: boolean): Buffer {
    try {
      return openChunk(file, context, index, last, sealed);
    } catch {
      throw new Error(`${path}: chunk ${index} was changed, or is under another key`);
    }
  }

  return {
    async readAt({ index, offset }) {
      const sealed = await sealedAt(offset);
      if (sealed === null) throw new Error(`${path}: is too short: chunk ${index} is missing`);
      return openAs(sealed, index, false);
    },
    async *chunks() {
      for (let index = 0, offset = START; ; index++) {
        const sealed = await sealedAt(offset);
        if (sealed === null) return false;
        const next = offset + 4 + sealed.length;
        if (next === size && sealed.length === TAG) {
          openAs(sealed, index, true);
          return true;
        }
        let plain: Buffer;
        try {
          plain = openAs(sealed, index, false);
        } catch (error) {
          // The write that a crash interrupted was never acknowledged: it is the last thing in its file.
          if (next === size) return false;
          throw error;
        }
        yield Object.assign(plain, { place: { index, offset } });
        offset = next;
      }
    },
    [Symbol.asyncDispose]: () => handle.close(),
  };
}

/** Encrypts a file into the backup. @returns its bytes there, null where `from` is not there any more */
export async function sealFile(
  from: string,
  to: string,
  key: KeyObject,
  name: string,
): Promise<number | null> {
  let source: FileHandle;
  try {
    source = await open(from, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  try {
    const sealed = await createSealed(to, key, name);
    try {
      for (let at = 0; ; ) {
        const buffer = Buffer.allocUnsafe(COPY);
        const { bytesRead } = await source.read(buffer, 0, COPY, at);
        if (bytesRead === 0) break;
        await sealed.write(buffer.subarray(0, bytesRead));
        at += bytesRead;
      }
      await sealed.finish();
    } catch (error) {
      await sealed.abandon().catch(() => undefined);
      throw error;
    }
    return sealed.size;
  } finally {
    await source.close();
  }
}
const COPY = 262_144;

/** @throws Error where the sealed file is not whole */
export async function unsealFile(from: string, to: string, key: KeyObject, name: string): Promise<void> {
  await using sealed = await openSealed(from, key, name);
  await mkdir(dirname(to), { recursive: true, mode: 0o700 });
  const target = await open(to, 'w', 0o600);
  try {
    const chunks = sealed.chunks();
    let step = await chunks.next();
    for (; !step.done; step = await chunks.next()) await target.write(step.value);
    if (!step.value) throw new Error(`${from}: is not whole`);
    await target.sync();
  } finally {
    await target.close();
  }
}

export async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function fileKey(key: KeyObject, salt: Buffer, name: string): KeyObject {
  return createSecretKey(
    Buffer.from(hkdfSync('sha256', key.export(), salt, `demail-gateway/backup/v1/${name}`, 32)),
  );
}
