/**
 * What was erased, outside the database: `<checkpoints>/<tenant>.erasures`, one JSON line per letter. An older
 * database that is put back brings erased letters back; the journal says which must go again. It names a letter by
 * index and commitment, whose salt is gone: nothing in it tells of anybody. Read by read-erasure-journal.ts.
 */
import { mkdir, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { CopiesRule } from '../retention.ts';

export interface ErasureLine {
  readonly tenant: string;
  readonly letter: number;
  /** Of the letter's first entry: an index alone could name another entry after a log was closed. */
  readonly commitment: Uint8Array;
  readonly class: string;
  readonly legalBasis: string;
  readonly copies: CopiesRule;
}

export function journalFile(folder: string, tenant: string): string {
  return join(folder, `${tenant}.erasures`);
}

export interface ErasureJournal {
  /** After the commit. What cannot be written is tried again with the next lines, and at the next start. */
  append(lines: readonly ErasureLine[]): void;
  settle(): Promise<void>;
}

/** @param warn told when a file cannot be written */
export function createErasureJournal(
  folders: readonly string[],
  warn: (text: string) => void,
): ErasureJournal {
  /** By file. */
  const waiting = new Map<string, string>();
  let writing: Promise<void> = Promise.resolve();
  return {
    append(lines) {
      if (lines.length === 0) return;
      for (const folder of folders)
        for (const one of lines) {
          const file = journalFile(folder, one.tenant);
          waiting.set(file, (waiting.get(file) ?? '') + printLine(one));
        }
      writing = writing.then(async () => {
        for (const [file, text] of [...waiting]) {
          try {
            await appendDurably(file, text);
            waiting.set(file, waiting.get(file)!.slice(text.length));
            if (waiting.get(file) === '') waiting.delete(file);
          } catch (error) {
            warn(`the journal of erasures ${file} cannot be written: ${(error as Error).message}`);
          }
        }
      });
    },
    settle: () => writing,
  };
}

function printLine({ letter, commitment, class: name, legalBasis, copies }: ErasureLine): string {
  const base64 = Buffer.from(commitment).toString('base64');
  return `${JSON.stringify({ letter, commitment: base64, class: name, legalBasis, copies })}\n`;
}

async function appendDurably(file: string, text: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const handle = await open(file, 'a+', 0o644);
  try {
    // A line that a crash cut off ends here: the new ones must not hang on to it.
    const { size } = await handle.stat();
    const last = Buffer.alloc(1);
    if (size > 0) await handle.read(last, 0, 1, size - 1);
    await handle.writeFile(size > 0 && last[0] !== 0x0a ? `\n${text}` : text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}
