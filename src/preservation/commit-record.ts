/**
 * A commit as it lies in a copy: its number, and the images of the pages that it changed. Images are whole, so that
 * applying the commits of before once more does no harm, as long as none after them is left out.
 */
import type { FileHandle } from 'node:fs/promises';
import type { FedPages } from '../store/commit-feed.ts';
import { writeAll } from './sealed-file.ts';

export interface CommitRecord extends FedPages {
  readonly seq: number;
  readonly files: readonly string[];
  /** The store was closed in good order after this commit; it holds no pages. */
  readonly closed: boolean;
}

/** 4 bytes of length, a JSON header, the images. */
export function encodeRecord({ images, ...header }: CommitRecord): Buffer {
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(text.length);
  return Buffer.concat([length, text, images]);
}

/** @throws Error for what no record is */
export function decodeRecord(bytes: Buffer): CommitRecord {
  const length = bytes.readUInt32BE(0);
  const header = JSON.parse(bytes.toString('utf8', 4, 4 + length)) as Omit<CommitRecord, 'images'>;
  const images = bytes.subarray(4 + length);
  if (images.length !== header.pages.length * header.pageSize)
    throw new Error(`commit ${header.seq} holds ${images.length} bytes for ${header.pages.length} pages`);
  return { ...header, images };
}

/** Writes the pages of a commit into a database file. */
export async function applyRecord(
  database: FileHandle,
  { pageSize, pages, images }: FedPages,
): Promise<void> {
  for (const [i, page] of pages.entries())
    await writeAll(database, images.subarray(i * pageSize, (i + 1) * pageSize), (page - 1) * pageSize);
}
