/**
 * What was erased, outside the database: `<checkpoints>/<tenant>.erasures`, one JSON line per letter. An older
 * database that is put back brings erased letters back; the journal says which must go again. It names a letter by
 * index and commitment, whose salt is gone: nothing in it tells of anybody.
 */
import { closeSync, existsSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
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

const line = z.object({
  letter: z.number().int().min(0),
  commitment: z.base64().length(44),
  class: z.string().max(200),
  legalBasis: z.string().max(2000),
  copies: z.enum(['stay', 'remove']),
});

/** So many bytes of the end say whether the database knows the newest lines. */
const TAIL = 65_536;

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

/** All lines, of all folders, each letter once; what is no line is passed over. */
export function readJournal(folders: readonly string[], tenant: string): ErasureLine[] {
  return parse(
    tenant,
    folders
      .map((folder) => journalFile(folder, tenant))
      .map((file) => (existsSync(file) ? readFileSync(file, 'utf8') : '')),
  );
}

/** The newest lines of each folder. */
export function readJournalTail(folders: readonly string[], tenant: string): ErasureLine[] {
  return parse(
    tenant,
    folders.map((folder) => tailOf(journalFile(folder, tenant))),
  );
}

function tailOf(file: string): string {
  if (!existsSync(file)) return '';
  const descriptor = openSync(file, 'r');
  try {
    const { size } = fstatSync(descriptor);
    const bytes = Buffer.alloc(Math.min(size, TAIL));
    readSync(descriptor, bytes, 0, bytes.length, size - bytes.length);
    return bytes.toString('utf8');
  } finally {
    closeSync(descriptor);
  }
}

function parse(tenant: string, texts: readonly string[]): ErasureLine[] {
  const lines = new Map<string, ErasureLine>();
  for (const text of texts.flatMap((whole) => whole.split('\n'))) {
    const read = line.safeParse(tryJson(text));
    if (!read.success) continue;
    const { commitment, ...rest } = read.data;
    lines.set(commitment, { tenant, ...rest, commitment: Buffer.from(commitment, 'base64') });
  }
  return [...lines.values()];
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
