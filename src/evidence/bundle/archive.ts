/**
 * Bundles as ZIP files. Everything is stored as it is: nothing to unpack, so nothing that grows; a bundle reads the same
 * with any tool in decades, and its bytes depend on no version of a compressor.
 */
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { finished } from 'node:stream/promises';
import { type Entry, openPromise, type ZipFile } from 'yauzl';
import { ZipFile as ZipWriter } from 'yazl';
import type { ArchivedFile } from './bundle-files.ts';
import type { BundleFile } from './collect.ts';
import { fixed, MOST_ENTRIES } from './layout.ts';

/** The first moment that a ZIP file can name. */
const MTIME = new Date(1980, 0, 1);
/** Entries of a letter have five files each at the most, beside objects. */
const MOST_FILES = 10 * MOST_ENTRIES;
const SAFE_NAME = /^(?:META-INF\/)?[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/;

/** Writes a new file. @throws Error with code EEXIST where it is there; what was begun is left behind then or on errors */
export async function writeArchive(path: string, files: readonly BundleFile[]): Promise<void> {
  const out = createWriteStream(path, { flags: 'wx' });
  const zip = new ZipWriter();
  const written = finished(out);
  zip.on('error', (error) => out.destroy(error));
  zip.outputStream.pipe(out);
  // A failure of `out` is told by `written`; without a listener of its own it would end the process.
  written.catch(() => {});
  for (const file of files) {
    zip.addBuffer(await file.bytes(), file.name, {
      mtime: MTIME,
      mode: 0o100644,
      compress: false,
      forceDosTimestamp: true,
    });
    // One file at a time in memory.
    while (out.writableNeedDrain && !out.destroyed) await Promise.race([once(out, 'drain'), written]);
  }
  zip.end();
  await written;
}

export interface Archive extends Disposable {
  readonly files: ReadonlyMap<string, ArchivedFile>;
  /** What is not as it must be with the container itself (EN 319 162-1 A.1, and our own stricter rules). */
  readonly problems: readonly string[];
}

/**
 * Opens a bundle for reading. Nothing is read into memory but the directory, whose length is bounded.
 * @throws Error where it is no ZIP file, or one that is not read: too many files
 */
export async function openArchive(path: string): Promise<Archive> {
  const { size } = await stat(path);
  const zip = await openPromise(path, { autoClose: false, strictFileNames: true });
  try {
    if (zip.entryCount > MOST_FILES) throw new Error(`it holds more than ${MOST_FILES} files`);
    return await readDirectory(zip, size);
  } catch (error) {
    zip.close();
    throw error;
  }
}

async function readDirectory(zip: ZipFile, size: number): Promise<Archive> {
  const problems: string[] = [];
  const files = new Map<string, ArchivedFile>();
  const directory = cursorOf(zip);
  let next = 0;
  let first = true;
  for await (const entry of zip.eachEntry()) {
    const name = entry.fileName;
    const problem = problemOf(entry) ?? (files.has(name) ? 'stands twice' : null);
    if (problem !== null) problems.push(`${printable(name)} ${problem}`);
    const local = await zip.readLocalFileHeaderPromise(entry);
    if (
      !local.fileName.equals(entry.fileNameRaw) ||
      local.compressionMethod !== 0 ||
      local.extraFieldLength > 0
    )
      problems.push(`${printable(name)}: its own header says something else than the directory`);
    // Bytes between files are bytes that nobody sees.
    if (entry.relativeOffsetOfLocalHeader !== next)
      problems.push(`there is something before ${printable(name)} that belongs to no file`);
    next = local.fileDataStart + entry.compressedSize;
    if (first && name !== fixed.mimetype) problems.push('mimetype is not the first file');
    first = false;
    files.set(name, { size: entry.uncompressedSize, read: () => readEntry(zip, entry) });
  }
  if (next !== directory) problems.push('there is something after the files that belongs to none');
  const tail = size - cursorOf(zip);
  if (zip.comment !== '' || (tail !== END && tail !== END_64))
    problems.push('there is something after the directory');
  return { files, problems, [Symbol.dispose]: () => zip.close() };
}

/** Lengths of what ends a ZIP file: its end record, and with that of ZIP64. */
const END = 22;
const END_64 = 22 + 56 + 20;

function problemOf(entry: Entry): string | null {
  if (!SAFE_NAME.test(entry.fileName)) return 'has a name that no file of a bundle has';
  if (entry.isEncrypted()) return 'is encrypted';
  if (entry.compressionMethod !== 0) return 'is compressed: a bundle holds files as they are';
  if (entry.compressedSize !== entry.uncompressedSize) return 'has two lengths';
  if (entry.extraFieldLength > 0 || entry.fileCommentLength > 0) return 'has extra fields';
  return null;
}

async function* readEntry(zip: ZipFile, entry: Entry): AsyncGenerator<Buffer> {
  if (entry.compressionMethod !== 0 || entry.isEncrypted()) throw new Error('it is compressed or encrypted');
  yield* (await zip.openReadStreamPromise(entry)) as AsyncIterable<Buffer>;
}

function printable(name: string): string {
  return JSON.stringify(name.slice(0, 200));
}

/** Where the next directory entry is read from; declared as a boolean. */
function cursorOf(zip: ZipFile): number {
  return zip.readEntryCursor as unknown as number;
}
