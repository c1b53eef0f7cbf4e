/**
 * The folder of a tenant's export as it is read: regular files alone, no links, bounded in depth and number. Whoever
 * handed it over may have put anything there.
 */
import { createHash } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { lstat, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';

export interface ExportFolder {
  readonly directory: string;
  /** Paths of the files below it, with `/`, ascending. */
  readonly names: readonly string[];
  /** What lies there that is no file of an export. */
  readonly problems: readonly string[];
  has(name: string): boolean;
  /** Null where it is missing. @throws Error naming the file where it is longer than `limit` bytes, or no file any more */
  bytes(name: string, limit: number): Promise<Buffer | null>;
  /** Path in the file system. @throws Error where it is missing, or no file any more */
  path(name: string): Promise<string>;
  /** Hex. */
  sha256(name: string): Promise<string>;
}

/**
 * Bytes of the longest file of its kind. Bundles may be of any length, and are read as streams; nothing else is read, or
 * hashed, that is longer.
 */
const longest: readonly (readonly [RegExp, number])[] = [
  [/^letters\//, Number.POSITIVE_INFINITY],
  // Of a seal over ten million entries; of as many files.
  [/^(?:archive\/\d+\.nodes|SHA256SUMS)$/, 1024 * 1024 * 1024],
  [/^tenant\.json$/, 256 * 1024 * 1024],
  [/^/, 32 * 1024 * 1024],
];

/** `logs/1/tile/0/x001/x234/067.p/17`. */
const DEEPEST = 9;
const SAFE = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/;
const MOST_PROBLEMS = 20;

/** @throws Error where the folder itself cannot be read */
export async function openExportFolder(directory: string): Promise<ExportFolder> {
  const names = new Set<string>();
  const problems: string[] = [];
  const complain = (problem: string) => {
    if (problems.length < MOST_PROBLEMS) problems.push(problem);
  };
  async function walk(below: string, depth: number): Promise<void> {
    for (const entry of await readdir(join(directory, below), { withFileTypes: true })) {
      const name = below === '' ? entry.name : `${below}/${entry.name}`;
      if (!SAFE.test(entry.name) || depth > DEEPEST)
        complain(`${printable(name)} has a name that no file of an export has`);
      else if (entry.isDirectory()) await walk(name, depth + 1);
      else if (entry.isFile()) {
        const { size } = await lstat(join(directory, name));
        const limit = longest.find(([kind]) => kind.test(name))![1];
        if (size > limit)
          complain(`${name} has ${size} bytes: no such file of an export has more than ${limit}`);
        else names.add(name);
      } else complain(`${name} is a link, or something else that is no file: nothing is read through it`);
    }
  }
  await walk('', 1);

  async function openFile(name: string) {
    if (!names.has(name)) throw new Error(`${name} is missing`);
    // The folder may change while it is read: a link that took the place of a file is not followed.
    return await open(join(directory, name), constants.O_RDONLY | constants.O_NOFOLLOW);
  }

  return {
    directory,
    names: [...names].sort(),
    problems,
    has: (name) => names.has(name),
    async bytes(name, limit) {
      if (!names.has(name)) return null;
      await using file = await openFile(name);
      const { size } = await file.stat();
      if (size > limit)
        throw new Error(`${name} has ${size} bytes: no such file of an export has more than ${limit}`);
      const bytes = Buffer.alloc(size);
      const { bytesRead } = await file.read(bytes, 0, size, 0);
      return bytes.subarray(0, bytesRead);
    },
    async path(name) {
      const path = join(directory, name);
      if (!names.has(name) || !(await lstat(path)).isFile())
        throw new Error(`${name} is missing, or no file`);
      return path;
    },
    async sha256(name) {
      await using file = await openFile(name);
      const hash = createHash('sha256');
      for await (const chunk of createReadStream('', { fd: file, autoClose: false }))
        hash.update(chunk as Buffer);
      return hash.digest('hex');
    },
  };
}

function printable(name: string): string {
  return JSON.stringify(name.slice(0, 200));
}
