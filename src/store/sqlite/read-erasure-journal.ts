/**
 * Reads the journals of what was erased. Apart from writing them: the writer thread, which every start waits for, does
 * without the schema library.
 */
import { closeSync, existsSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { z } from 'zod';
import { type ErasureLine, journalFile } from './erasure-journal.ts';

const line = z.object({
  letter: z.number().int().min(0),
  commitment: z.base64().length(44),
  class: z.string().max(200),
  legalBasis: z.string().max(2000),
  copies: z.enum(['stay', 'remove']),
});

/** So many bytes of the end say whether the database knows the newest lines. */
const TAIL = 65_536;

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
