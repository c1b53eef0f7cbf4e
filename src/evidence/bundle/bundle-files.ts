/** The files of a bundle while it is verified: digests computed once, bytes only up to a length. */
import { createHash } from 'node:crypto';
import type { ArchiveDigest } from '../entry.ts';
import type { ComposedMessage } from './layout.ts';

export interface ArchivedFile {
  /** Bytes. */
  readonly size: number;
  read(): AsyncIterable<Uint8Array>;
}

export interface BundleFiles {
  /** Ascending. */
  readonly names: readonly string[];
  has(name: string): boolean;
  /** Null where it is missing, longer than `limit`, or cannot be read. */
  bytes(name: string, limit: number): Promise<Buffer | null>;
  /** Null where it is missing, or cannot be read. */
  digest(name: string, hash: ArchiveDigest): Promise<Buffer | null>;
  /** SHA-256 of a header and of a message from a byte on, one after the other. */
  joined(composed: Pick<ComposedMessage, 'header' | 'body' | 'bodyFrom'>): Promise<Buffer | null>;
  /** @throws what reading throws; nothing where it is missing */
  read(name: string): AsyncIterable<Uint8Array>;
}

export function bundleFiles(files: ReadonlyMap<string, ArchivedFile>): BundleFiles {
  const known = new Map<string, Promise<Buffer | null>>();
  const read = (name: string) => files.get(name)?.read() ?? nothing();
  return {
    names: [...files.keys()].sort(),
    has: (name) => files.has(name),
    read,
    async bytes(name, limit) {
      const file = files.get(name);
      if (file === undefined || file.size > limit) return null;
      const chunks: Uint8Array[] = [];
      try {
        for await (const chunk of file.read()) chunks.push(chunk);
      } catch {
        return null;
      }
      return Buffer.concat(chunks);
    },
    digest(name, hash) {
      const key = `${hash} ${name}`;
      const digest = known.get(key) ?? digestOf(files.has(name) ? [read(name)] : null, hash);
      known.set(key, digest);
      return digest;
    },
    joined({ header, body, bodyFrom }) {
      const both = files.has(header) && files.has(body) ? [read(header), skip(read(body), bodyFrom)] : null;
      return digestOf(both, 'sha256');
    },
  };
}

async function digestOf(
  sources: readonly AsyncIterable<Uint8Array>[] | null,
  algorithm: ArchiveDigest,
): Promise<Buffer | null> {
  if (sources === null) return null;
  const hash = createHash(algorithm);
  try {
    for (const source of sources) for await (const chunk of source) hash.update(chunk);
  } catch {
    return null;
  }
  return hash.digest();
}

async function* skip(source: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array> {
  let left = bytes;
  for await (const chunk of source) {
    if (left < chunk.length) yield chunk.subarray(left);
    left = Math.max(0, left - chunk.length);
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}
