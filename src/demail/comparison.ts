/** How comparisons are worded: one check each, with what stood there, short and printable. */
import type { CheckFact } from '../evidence/entry.ts';

const LONGEST_SHOWN = 80;

export function compared(name: string, passed: boolean, reason: string): CheckFact {
  return { name, result: passed ? 'passed' : 'failed', reason };
}

/** Folding leaves white space behind; how much of it is nobody's concern. */
export function spaced(value: string): string {
  return value.replace(/\s+/g, ' ').trim();
}

export function shown(value: string): string {
  const text = spaced(value).replace(/[^\x20-\x7e\u00a0-\uffff]/g, '\ufffd');
  return text === '' ? '(none)' : text.length > LONGEST_SHOWN ? `${text.slice(0, LONGEST_SHOWN)}…` : text;
}

export function hex(hash: Buffer): string {
  return `${hash.toString('hex').slice(0, 16)}…`;
}
