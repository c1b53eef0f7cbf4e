/**
 * What a hash-tree renewal has read so far, beside the database: reading decades again takes hours, and a restart must
 * not begin anew. Group values only, and which entries did not verify; nothing of it is proof, all of it can be made again.
 */
import {
  appendFileSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { Excluded } from './seal.ts';

/** Values that are written, and synced, at a stretch. */
const STRETCH = 1024;

export interface RenewalWork {
  /** Values of groups by an earlier run, in order. */
  readonly values: readonly Buffer[];
  readonly excluded: readonly Excluded[];
  append(value: Buffer, excluded: Excluded | null): void;
  /** Keeps what was read up to here. */
  keep(): void;
  /** The renewal is recorded. */
  remove(): void;
}

export interface RenewalWorkshop {
  /** The header under which an earlier run stopped; null where none did. */
  unfinished(): string | null;
  /**
   * @param header what the renewal is about: work under another header is dropped
   * @param width bytes of a value
   */
  open(header: string, width: number): RenewalWork;
}

/** @param directory of the store */
export function renewalWorkshop(directory: string): RenewalWorkshop {
  const folder = join(directory, 'renewal');
  const headerFile = join(folder, 'header');
  const valuesFile = join(folder, 'values');
  const excludedFile = join(folder, 'excluded');

  function unfinished(): string | null {
    return existsSync(headerFile) && existsSync(valuesFile) ? readFileSync(headerFile, 'utf8') : null;
  }

  function readValues(width: number): Buffer[] {
    const size = statSync(valuesFile).size;
    const whole = size - (size % width);
    if (whole !== size) truncateSync(valuesFile, whole);
    const bytes = readFileSync(valuesFile);
    return Array.from({ length: whole / width }, (_, i) => bytes.subarray(i * width, (i + 1) * width));
  }

  return {
    unfinished,
    open(header, width) {
      if (unfinished() !== header) {
        rmSync(folder, { recursive: true, force: true });
        mkdirSync(folder, { recursive: true, mode: 0o700 });
        writeFileSync(valuesFile, '', { mode: 0o600 });
        writeFileSync(excludedFile, '', { mode: 0o600 });
        writeFileSync(headerFile, header, { mode: 0o600, flush: true });
      }
      const excluded = readFileSync(excludedFile, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Excluded);
      let waiting: Buffer[] = [];
      const keep = () => {
        if (waiting.length === 0) return;
        const handle = openSync(valuesFile, 'a');
        try {
          writeSync(handle, Buffer.concat(waiting));
          fsyncSync(handle);
        } finally {
          closeSync(handle);
        }
        waiting = [];
      };
      return {
        values: readValues(width),
        // What was named just before a crash is named again when its value is.
        excluded: [...new Map(excluded.map((one) => [`${one.tenant}/${one.index}`, one])).values()],
        append(value, left) {
          // First why, then the blank value: one without the other would be taken for covered.
          if (left !== null) appendFileSync(excludedFile, `${JSON.stringify(left)}\n`, { flush: true });
          waiting.push(value);
          if (waiting.length >= STRETCH) keep();
        },
        keep,
        remove: () => rmSync(folder, { recursive: true, force: true }),
      };
    },
  };
}
